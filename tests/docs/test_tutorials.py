"""Tutorials: every command and Python block runs, in order, on smaller data."""

import contextlib
import re
import shlex
from pathlib import Path

import pytest
from interrupted_training import rnncli

ROOT = Path(__file__).parents[2]
TUTORIALS = ROOT / "docs" / "tutorials"
EPOCH = "--set training.epochs=1 --set training.warmup_steps=2"
SUMS = f"{EPOCH} --set task.examples=600 --set task.held_out=100"
WORDS = f"{EPOCH} --set model.encoder.units=8 --set model.decoder.units=8"
SMALL = {
    "addition": SUMS,
    "addition_small": SUMS,
    "my_addition.yaml": SUMS,
    "alphabet_stateful": "",
    "long_stateful": EPOCH,
    "words.yaml": WORDS,
    "g2p": f"{WORDS} --run-dir RUN",
}
"""Arguments that make the training of a tutorial short."""


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    """The files that the tutorials expect."""
    monkeypatch.chdir(tmp_path)
    words = [f"{a}{b}{c}" for a in "abcdef" for b in "aeiou" for c in "nrst"]
    lines = [f"{word}\t{word[::-1]}\n" for word in words]
    for name, rows in {"words.tsv": lines[:100], "words_dev.tsv": lines[100:], "words_test.tsv": lines[90:]}.items():
        Path(name).write_text("".join(rows))
    Path("new_words.txt").write_text("ban\ncat\n")
    for part in ("train", "dev", "test"):
        Path(f"ice_{part}.tsv").write_text("".join(f"{word}\t{' '.join(word)}\n" for word in words))
    Path("data").mkdir()
    Path("data/sums.txt").write_text((ROOT / "data/sums.txt").read_text())


def run_command(line):
    """Run one line of a console block; its output may go to a file."""
    command, _, output = line.partition(" > ")
    program, *arguments = shlex.split(command.partition(" # ")[0])
    assert program == "rnncli"
    if arguments[0] == "explore":
        return  # serves until it is stopped; tests/explore opens the page
    if arguments[0] == "train" or arguments[:2] == ["sweep", "addition_small"]:
        arguments += SMALL[arguments[1]].split()
    arguments = [
        path for each in arguments for path in (sorted(map(str, Path().glob(each))) if "*" in each else [each])
    ]
    if arguments[0] == "init" and Path("words.yaml").exists():
        arguments.append("--overwrite")
    result = rnncli(*arguments)
    assert result.exit_code == 0, f"{line}\n{result.stderr}"
    if output:
        Path(output.strip()).write_text(result.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(TUTORIALS.glob("*.md")), ids=lambda page: page.stem)
def test_a_tutorial_runs_from_start_to_end(page):
    names = {}
    for language, block in re.findall(r"```(console|python)\n(.*?)```", page.read_text(), re.DOTALL):
        if language == "python":
            with contextlib.redirect_stdout(None):
                exec(compile(block, page.name, "exec"), names)
        for line in block.splitlines() if language == "console" else ():
            if line.startswith("$ "):
                run_command(line.removeprefix("$ "))
