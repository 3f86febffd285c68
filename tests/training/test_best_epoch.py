"""The metric that selects the best epoch: a default for each type of model, or that of early stopping."""

import json
import math
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnncli.cli.main import main
from rnncli.config import parse_config, refuse_differences
from rnncli.errors import ConfigError
from rnncli.runs.directory import RunDir

OLD_RUNS = Path(__file__).parents[1] / "runs/version_0_1_0"
TEXT = "task: {type: text, window: 24, windows: 12, held_out: 4}\nmodel: {type: next_step, units: 4}\n"
ADDITION = "task: addition\nmodel: encoder_decoder\n"
STOPPING = "training: {epochs: 3, early_stopping: {%s}}\n"


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        (TEXT, "validation_loss"),
        ("task: alphabet\nmodel: next_step\n", "symbol_accuracy"),
        (ADDITION, "exact_match"),
        ("task: classify\nmodel: classifier\n", "exact_match"),
        (TEXT + STOPPING % "patience: 2", "validation_loss"),
        (ADDITION + STOPPING % "patience: 2", "exact_match"),
        (TEXT + STOPPING % "metric: loss", "loss"),
        (TEXT + STOPPING % "metric: exact_match", "exact_match"),
    ],
)
def test_best_metric_follows_from_early_stopping_or_the_type_of_model(text, metric):
    assert parse_config(text, "c.yaml").best_metric == metric


def command(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    return result


def test_best_epoch_of_a_text_model_has_the_smallest_held_out_loss(tmp_path, runtime):
    (tmp_path / "c.yaml").write_text(TEXT + "training: {epochs: 6, learning_rate: 0.2, batch_size: 4}\n")
    said = command("train", tmp_path / "c.yaml", "--run-dir", tmp_path / "run").stderr
    metrics = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert {line["exact_match"] for line in metrics} == {0}
    best = RunDir(tmp_path / "run").checkpoints.read_record()
    smallest = min(line["validation_loss"] for line in metrics)
    assert best.metrics["validation_loss"] == smallest
    assert best.best_metric == "validation_loss"
    assert f"held-out loss {smallest:.4f}" in said.partition("best epoch")[2]
    assert best.metrics["perplexity"] == pytest.approx(math.exp(smallest))
    assert best.metrics["bits_per_character"] == pytest.approx(smallest / math.log(2))


@pytest.mark.long
def test_a_run_of_version_0_1_0_goes_on_with_the_metric_that_it_began_with(tmp_path, runtime):
    run = tmp_path / "run"
    shutil.copytree(OLD_RUNS / "stateful-interrupted", run)
    assert RunDir(run).newest_state().best_metric is None
    command("train", "--resume", run, "-q")
    assert RunDir(run).newest_state().best_metric == "exact_match"
    command("verify", run)


def test_a_config_without_a_metric_resumes_where_version_0_1_0_recorded_its_default():
    old, other = (parse_config(TEXT + STOPPING % f"metric: {name}", "c") for name in ("exact_match", "loss"))
    new = parse_config(TEXT + STOPPING % "patience: 5", "c")
    refuse_differences(old, new, "run")
    with pytest.raises(ConfigError, match=r"training\.early_stopping\.metric"):
        refuse_differences(other, new, "run")
