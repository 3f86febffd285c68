"""README, documentation and example configs: commands parse, files exist, generated pages are current."""

import ast
import builtins
import re
import shlex
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import click
import pytest
import yaml
from config_reference import pages

from rnncli.cli.main import COMMANDS, main
from rnncli.config import Config, load_config
from rnncli.config.shipped import find_config

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
}
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def blocks(text, *languages):
    """The code blocks of a page in some languages."""
    return re.findall(rf"```(?:{'|'.join(languages)})\n(.*?)```", text, re.DOTALL)


def commands_in(text):
    """The arguments of every rnncli command in a page's console blocks."""
    for block in blocks(text, "console", "sh"):
        for line in block.splitlines():
            for part in re.split(r"&&|\||>", line.removeprefix("$ ").partition(" # ")[0]):
                if re.match(r"\s*(\.venv/bin/)?rnncli ", part):
                    yield shlex.split(part)[1:]


def test_the_readme_has_at_most_200_lines():
    assert len(PAGES["README.md"].splitlines()) <= 200


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_shown_in_the_readme(command):
    assert command in {arguments[0] for arguments in commands_in(PAGES["README.md"])}


@pytest.mark.parametrize("page", PAGES)
def test_commands_parse(page):
    parent = click.Context(main, **main.context_settings)
    for name, *arguments in commands_in(PAGES[page]):
        main.get_command(parent, name).make_context(name, arguments, parent=parent)


@pytest.mark.parametrize("page", PAGES)
def test_commands_that_train_use_valid_configs(page):
    for name, *arguments in commands_in(PAGES[page]):
        if name in ("train", "summary", "validate", "bench") and arguments and not arguments[0].startswith("-"):
            config = find_config(arguments[0].replace("configs/", f"{ROOT}/configs/"))
            overrides = [value for key, value in pairwise(arguments) if key == "--set"]
            if Path(config).is_file():
                load_config(config, overrides)


@pytest.mark.parametrize("page", PAGES)
def test_yaml_blocks_use_known_config_keys(page):
    for block in blocks(PAGES[page], "yaml"):
        for section, keys in yaml.safe_load(block).items():
            assert section in Config.model_fields
            assert isinstance(keys, dict)


@pytest.mark.parametrize("page", PAGES)
def test_python_blocks_compile(page):
    for block in blocks(PAGES[page], "python"):
        if "reference/python" not in page:  # signatures alone are no statements
            nodes = list(ast.walk(compile(block, page, "exec", ast.PyCF_ONLY_AST)))
            names = [node for node in nodes if isinstance(node, ast.Name)]
            known = {node.id for node in names if not isinstance(node.ctx, ast.Load)} | set(dir(builtins))
            known |= {node.arg for node in nodes if isinstance(node, ast.arg)}
            for node in nodes:
                if isinstance(node, ast.Import | ast.ImportFrom):
                    known |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
                elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                    known.add(node.name)
            assert {node.id for node in names} <= known


@pytest.mark.parametrize("page", PAGES)
def test_named_files_and_links_exist(page):
    for path in re.findall(r"(?:configs|data|benchmarks)/[a-zA-Z_0-9]+\.[a-z]+", PAGES[page]):
        assert (ROOT / path).is_file()
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", PAGES[page]):
        assert ((ROOT / page).parent / target).exists()


@pytest.mark.parametrize("page", PAGES)
def test_no_placeholder_is_left(page):
    assert not re.findall(r"\bTODO\b|\bXXX\b|\b[A-Z]{3,}_HERE\b", PAGES[page])


def test_generated_pages_are_current():
    for page, text in pages().items():
        assert (ROOT / "docs" / "reference" / page).read_text() == text, "run: python docs/generate.py"


@pytest.mark.long
def test_the_documentation_builds_without_warnings(tmp_path):
    pytest.importorskip("sphinx")
    pytest.importorskip("furo")
    pytest.importorskip("myst_parser")
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", ROOT / "docs", tmp_path / "site"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "site/reference/config.html").is_file()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_a_config_begins_with_its_header(path):
    header = path.read_text().split("\n\n")[0]
    for word in ("Shows:", "Expected:", "Time:", f"Command:   rnncli train {path.stem}", "Try:"):
        assert word in header


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_what_a_config_says_to_try_changes_it(path):
    header = path.read_text().split("\n\n")[0].partition("Try:")[2].replace("\n#", " ")
    for alternative in re.split(r",\s+or|\sor\s", header):
        overrides = [found.rstrip(".,;:") for found in re.findall(r"--set\s+(\S+=\S+)", alternative)]
        assert not overrides or load_config(path, overrides) != load_config(path)


def test_every_data_file_has_a_stated_origin():
    note = (ROOT / "data" / "README.md").read_text()
    for path in (ROOT / "data").iterdir():
        assert path.name == "README.md" or path.name in note


def test_the_image_installs_what_the_project_requires():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    known = {*project["dependencies"], *extras["serve"], *extras["export-onnx"]}
    installed = re.findall(r'^ +"(.+)" \\$', (ROOT / "docs" / "Dockerfile").read_text(), re.MULTILINE)
    assert set(extras["serve"]) <= set(installed) <= known
