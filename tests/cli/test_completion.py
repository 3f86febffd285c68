"""Completion in shells."""

import fcntl
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time

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
        ("rnncli plot cur", ["curves"]),
        ("rnncli configs addition_s", ["addition_small"]),
        ("rnncli train kan", ["kana", "file,kan"]),
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
    (tmp_path / "runs/.hidden").symlink_to("two")
    (tmp_path / "runs/file").touch()
    assert complete("rnncli predict ", folder=tmp_path) == ["here", "runs/one", "runs/two"]
    assert complete("rnncli train --resume runs/t", folder=tmp_path) == ["runs/two"]
    assert complete("rnncli plot curves on", folder=tmp_path) == ["one"]


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


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_documented_line_completes_in_a_fresh_zsh(tmp_path):
    """Press Tab in a real zsh whose `.zshrc` has nothing but the script."""
    (tmp_path / ".zshrc").write_text(CliRunner().invoke(main, ["completion", "zsh"]).stdout)
    (tmp_path / "rnncli").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rnncli "$@"\n')
    (tmp_path / "rnncli").chmod(0o755)
    environment = {**os.environ, "HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "TERM": "dumb"}
    environment["PATH"] = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    with subprocess.Popen(
        ["zsh", "-i"],
        stdin=inside,
        stdout=inside,
        stderr=inside,
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
    ) as shell:
        try:
            said = typed(terminal, "rnncli co\t", "completion ")
            said += typed(terminal, "\x15rnncli train addition --set training.opt\t", "training.optimizer=")
            said += typed(terminal, "adamw --set model.cell=g\t", "model.cell=gru")
        finally:
            shell.kill()
            os.close(terminal)
            os.close(inside)
    assert "compdef" not in said
    assert "Print the completion" in said, "descriptions are shown"


def typed(terminal, keys, awaited):
    """Type keys into a terminal, and return what it shows up to the awaited text."""
    os.write(terminal, keys.encode())
    shown, until = "", time.monotonic() + 20
    while awaited not in shown:
        assert time.monotonic() < until, f"no {awaited!r} in {shown!r}"
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
    return shown
