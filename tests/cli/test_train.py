"""`rnncli train`, through the command line."""

import contextlib
import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnncli.cli.main import main

TINY = """
task: {type: addition, digits: 2, examples: 400, held_out: 50}
model: {type: encoder_decoder, encoder: {units: 8}, decoder: {units: 8}}
training: {epochs: 2, batch_size: 50}
"""
SMALLEST = ("--set", "model={type: classifier, cell: simple_rnn, units: 4, dropout: 0.3}")


def run_command(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def rnncli(tmp_path, monkeypatch):
    """Runs the command line in an empty directory that has a config, tiny.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(TINY)
    return run_command


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The result of `rnncli train tiny.yaml`, and the run that it made in its directory."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(TINY)
    with contextlib.chdir(folder):
        result = run_command("train", "tiny.yaml")
    assert result.exit_code == 0, result.stderr
    return result, folder / result.stdout.strip()


@pytest.fixture
def copied(rnncli, trained):
    """A copy of the run under the name `run`."""
    return shutil.copytree(trained[1], "run")


def metrics(run):
    return [json.loads(line) for line in (Path(run) / "metrics.jsonl").read_text().splitlines()]


def checkpoint(run, which="last"):
    name = (Path(run) / "checkpoints" / which).read_text().strip()
    return json.loads((Path(run) / "checkpoints" / name / "checkpoint.json").read_text())


def test_train_writes_a_complete_run_and_prints_its_path(trained):
    result, run = trained
    assert re.fullmatch(r"runs/tiny-\d{8}-\d{6}\n", result.stdout)
    assert {path.name for path in run.iterdir()} == {
        "config.yaml",
        "manifest.json",
        "vocabulary.json",
        "metrics.jsonl",
        "checkpoints",
    }
    assert [line["epoch"] for line in metrics(run)] == [1, 2]
    assert checkpoint(run)["step"] == metrics(run)[-1]["step"]
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["state"], manifest["step"]) == ("finished", checkpoint(run)["step"])
    assert [session["command"] for session in manifest["sessions"]] == ["rnncli train tiny.yaml"]
    kernels = manifest["kernels"]
    assert set(kernels) == {"encoder/0", "decoder/0"}
    assert all(kernel["kernel"] in ("fused", "cudnn") and kernel["reason"] for kernel in kernels.values())


def test_train_shows_epochs_metrics_kernels_and_samples(trained):
    result, _ = trained
    values = r"loss \d\.\d{4}  held-out loss +\d\.\d{4}  symbol accuracy +[\d.]+%  exact match +[\d.]+%"
    assert re.search(f"epoch 2/2  {values}", result.stderr)
    assert "encoder/0: fused kernel" in result.stderr or "encoder/0: cudnn kernel" in result.stderr
    assert re.search(r"source +prediction +target", result.stderr)
    assert "\r" not in result.stderr, "no bar outside a terminal"


@pytest.mark.xla
def test_train_quiet_prints_only_the_path(rnncli):
    result = rnncli("train", "tiny.yaml", "--run-dir", "run", "--quiet", *SMALLEST)
    assert (result.stdout, result.stderr) == ("run\n", "")


def test_overrides_and_options_reach_the_resolved_config(rnncli):
    options = ("--set", "training.epochs=1", "--seed", 7, "--device", "cpu")
    rnncli("train", "tiny.yaml", "--run-dir", "run", *options, *SMALLEST)
    text = Path("run/config.yaml").read_text()
    assert "epochs: 1" in text
    assert "seed: 7" in text
    assert "device: cpu" in text
    assert len(metrics("run")) == 1


@pytest.mark.long
def test_resolved_config_trains_the_same_weights(copied, rnncli):
    assert rnncli("train", "run/config.yaml", "--run-dir", "two").exit_code == 0
    assert checkpoint("run")["weights_digest"] == checkpoint("two")["weights_digest"]


def test_same_seed_gives_the_same_bits(rnncli):
    for run, seed in (("one", 1), ("two", 1), ("three", 2)):
        rnncli("train", "tiny.yaml", "--run-dir", run, "--seed", seed, *SMALLEST)
    losses = {run: [line["loss"] for line in metrics(run)] for run in ("one", "two", "three")}
    assert losses["one"] == losses["two"] != losses["three"]
    assert checkpoint("one")["weights_digest"] == checkpoint("two")["weights_digest"]
    assert checkpoint("one")["weights_digest"] != checkpoint("three")["weights_digest"]


@pytest.mark.long
def test_number_of_cores_changes_rounding_only(copied, rnncli):
    assert rnncli("train", "tiny.yaml", "--run-dir", "two", "--set", "runtime.cores=2").exit_code == 0
    one, two = ([line["loss"] for line in metrics(run)] for run in ("run", "two"))  # so small a model takes one core
    assert one == pytest.approx(two, rel=1e-4)
    assert checkpoint("run")["weights_digest"] != checkpoint("two")["weights_digest"]


def test_a_run_is_never_overwritten(copied, rnncli):
    before = checkpoint("run")
    again = rnncli("train", "tiny.yaml", "--run-dir", "run")
    assert again.exit_code == 2
    assert "run: holds a run already" in again.stderr
    assert checkpoint("run") == before


@pytest.mark.long
def test_diverged_training_stops_and_keeps_the_last_finite_checkpoint(rnncli):
    training = "optimizer: sgd, epochs: 50, batch_size: 399, learning_rate: 3e38, schedule: warmup_cosine"
    result = rnncli(
        "train",
        "tiny.yaml",
        "--run-dir",
        "run",
        "--set",
        f"training={{{training}, warmup_steps: 20}}",
        "--set",
        "task.held_out=1",
    )
    assert result.exit_code == 1
    assert re.search(r"error: .*(nan|inf|finite).* step \d+", result.stderr)
    assert "training.learning_rate" in result.stderr
    assert rnncli("predict", "run", "1+2").exit_code == 0


def test_failure_before_the_first_checkpoint_leaves_no_files(rnncli, runtime):
    if runtime.on_gpu:
        pytest.skip("cudnn is refused on machines without a GPU only")
    Path("mine").mkdir()
    for path in ("new", "mine"):
        result = rnncli("train", "tiny.yaml", "--run-dir", path, "--set", "runtime.kernel=cudnn")
        assert result.exit_code == 2
        assert re.search(r"runtime\.kernel: cudnn .*runtime\.device: ", result.stderr)
    assert not Path("new").exists()
    assert list(Path("mine").iterdir()) == []


def test_run_that_required_cudnn_predicts_on_a_cpu(copied, rnncli):
    path = Path("run/config.yaml")
    path.write_text(path.read_text().replace("kernel: auto", "kernel: cudnn"))
    assert rnncli("predict", "run", "1+2", "--device", "cpu").exit_code == 0


@pytest.mark.long
def test_early_stopping_ends_training_and_keeps_the_best_epoch(rnncli):
    result = rnncli(
        *("train", "tiny.yaml", "--run-dir", "run", "--set", "training.early_stopping={metric: loss, patience: 1}"),
        *("--set", "training.epochs=30", "--set", "training.learning_rate=0.5", "--set", "training.optimizer=sgd"),
        *("--set", "training.clip_norm=100.0", "--set", "model.encoder.units=2"),
    )
    assert result.exit_code == 0
    losses = [line["loss"] for line in metrics("run")]
    best = losses.index(min(losses)) + 1
    assert checkpoint("run", "best")["metrics"]["epoch"] == best
    assert len(losses) == min(30, best + 1)


def test_train_writes_csv_and_tensorboard_logs(rnncli):
    logs = ("--set", "training.csv_log=true", "--set", "training.tensorboard=true")
    result = rnncli("train", "tiny.yaml", "--run-dir", "run", *logs, *SMALLEST)
    assert result.exit_code == 0, result.exception
    rows = list(csv.DictReader(Path("run/metrics.csv").read_text().splitlines()))
    assert rows == [{name: str(value) for name, value in line.items()} for line in metrics("run")]
    assert list(Path("run/tensorboard").rglob("events.out.tfevents.*"))


@pytest.mark.long
@pytest.mark.parametrize(("model", "cell"), [("encoder_decoder", "gru"), ("repeat_vector", "simple_rnn")])
def test_train_learns_with_other_cells_layers_directions_and_embeddings(rnncli, model, cell):
    embedding = ["--set", "model.decoder.embedding=4"] if model == "encoder_decoder" else []
    result = rnncli(
        *("train", "tiny.yaml", "--run-dir", "run", "--set", f"model={{type: {model}, cell: {cell}}}"),
        *("--set", "model.encoder={units: 6, layers: 2, bidirectional: true, embedding: 5, dropout: 0.1}"),
        *("--set", "model.decoder.units=7", *embedding, "--set", "task.digits=1", "--set", "task.examples=50"),
        *("--set", "task.held_out=5", "--set", "training.batch_size=5"),
    )
    assert result.exit_code == 0, result.stderr
    assert metrics("run")[1]["loss"] < metrics("run")[0]["loss"]
