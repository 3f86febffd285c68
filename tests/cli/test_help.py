"""Help of every command: width, length, groups and examples."""

import re
import shlex

import click
import pytest
from click.testing import CliRunner

from rnncli.cli.help import GROUPS, Command
from rnncli.cli.main import COMMANDS, main
from rnncli.cli.plots import PLOTS

MAX_LINES = {"predict": 54, "evaluate": 48, "generate": 44}
SCREEN = 40
ALL = [*(name for name in COMMANDS if name != "plot"), *(f"plot {name}" for name in PLOTS)]
"""Commands without the group of plots, which has commands of its own."""


def help_of(command, columns=80):
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(main, [*command.split(), "--help"]).stdout


def load(command):
    found = main
    for name in command.split():
        found = found.get_command(click.Context(found), name)
    return found


@pytest.mark.parametrize("columns", [80, 200])
@pytest.mark.parametrize("command", [*ALL, "plot"])
def test_help_fits_80_columns_and_a_screen(command, columns):
    lines = help_of(command, columns).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= MAX_LINES.get(command, SCREEN)


@pytest.mark.parametrize("command", ALL)
def test_options_are_in_groups(command):
    found = load(command)
    assert isinstance(found, Command)
    headings = [line.removesuffix(":") for line in help_of(command).splitlines() if re.fullmatch(r"\S+:", line)]
    assert headings[0] == "Examples"
    assert headings[1:] == [group for group in GROUPS if group in headings]
    for parameter in found.params:
        assert not isinstance(parameter, click.Option) or parameter.help or parameter.hidden


@pytest.mark.parametrize("command", ALL)
def test_examples_parse(command):
    parent = click.Context(main, **main.context_settings)
    examples = load(command).examples
    assert 2 <= len(examples) <= 3
    for example in examples:
        words = shlex.split(example.rpartition("| ")[2].partition(" >")[0])
        assert words[0] == "rnncli"
        load(words[1]).make_context(words[1], words[2:], parent=parent)
    assert any(f"rnncli {command}" in example for example in examples)


def test_help_command_shows_the_help_of_a_command():
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["help", "train"])
    assert (shown.exit_code, shown.stdout) == (0, help_of("train"))


def test_help_command_shows_the_help_of_a_command_of_a_command():
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(main, ["help", "plot", "states"])
    assert (shown.exit_code, shown.stdout) == (0, help_of("plot states"))
    refused = CliRunner().invoke(main, ["help", "train", "states"])
    assert (refused.exit_code, "rnncli help train" in refused.stderr) == (2, True)
