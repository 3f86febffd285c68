"""Completion in shells."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from rnncli.cli.main import main


def complete(words, shell="bash", folder="."):
    """Return the completions of the last word, as a script of the shell gets them."""
    parts = words.split(" ")
    environment = {**os.environ, "_RNNCLI_COMPLETE": f"{shell}_complete"}
    environment |= {"COMP_WORDS": words, "COMP_CWORD": str(len(parts) - 1)}
    result = subprocess.run(
        [sys.executable, "-m", "rnncli"], env=environment, capture_output=True, text=True, check=True, cwd=folder
    )
    return [line.removeprefix("plain,") for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("rnncli pre", ["predict"]),
        ("rnncli help plot-s", ["plot-states"]),
        ("rnncli configs addition_s", ["addition_small"]),
        ("rnncli predict RUN --format t", ["text", "tsv"]),
        ("rnncli train x --set training.opt", ["training.optimizer="]),
        ("rnncli train x --set model.cell = g", ["gru"]),
        ("rnncli train x --set model.bridge =", ["auto", "copy", "concat", "dense", "zero"]),
        ("rnncli train x --set training.seed = 3 --set training.csv_log = t", ["true"]),
    ],
)
def test_commands_options_keys_and_values(words, completions):
    assert complete(words) == completions


def test_run_completes_run_directories_only(tmp_path):
    for run in ("runs/one", "runs/two", "here"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "config.yaml").touch()
        (tmp_path / run / "manifest.json").write_text(json.dumps({}))
    (tmp_path / "empty").mkdir()
    (tmp_path / "runs/file").touch()
    assert complete("rnncli predict ", folder=tmp_path) == ["here", "runs/one", "runs/two"]
    assert complete("rnncli train --resume runs/t", folder=tmp_path) == ["runs/two"]


def test_descriptions_are_short():
    lines = complete("rnncli predict RUN --", shell="zsh")
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_ask_rnncli(shell):
    script = CliRunner().invoke(main, ["completion", shell]).stdout
    assert f"_RNNCLI_COMPLETE={shell}_complete" in script


def test_zsh_starts_its_completion_system_before_it_registers():
    script = CliRunner().invoke(main, ["completion", "zsh"]).stdout
    assert script.index("compinit") < script.index("    compdef ")
