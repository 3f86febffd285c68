"""A metric is one table entry and one file: training and evaluation pick up one that is added from outside."""

import json

import pytest
from click.testing import CliRunner
from last_symbol_error import LAST_SYMBOL_ERROR

from rnncli.cli.main import main
from rnncli.metrics import METRICS

pytestmark = pytest.mark.usefixtures("runtime")

CONFIG = """
task: {type: addition, digits: 1, examples: 50, held_out: 20}
model: {type: encoder_decoder, encoder: {units: 4}, decoder: {units: 4}}
training: {epochs: 3, early_stopping: {metric: last_symbol_error, patience: 1}}
"""


def rnncli(*arguments):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.long
def test_added_metric_is_watched_logged_and_reported(tmp_path, monkeypatch):
    monkeypatch.setitem(METRICS, "last_symbol_error", LAST_SYMBOL_ERROR)
    (tmp_path / "config.yaml").write_text(CONFIG)
    run = tmp_path / "run"
    progress = rnncli("train", tmp_path / "config.yaml", "--run-dir", run).stderr
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    values = [epoch["last_symbol_error"] for epoch in epochs]
    assert [f"last symbol error   {value:.3f}" in progress for value in values] == [True] * len(values)
    best = min(epochs, key=lambda epoch: (epoch["last_symbol_error"], epoch["loss"]))
    assert f"best epoch {best['epoch']}: last symbol error {best['last_symbol_error']:.3f}" in progress
    evaluation = json.loads(rnncli("evaluate", run, "--format", "json").stdout)
    low, high = evaluation["last_symbol_error_interval"]
    assert low <= evaluation["last_symbol_error"] == best["last_symbol_error"] <= high
    assert "last_symbol_error" in evaluation["groups"]["digits"]["1"]
    table = rnncli("evaluate", run).stdout
    assert f"last symbol error     {best['last_symbol_error']:.3f}" in table
