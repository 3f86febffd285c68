"""The README and the configs say what is there."""

import re
import shlex
from pathlib import Path

import click
import config_reference
import pytest

from rnncli.cli.main import COMMANDS, main
from rnncli.config import load_config

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def commands_shown():
    """Every `rnncli ...` line of the README's code blocks."""
    for block in re.findall(r"```(?:console|sh)\n(.*?)```", README, re.DOTALL):
        for line in block.splitlines():
            for part in re.split(r"&&|\||>", line.removeprefix("$ ").partition("#")[0]):
                if part.strip().startswith("rnncli "):
                    yield shlex.split(part)[1:]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command):
    assert command in {arguments[0] for arguments in commands_shown()}


def test_what_the_readme_shows_parses():
    parent = click.Context(main, **main.context_settings)
    for name, *arguments in commands_shown():
        main.get_command(parent, name).make_context(name, arguments, parent=parent)


@pytest.mark.parametrize("path", re.findall(r"(?:configs|data)/[a-z_0-9]+\.[a-z]+", README))
def test_files_named_in_the_readme_exist(path):
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_every_config_has_its_header(path):
    header = path.read_text().split("\n\n")[0]
    for word in ("Shows:", "Expected:", "Time:", f"Command:   rnncli train configs/{path.name}", "Try:"):
        assert word in header


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_what_a_config_says_to_try_is_valid(path):
    header = path.read_text().split("\n\n")[0].partition("Try:")[2].replace("\n#", " ")
    for alternative in re.split(r",\s+or|\sor\s", header):
        overrides = [found.rstrip(".,;:") for found in re.findall(r"--set\s+(\S+=\S+)", alternative)]
        config = load_config(path, overrides)
        assert not overrides or config != load_config(path), "it changes something"


def test_no_placeholder_is_left_in_the_readme():
    assert not re.findall(r"\b[A-Z]{3,}_[A-Z_]+\b", README.replace("NO_COLOR", ""))


def test_the_table_of_keys_is_that_of_the_schema():
    assert config_reference.table() in README


def test_every_data_file_says_where_it_comes_from():
    note = (ROOT / "data" / "README.md").read_text()
    for path in (ROOT / "data").iterdir():
        assert path.name == "README.md" or path.name in note
