"""Configs that name a custom cell, through the command line: shown, checked, and trained where the cell is there."""

import json
import re
from pathlib import Path

import pytest
from cell_config import CONFIG, ROOT, rnncli


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A config and a cell in a directory of their own, beside the current one."""
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    path = tmp_path / "there/nested.yaml"
    path.write_text(CONFIG)
    (tmp_path / "there/my_cell.py").write_text((ROOT / "configs/nested_cell.py").read_text())
    return path


def test_summary_shows_the_cell_and_why_it_is_stepped_through(config):
    text = rnncli("summary", config).stdout
    assert "Bidirectional(RNN(NestedCell))" in text
    assert "rnn/0: cell kernel (model.cell: custom runs NestedCell" in text


def test_validate_does_not_import_the_cell(config):
    config.with_name("my_cell.py").write_text("raise SystemExit('executed')")
    result = rnncli("validate", config)
    assert result.exit_code == 0, result.stderr
    assert "classifier (my_cell:NestedCell)" in result.stdout


@pytest.mark.parametrize(("source", "problem"), [(None, "no module my_cell"), ("x = 1", "my_cell has no NestedCell")])
def test_a_cell_that_is_not_there_leaves_no_run_directory(config, source, problem):
    config.with_name("my_cell.py").unlink()
    if source is not None:
        config.with_name("my_cell.py").write_text(source)
    result = rnncli("train", config, "--run-dir", "run")
    assert result.exit_code == 2
    assert problem in result.stderr
    assert str(config.parent) in result.stderr
    assert not Path("run").exists()


@pytest.mark.long
def test_the_nested_example_reaches_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = rnncli("train", ROOT / "configs/nested_cell.yaml", "--run-dir", "run")
    assert result.exit_code == 0, result.stderr
    assert "Predict: rnncli predict run --trust-code --input FILE" in result.stderr
    best = max(json.loads(line)["exact_match"] for line in Path("run/metrics.jsonl").read_text().splitlines())
    assert best >= 0.95


@pytest.mark.long
def test_the_cell_in_the_documentation_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```(python|yaml)\n(.*?)```", (ROOT / "docs/how-to/custom-cells.md").read_text(), re.DOTALL)
    source = next(text for kind, text in blocks if kind == "python" and "state_size" in text)
    section = next(text for kind, text in blocks if kind == "yaml" and "my_cell" in text)
    Path("my_cell.py").write_text(source)
    Path("c.yaml").write_text(
        f"task: {{type: nested, examples: 40, held_out: 10}}\n{section}training: {{epochs: 1}}\n"
    )
    result = rnncli("train", "c.yaml", "--run-dir", "run")
    assert "cannot read a step" in result.stderr  # the task's steps are structures, the cell reads a vector
    Path("c.yaml").write_text(
        f"task: {{type: classify, examples: 40, held_out: 10}}\n{section}training: {{epochs: 1}}\n"
    )
    result = rnncli("train", "c.yaml", "--run-dir", "run")
    assert result.exit_code == 0, result.stderr
