"""The configs that are shipped."""

import json
import re
from pathlib import Path

import pytest
from interrupted_training import rnncli

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
TRAINED = {"addition", "classifier_last_digit", "nested_cell"}
"""Configs that are trained by the fast tests; of the others these build the model."""


def form(line):
    """A line of output without its numbers, and with single blanks."""
    return " ".join(re.sub(r"[\d.,]*\d", "#", line).split())


def excerpt(name):
    """The lines in README that training an example prints; none if README does not show it."""
    lines = re.search(rf"\$ rnncli train {name}\n([^$]*?)\n\.\.\.", (ROOT / "README.md").read_text())
    return lines[1].splitlines() if lines else []


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[pytest.mark.long] * (path.stem not in TRAINED)) for path in CONFIGS],
)
def test_every_config_trains_an_epoch(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    small = ["--set", "training.epochs=1", "--set", "runtime.cores=1"]  # a second shard is built once more
    if re.search("type: (addition|classify|nested)", path.read_text()):
        small += ["--set", "task.examples=1000", "--set", "task.held_out=50"]  # some are shown twice
    if "shakespeare" in path.read_text():
        Path("play.txt").write_text((ROOT / "data" / "shakespeare.txt").read_text()[:6000])
        small += ["--set", "task.train=play.txt", "--set", "model.units=16"]
    elif "type: text" in path.read_text():
        small += ["--set", "task.windows=48", "--set", "task.held_out=16"]
    if "type: pairs" in path.read_text():
        small += ["--set", "task.max_source_length=16", "--set", "task.too_long=skip"]  # longer ones compile longer
        small += ["--set", "training.buckets=1"]
        small += ["--set", "task.hallucinate=20"] if "hallucinate" in path.read_text() else []
        tags = "\tN;SG" if "features" in path.read_text() else ""
        words = "".join(f"{word}\t{' '.join(word)}{tags}\n" for word in ("aba", "cab", "bac") * 20)
        Path("words.tsv").write_text(words)
        for part in ("train", "validation", "test"):
            file = ROOT / "data" / f"{path.stem}_{part}.tsv"
            if file.exists():
                Path(f"{part}.tsv").write_text("".join(file.read_text().splitlines(keepends=True)[:100]))
            small += ["--set", f"task.{part}={f'{part}.tsv' if file.exists() else 'words.tsv'}"]
    result = rnncli("train", path, *small, "--run-dir", "run")
    assert result.exit_code == 0, result.stderr
    assert len(Path("run/metrics.jsonl").read_text().splitlines()) == 1
    assert {form(line) for line in excerpt(path.stem)} <= {form(line) for line in result.stderr.splitlines()}


@pytest.mark.parametrize("name", sorted({path.stem for path in CONFIGS} - TRAINED))
def test_summary_builds_the_model_of_a_config(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = ["--set", "task.train=words.tsv", "--set", "task.validation=words.tsv", "--set", "task.test=null"]
    Path("words.tsv").write_text("ab\tA B\nba\tB A\n")
    result = rnncli("summary", ROOT / "configs" / f"{name}.yaml", *(own if name == "g2p" else ()))
    assert result.exit_code == 0, result.stderr
    assert "parameters" in result.stdout


def test_the_readme_shows_what_training_prints():
    assert len(excerpt("addition")) > 3


def test_the_alphabet_is_learned_by_heart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert rnncli("train", ROOT / "configs/alphabet.yaml", "--run-dir", "run").exit_code == 0
    assert json.loads(rnncli("evaluate", "run", "--format", "json").stdout)["exact"] == 24
    assert rnncli("predict", "run", "ABC", "XYZ").stdout == "D\nA\n"
