"""The average of checkpoints: its weights, what takes it, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import rnncli
from rnncli.cli.main import main
from rnncli.config import load_config
from rnncli.data.tasks import build_task
from rnncli.errors import InputError, RunDirError
from rnncli.runs.averaging import average_checkpoints, last_checkpoints
from rnncli.runs.checkpoints import STATES, WEIGHTS, describe_steps
from rnncli.runs.directory import RunDir
from rnncli.runs.listing import describe_run
from rnncli.runs.provenance import data_digests
from rnncli.runs.train_state import TrainState
from rnncli.runs.verification import Verification
from rnncli.training.job import read_resumed

CONFIG = "task: alphabet\nmodel: {type: next_step, units: 3}\ntraining: {epochs: 4}\n"
STATEFUL = "task: alphabet\nmodel: {type: next_step, units: 3, stateful: true}\ntraining: {batch_size: 12}\n"


@pytest.fixture
def run(tmp_path, monkeypatch) -> RunDir:
    monkeypatch.chdir(tmp_path)
    return write_run(CONFIG)


def write_run(text) -> RunDir:
    """Write a run of four checkpoints, whose only weight is their step squared."""
    Path("c.yaml").write_text(text)
    config = load_config("c.yaml")
    task = build_task(config)
    made = RunDir.create(Path("run"), config)
    made.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
    facts = {"device": "cpu", "python": "3", "host": "x", "code": {}, "state": "finished", "sessions": []}
    made.write_manifest({**facts, "best": {"exact_match": 1.0}})
    for step in (1, 2, 3, 4):
        values = {"epoch": step, "loss": 1.0, "exact_match": 0.5, "validation_loss": 1.0, "symbol_accuracy": 0.1}
        state = TrainState(epoch=step, steps=1, step=step, metrics=values, best=values)
        weights = {"w": np.full((2, 3), step**2, np.float32)}
        made.save_checkpoint(state, {WEIGHTS: weights, STATES: {"h": np.full(2, step, np.float32)}}, step == 2, 4)
    return made


def files_of(folder) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def test_average_of_checkpoints_is_a_run_and_leaves_the_other_as_it_is(run):
    before = files_of("run")
    assert average_checkpoints(run, ["4", "1", "best"], Path("out")) == [1, 2, 4]
    assert files_of("run") == before
    saved = RunDir(Path("out")).load()
    np.testing.assert_array_equal(saved.weights["w"], np.full((2, 3), 7, np.float32))
    assert saved.weights["w"].dtype == np.float32
    assert saved.describe_weights() == "out: using the average of the weights of 3 checkpoints"
    manifest = json.loads(Path("out/manifest.json").read_text())
    assert manifest["averaged"]["steps"] == [1, 2, 4]
    assert list(manifest) == ["device", "python", "host", "code", "averaged"]


def test_average_of_checkpoints_is_listed_as_one_without_epochs_and_metrics(run):
    average_checkpoints(run, last_checkpoints(run, 3), Path("out"))
    info = describe_run(Path("out"))
    assert (info.state, info.best) == ("average", {})
    shown = CliRunner().invoke(main, ["runs", "."]).stdout
    line = next(line for line in shown.splitlines() if line.startswith("out"))
    assert "average of 2, 3, 4" in line
    assert "of 4 " not in line.replace("average of 2, 3, 4", "")
    listed = json.loads(CliRunner().invoke(main, ["runs", ".", "--json", "--where", "state=average"]).stdout)
    assert [each["averaged"] for each in listed] == [[2, 3, 4]]


def test_average_of_a_stateful_model_has_the_newest_states(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    average_checkpoints(write_run(STATEFUL), ["2", "3"], Path("out"))
    assert RunDir(Path("out")).load().carried["h"].tolist() == [3, 3]


def test_last_checkpoints_are_the_newest(run):
    assert [int(name) for name in last_checkpoints(run, 2)] == [3, 4]
    with pytest.raises(RunDirError, match="fewer than 5 checkpoints: it has those of steps 1, 2, 3, 4") as refused:
        last_checkpoints(run, 5)
    assert "checkpoint.keep=5" in refused.value.hint


@pytest.mark.parametrize(
    ("which", "problem"),
    [
        (["2"], "two different"),
        (["2", "best"], "two different"),
        (["1", "9"], "no checkpoint of step 9"),
        (["x"], "x"),
    ],
)
def test_checkpoints_that_cannot_be_averaged_are_refused(run, which, problem):
    with pytest.raises(InputError, match=problem):
        average_checkpoints(run, which, Path("out"))
    assert not Path("out").exists()


def test_average_never_replaces_a_run(run):
    average_checkpoints(run, ["1", "2"], Path("out"))
    before = files_of("out")
    with pytest.raises(RunDirError, match="holds a run already") as refused:
        average_checkpoints(run, ["1", "3"], Path("out"))
    assert "-o" in refused.value.hint
    assert "run-dir" not in refused.value.hint
    assert files_of("out") == before


def test_average_command_writes_beside_the_run_and_its_result_is_not_resumed(run):
    result = CliRunner().invoke(main, ["average", "run", "--last", "2"])
    assert (result.exit_code, result.stdout) == (0, "run-average\n")
    assert "averaged the weights of steps 3, 4" in result.stderr
    before = files_of("run-average")
    resumed = CliRunner().invoke(main, ["train", "--resume", "run-average"])
    assert resumed.exit_code == 2
    hint = "rnncli train run-average/config.yaml --set training.init_from=run-average"
    assert hint in resumed.stderr
    assert files_of("run-average") == before
    checked = CliRunner().invoke(main, ["validate", *hint.split()[2:]])
    assert checked.exit_code == 0, checked.stderr


def test_worker_does_not_resume_an_average(run):
    average_checkpoints(run, ["1", "2"], Path("out"))
    with pytest.raises(RunDirError, match="an average of checkpoints, which is not resumed"):
        read_resumed(Path("out"), None, ())


@pytest.mark.parametrize("options", [["--last", "2"], ["--checkpoints", "1,2"]])
def test_average_of_an_average_is_refused_with_the_run_it_is_of(run, options):
    average_checkpoints(run, ["1", "2"], Path("out"))
    result = CliRunner().invoke(main, ["average", "out", *options])
    assert result.exit_code == 2
    assert f"out: an average already, of checkpoints of {run.path.absolute()}" in result.stderr
    assert not Path("out-average").exists()


def test_empty_name_of_a_checkpoint_is_refused(run):
    result = CliRunner().invoke(main, ["average", "run", "--checkpoints", "1,,best"])
    assert result.exit_code == 2
    assert "--checkpoints 1,,best: a name is empty" in result.stderr


def test_checkpoints_of_one_step_and_of_none_are_described():
    assert describe_steps(["00000017"]) == "it has that of step 17"
    assert describe_steps([]) == "it has none"


@pytest.mark.parametrize("options", [[], ["--last", "2", "--checkpoints", "1,2"], ["--last", "1"]])
def test_average_command_needs_to_know_which_checkpoints(run, options):
    assert CliRunner().invoke(main, ["average", "run", *options]).exit_code == 2


def test_average_predicts_and_is_valid_unless_its_best_pointer_is_lost(tmp_path, monkeypatch, runtime):
    from untrained_run import write_untrained_run

    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG)
    run = RunDir(write_untrained_run(Path("run"), Path("c.yaml")))
    run.write_manifest({"data": data_digests(build_task(load_config("c.yaml")).splits())})
    one = run.load().weights
    negative = {name: -value for name, value in one.items()}
    run.save_checkpoint(TrainState(step=2), {WEIGHTS: negative}, True)
    average_checkpoints(run, ["1", "2"], Path("out"))
    verified = CliRunner().invoke(main, ["verify", "out"])
    assert verified.exit_code == 0, verified.stdout
    assert "checkpoints/00000002 in the model" in verified.stdout
    scores = rnncli.load("out").evaluate()
    assert scores.as_json()["validation_loss"] == pytest.approx(np.log(scores_of_zero_weights(run)), rel=1e-4)
    Path("out/checkpoints/best").unlink()
    wrong = [check.name for check in Verification(RunDir(Path("out"))).checks if check.problem]
    assert wrong == ["checkpoints/best"]


def scores_of_zero_weights(run) -> int:
    """Return the number of symbols, which a model of zeros finds equally likely."""
    return len(run.read_vocabulary().target)
