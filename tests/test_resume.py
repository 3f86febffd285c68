"""A run that was interrupted goes on as if it had not been, bit for bit; where it cannot, it is refused."""

import errno
import json
import os
import shutil
import signal
import socket
from pathlib import Path

import interrupted
import keras
import numpy as np
import pytest
from click.testing import CliRunner
from interrupted import STEPS

from rnncli import checkpoints
from rnncli.checkpoints import SEEDS
from rnncli.cli.main import main
from rnncli.config import Checkpoint, parse_config, refuse_differences
from rnncli.errors import ConfigError, RunFailedError
from rnncli.lock import LOCK, locked
from rnncli.resuming import find_resumed, note_changes
from rnncli.rundir import RunDir
from rnncli.runtime import start
from rnncli.standing import Standing
from rnncli.tasks import build_task
from rnncli.training import Stop, Stopped, train
from rnncli.training.batches import Batches, build_step
from rnncli.training.variables import Variables
from rnncli.usercode import NOWHERE

pytestmark = pytest.mark.usefixtures("runtime")


def rnncli(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def steps(path, text, until=None, places=NOWHERE):
    """Train in a directory, from its newest checkpoint if it has one; return what comes of it."""
    config = parse_config(text, "c")
    directory = RunDir(path) if path.exists() else RunDir.create(path, config)
    task = build_task(config)
    splits = task.splits()
    ready = start(config.runtime, min(config.training.batch_size, len(splits[0])))
    found = find_resumed(directory, config)
    return train(config, task, splits, directory, ready, places=places, resumed=found, stop=Stop(until))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was not interrupted, of the plainest model."""
    folder = tmp_path_factory.mktemp("whole")
    steps(folder / "run", interrupted.write_config(folder, "lstm").read_text())
    return folder / "run"


@pytest.fixture
def stopped(tmp_path, monkeypatch, stopped_once):
    """A copy of that run as it was after 16 steps; it stands in the current directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(stopped_once, "run")
    return Path("run")


@pytest.fixture(scope="module")
def stopped_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopped")
    steps(folder / "run", interrupted.write_config(folder, "lstm").read_text(), until=16)
    return folder / "run"


def check_equal(one, other):
    assert interrupted.end(one) == interrupted.end(other)
    assert interrupted.best(one) == interrupted.best(other)
    assert interrupted.metrics(one) == interrupted.metrics(other)
    assert interrupted.csv(one) == interrupted.csv(other)


@pytest.mark.parametrize(("model", "cores"), [("gru with all dropouts", 2), ("stateful", 1)])
def test_a_run_in_pieces_ends_at_the_bits_of_a_whole_one(tmp_path, model, cores):
    text = interrupted.write_config(tmp_path, model, cores=cores).read_text()
    steps(tmp_path / "whole", text)
    until = 2 * STEPS + 4
    assert steps(tmp_path / "pieces", text, until) == Stopped(until, 4 * STEPS, None)
    steps(tmp_path / "pieces", text)
    check_equal(tmp_path / "whole", tmp_path / "pieces")


def test_it_is_resumed_from_the_command_line(whole, stopped):
    result = rnncli("train", "--resume", "run")
    assert (result.exit_code, result.stdout) == (0, "run\n"), result.stderr
    assert "run: goes on after step 16" in result.stderr
    check_equal(whole, stopped)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_and_what_came_after_is_cut(whole, stopped):
    assert interrupted.damage_newest(stopped) == "00000016"
    leftover = stopped / "checkpoints" / ".00000020-0123"
    leftover.mkdir()
    (leftover / "weights.safetensors").write_text("half")
    lines = (stopped / "metrics.jsonl").read_text()
    (stopped / "metrics.jsonl").write_text(f'{lines}{{"epoch": 3, "loss": 9}}\n{{"epoch": 4, "lo')
    result = rnncli("train", "--resume", "run", "--quiet")
    assert "run/checkpoints/00000016/weights.safetensors: damaged: its sha256" in result.stderr
    assert "passed over for checkpoint 15" in result.stderr
    assert not leftover.exists()
    check_equal(whole, stopped)


def resumed(run):
    directory = RunDir(run)
    return find_resumed(directory, directory.read_config())


def test_a_flipped_bit_is_seen(stopped):
    interrupted.damage_newest(stopped, interrupted.flip)
    assert resumed(stopped).checkpoint.step == 15


def test_a_damaged_best_checkpoint_does_not_keep_the_newest_from_going_on(stopped):
    best = (stopped / "checkpoints" / "best").read_text().strip()
    assert resumed(stopped).best == best
    interrupted.flip(stopped / "checkpoints" / best / "weights.safetensors")
    found = resumed(stopped)
    assert (found.checkpoint.step, found.best, found.standing.best) == (16, None, {})
    assert "so the best epoch is lost" in found.notes[0]
    shutil.rmtree(stopped / "checkpoints" / best)
    assert f"the best checkpoint, {best}, is missing; so the best epoch" in resumed(stopped).notes[0]


def test_without_a_sound_checkpoint_it_is_refused_and_says_what_to_do(stopped):
    for path in stopped.glob("checkpoints/*/weights.safetensors"):
        interrupted.halve(path)
    result = rnncli("train", "--resume", "run")
    assert result.exit_code == 2
    assert "run: none of its checkpoints is sound" in result.stderr
    assert "rnncli train run/config.yaml" in result.stderr


def test_a_run_without_a_checkpoint_begins_anew(whole, stopped):
    shutil.rmtree(stopped / "checkpoints")
    result = rnncli("train", "--resume", "run")
    assert "run: goes on from the beginning: it has no checkpoint" in result.stderr
    check_equal(whole, stopped)


def tree(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_finished_run_is_left_as_it_is(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, "run")
    before = tree(Path("run"))
    result = rnncli("train", "--resume", "run")
    assert (result.exit_code, result.stdout) == (0, "run\n")
    assert "run: finished already, after epoch 4" in result.stderr
    assert tree(Path("run")) == before


CHANGED = ["--set", "training.batch_size=4", "--set", "model.cell=gru"]


def test_another_config_is_refused_with_every_key_that_differs(stopped):
    before = tree(stopped)
    result = rnncli("train", "--resume", "run", *CHANGED)
    assert result.exit_code == 2
    assert (
        "run: cannot go on with another config: model.cell is \"lstm\" there and \"gru\" now; "
        "training.batch_size is 8 there and 4 now\n"
    ) in result.stderr  # fmt: skip
    assert tree(stopped) == before


def test_the_config_may_be_given_again(stopped):
    Path("mine.yaml").write_text((stopped / "config.yaml").read_text().replace("batch_size: 8", "batch_size: 9"))
    result = rnncli("train", "mine.yaml", "--resume", "run")
    assert "training.batch_size is 8 there and 9 now" in result.stderr


ANY = "{{task: addition, model: repeat_vector, training: {{{}}}, runtime: {{{}}}, checkpoint: {{{}}}}}"


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        (("epochs: 3", "", ""), ("epochs: 4", "", ""), ""),
        (("csv_log: true", "", ""), ("tensorboard: true", "", ""), ""),
        (("", "cores: 1", ""), ("", "cores: 2, kernel: generic, device: cpu", "every: 3 steps, keep: 1"), ""),
        (("", "", ""), ("", "precision: mixed_float16", ""), 'runtime.precision is "float32" there'),
        (("seed: 1", "", ""), ("seed: 2", "", ""), "training.seed is 1 there and 2 now"),
        (
            ("epochs: 3, schedule: warmup_cosine", "", ""),
            ("epochs: 4, schedule: warmup_cosine", "", ""),
            "training.epochs is 3 there and 4 now",
        ),
        (
            ("", "", ""),
            ("early_stopping: {patience: 2}", "", ""),
            'training.early_stopping is null there and {"metric": "exact_match", "patience": 2} now',
        ),
    ],
)
def test_what_may_differ(old, new, refused):
    before, after = (parse_config(ANY.format(*sections), "c") for sections in (old, new))
    if not refused:
        refuse_differences(before, after, "run")
        return
    with pytest.raises(ConfigError, match="cannot go on with another config") as caught:
        refuse_differences(before, after, "run")
    assert refused in caught.value.message


def test_more_epochs_than_at_first_and_logs_without_an_epoch_twice(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    constant = "{epochs: 2, batch_size: 23, csv_log: true, tensorboard: true}"
    text = interrupted.write_config(tmp_path, "lstm", constant).read_text()
    steps(Path("run"), text)
    steps(Path("whole"), text.replace("epochs: 2", "epochs: 3"))
    shutil.rmtree("run/checkpoints/00000004")  # as if it had been killed before it was written
    assert rnncli("train", "--resume", "run", "--set", "training.epochs=3").exit_code == 0
    check_equal(Path("whole"), Path("run"))
    assert "epochs: 3" in Path("run/config.yaml").read_text()
    assert logged(Path("run")) == logged(Path("whole"))
    assert len(logged(Path("run"))) == 3


def logged(run):
    """Epochs and losses in TensorBoard's files."""
    import tensorflow as tf

    losses = []
    for path in sorted((run / "tensorboard" / "train").iterdir()):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            values = [value for value in event.summary.value if value.tag == "epoch_loss"]
            losses += [(event.step, float(tf.make_ndarray(value.tensor))) for value in values]
    return losses


def test_other_data_is_refused_unless_it_is_allowed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = interrupted.write_config(tmp_path, "attention on pairs")
    steps(Path("run"), path.read_text(), until=STEPS + 1)
    lines = Path("pairs.tsv").read_text().splitlines(keepends=True)
    Path("other.tsv").write_text("".join([*lines[:-1], "abc\tbca\n"]))
    Path("moved.tsv").write_text("".join(lines))
    result = rnncli("train", "--resume", "run", "--set", "task.train=other.tsv")
    assert result.exit_code == 2
    assert "run: the examples to train on are not those that it was trained with" in result.stderr
    assert "--allow-changed-data" in result.stderr
    allowed = rnncli("train", "--resume", "run", "--set", "task.train=other.tsv", "--allow-changed-data")
    assert allowed.exit_code == 0, allowed.stderr
    assert [line["epoch"] for line in interrupted.metrics("run")] == [1, 2, 3, 4]
    manifest = json.loads(Path("run/manifest.json").read_text())
    assert [entry["step"] for entry in manifest["resumed"]] == [STEPS + 1]


def test_data_that_only_lies_elsewhere_is_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = parse_config(interrupted.write_config(tmp_path, "attention on pairs").read_text(), "c")
    moved = config.task.model_copy(update={"train": config.task.validation.model_copy(update={"file": "m.tsv"})})
    refuse_differences(config, config.model_copy(update={"task": moved}), "run")


def test_what_may_change_the_last_bits_is_noted(stopped):
    directory = RunDir(stopped)
    began = json.loads((stopped / "manifest.json").read_text())
    assert note_changes(directory, began, 16) == []
    (note,) = note_changes(directory, {**began, "parts": 2}, 16)
    assert "may end at other bits" in note
    assert "parts: 1 when it began, 2 now; --set runtime.cores=1 splits batches as before" in note
    after = json.loads((stopped / "manifest.json").read_text())
    assert after == {**began, "resumed": [{"step": 16, "parts": 2}]}


def test_neither_how_steps_are_grouped_nor_when_checkpoints_are_written_changes_a_bit(whole, tmp_path, monkeypatch):
    monkeypatch.setattr("rnncli.training.loop.CALL_SECONDS", 1e-9)  # a step a call
    monkeypatch.setattr(
        "rnncli.training.saving.MOST_TIME", 0
    )  # nothing may be written after the first, but at the end
    steps(tmp_path / "run", interrupted.write_config(tmp_path, "lstm", every="auto").read_text())
    check_equal(whole, tmp_path / "run")
    best = checkpoints.Checkpoints(whole).pointed("best")
    assert best != "00000006", "it was held back"
    names = checkpoints.Checkpoints(tmp_path / "run").names()
    assert set(names) <= {"00000006", best, "00000024"}


def test_when_checkpoints_are_due():
    assert Checkpoint(every="0.5 minutes").seconds == 30
    assert Checkpoint(every="1 minute").seconds == 60
    assert Checkpoint(every="500 steps").steps == 500
    assert (Checkpoint().steps, Checkpoint(every="epoch").seconds) == (None, None)


def lock_of(path):
    return json.loads((path / LOCK).read_text())


def test_a_second_trainer_is_refused_with_the_first_ones_process_and_host(stopped):
    with locked(stopped) as note:
        assert note is None
        assert lock_of(stopped)["pid"] == os.getpid()
        result = rnncli("train", "--resume", "run")
    assert result.exit_code == 1
    assert f"run: process {os.getpid()} on {socket.gethostname()} trains there since" in result.stderr
    assert not (stopped / LOCK).exists()


def test_a_lock_that_nobody_holds_is_taken_over(tmp_path):
    (tmp_path / LOCK).write_text('{"pid": 123, "host": "elsewhere"}')
    with locked(tmp_path) as note:
        assert "process 123 on elsewhere ended without removing it" in note
        with pytest.raises(RunFailedError), locked(tmp_path):
            pass
        assert lock_of(tmp_path)["host"] == socket.gethostname()


def test_a_lock_is_never_written_through_a_link(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / LOCK).symlink_to(tmp_path / "mine")
    with pytest.raises(RunFailedError, match="cannot be written"), locked(tmp_path):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_nothing_is_written_into_a_run_with_links(stopped, tmp_path):
    (stopped / "metrics.jsonl").rename(tmp_path / "elsewhere")
    (stopped / "metrics.jsonl").symlink_to(tmp_path / "elsewhere")
    assert "metrics.jsonl: a link" in rnncli("train", "--resume", "run").stderr


def test_a_full_disk_leaves_the_checkpoint_before_and_says_how_to_go_on(stopped, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoints, "write_synced", full)
    before = tree(stopped / "checkpoints")
    result = rnncli("train", "--resume", "run")
    assert result.exit_code == 1
    assert "run/checkpoints: the checkpoint of step 18 cannot be written: No space left on device" in result.stderr
    assert "that of step 16 stays; when this is mended, rnncli train --resume run goes on" in result.stderr
    assert tree(stopped / "checkpoints") == before


class Kill(keras.callbacks.Callback):
    """Sends signals to this process, at the end of the second epoch."""

    def __init__(self, *signals):
        super().__init__()
        self.signals = signals

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 1:
            for number in self.signals:
                os.kill(os.getpid(), number)


def test_an_interrupt_stops_it_with_a_checkpoint_and_how_to_go_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    monkeypatch.setattr("rnncli.training.progress.Progress", lambda *_: Kill(signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    result = rnncli("train", "config.yaml", "--run-dir", "a run")
    assert (result.exit_code, result.stdout) == (130, "")
    assert "stopped at step 12 of 24; go on with: rnncli train --resume 'a run'\n" in result.stderr
    assert signal.getsignal(signal.SIGINT) == before
    assert not Path("a run", LOCK).exists()
    assert resumed(Path("a run")).standing.step == 12


def test_a_second_interrupt_stops_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm", every="epoch")
    monkeypatch.setattr("rnncli.training.progress.Progress", lambda *_: Kill(signal.SIGINT, signal.SIGINT))
    result = rnncli("train", "config.yaml", "--run-dir", "run")
    assert result.exit_code == 130
    assert "stopped at once; go on from the last checkpoint with: rnncli train --resume run" in result.stderr
    assert checkpoints.Checkpoints(Path("run")).names() == ["00000006"]


def test_an_interrupt_before_the_first_step_leaves_nothing(tmp_path, monkeypatch):
    class Early(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    monkeypatch.setattr("rnncli.training.progress.Progress", lambda *_: Early())
    assert rnncli("train", "config.yaml", "--run-dir", "run").exit_code == 130
    assert not Path("run").exists()


def test_processes_that_are_killed_inside_of_a_write_and_told_to_end(whole, tmp_path):
    interrupted.write_config(tmp_path, "lstm")
    server = interrupted.Server()
    first, _ = server(tmp_path, "train", "config.yaml", "--run-dir", "run", write=9, signal="SIGKILL")
    second, taken_over = server(tmp_path, "train", "--resume", "run", step=17, signal="SIGTERM")
    third, said = server(tmp_path, "train", "--resume", "run")
    server.close()
    assert (first, second, third) == (-signal.SIGKILL, 143, 0), said
    assert "ended without removing it; taken over" in taken_over
    assert "stopped at step 17 of 24; go on with: rnncli train --resume run\n" in taken_over
    check_equal(whole, tmp_path / "run")


NOISY = """
import keras
from keras import ops


class Noisy(keras.layers.Layer):
    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.state_size, self.dense = units, keras.layers.Dense(units)
        self.seeds = keras.random.SeedGenerator(1)

    def call(self, inputs, states):
        state = ops.tanh(self.dense(inputs) + states[0] + keras.random.normal(ops.shape(states[0]), seed=self.seeds))
        return state, [state]
"""


def test_seed_generators_of_a_custom_cell_go_on_and_its_code_needs_trust(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("noisy.py").write_text(NOISY)
    model = '{type: classifier, units: 4, cell: {type: custom, class: "noisy:Noisy"}}'
    training = "{epochs: 2, batch_size: 8}"
    Path("config.yaml").write_text(f"task: {interrupted.ADDITION}\nmodel: {model}\ntraining: {training}\n")
    from rnncli.usercode import places_of

    text, places = Path("config.yaml").read_text(), places_of("config.yaml")
    steps(Path("whole"), text, places=places)
    steps(Path("run"), text, until=4, places=places)
    assert next(Path("run").glob(f"checkpoints/*/{SEEDS}"))
    refused = rnncli("train", "--resume", "run")
    assert refused.exit_code == 2
    assert "--trust-code" in refused.stderr
    assert rnncli("train", "--resume", "run", "--trust-code").exit_code == 0
    assert interrupted.end("whole") == interrupted.end("run")
    assert interrupted.metrics("whole") == interrupted.metrics("run")


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "sgd"])
def test_what_does_not_fit_the_optimizer_is_refused_before_anything_is_changed(runtime, optimizer, precision):
    from rnncli.models import build_model

    config = parse_config(ANY.format(f"optimizer: {optimizer}", "", ""), "c")
    config = config.model_copy(update={"runtime": config.runtime.model_copy(update={"precision": precision})})
    task = build_task(config)
    examples = task.splits()[0]
    with runtime.strategy.scope():
        model = build_model(config, task.sizes)
    step = build_step(config, Batches(config, examples, 1), model, runtime)
    variables = Variables(model, step.optimizer, {}, 1)
    before = variables.arrays()
    assert any("iteration" in name for name in before["optimizer.safetensors"])
    for file in ("weights.safetensors", "optimizer.safetensors"):
        for name, value in before[file].items():
            changes = [np.zeros((*value.shape, 2), value.dtype), value.astype(np.float64)]
            changes += [np.full_like(value, np.nan)] if value.dtype.kind == "f" else []
            for changed in changes:
                given = {key: {k: v + 1 for k, v in named.items()} for key, named in before.items()}
                given[file][name] = changed
                with pytest.raises(Exception, match=name):
                    variables.assign(given)
        with pytest.raises(Exception, match="is in the config but not the file"):
            variables.assign({**before, file: {}})
    for file, named in variables.arrays().items():
        for name, value in named.items():
            np.testing.assert_array_equal(value, before[file][name])
    changed = {key: {k: v + 1 for k, v in named.items()} for key, named in before.items()}
    variables.assign(changed)
    for file, named in variables.arrays().items():
        for name, value in named.items():
            np.testing.assert_array_equal(value, changed[file][name])


@pytest.mark.parametrize("every", ["5", "5 step s", "0 steps", "0.0 minutes", "often", "1.5 steps"])
def test_when_checkpoints_are_written_needs_a_unit(every):
    with pytest.raises(ConfigError, match=r"checkpoint\.every: not auto, epoch, or a number with its unit"):
        parse_config(ANY.format("", "", f"every: '{every}'"), "c")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train"], "Missing argument 'CONFIG', or --resume RUN."),
        (["train", "--resume", "run", "--run-dir", "other"], "give --run-dir or --resume, not both"),
        (["train", "c.yaml", "--allow-changed-data"], "are for --resume"),
        (["train", "--resume", "nothing"], "nothing: no such run directory"),
        (["verify"], "give RUN, or --resume CONFIG"),
        (["verify", "run", "--set", "a=b"], "--set and --steps are for --resume"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, said):
    result = rnncli(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_verify_finds_a_sound_run_sound(stopped):
    result = rnncli("verify", "run")
    assert result.exit_code == 0, result.stdout
    lines = result.stdout.splitlines()
    assert {line.split()[0] for line in lines} == {"ok"}
    assert "ok     checkpoints/00000016 in the model" in lines


def widen(path):
    path.write_text(path.read_text().replace("units: 6", "units: 7"))


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("config.yaml", interrupted.halve, "wrong  config.yaml:"),
        ("config.yaml", widen, "wrong  checkpoints/00000016 in the model: weights.safetensors"),
        ("vocabulary.json", interrupted.halve, "wrong  vocabulary.json:"),
        ("manifest.json", interrupted.halve, "wrong  manifest.json:"),
        ("checkpoints/00000016/optimizer.safetensors", interrupted.flip, "wrong  checkpoints/00000016:"),
        ("checkpoints/00000016/losses.safetensors", os.remove, "wrong  checkpoints/00000016:"),
        ("checkpoints/best", os.remove, "wrong  checkpoints/best:"),
        ("checkpoints/last", lambda path: path.write_text("00000099"), "wrong  checkpoints/last: names no"),
        ("metrics.jsonl", interrupted.halve, "wrong  metrics.jsonl: line 2 is not that of epoch 2"),
        ("metrics.jsonl", os.remove, "wrong  metrics.jsonl: has 0 epochs, and the newest checkpoint is of epoch 2"),
    ],
)
def test_verify_names_what_is_wrong(stopped, name, damage, said):
    damage(stopped / name)
    result = rnncli("verify", "run")
    assert result.exit_code == 1
    assert said in result.stdout


def test_verify_proves_that_a_config_resumes_exactly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    result = rnncli("verify", "--resume", "config.yaml", "--set", "model.encoder.units=5")
    assert result.exit_code == 0, result.stderr
    (one, whole), (two, pieces), equal = [line.split("  ") for line in result.stdout.splitlines()[:2]] + [
        result.stdout.splitlines()[2]
    ]
    assert (whole, pieces, equal) == ("9 steps", "4 steps, a checkpoint, 5 steps", "equal")
    assert one == two
    assert len(one) == 64


def test_verify_sees_a_difference(tmp_path, monkeypatch):
    def train(config, task, splits, directory, runtime, **_):
        """Every time other weights."""
        weights.append(np.full(3, len(weights), np.float32))
        arrays = {"weights.safetensors": {"kernel": weights[-1]}, "optimizer.safetensors": {}}
        directory.save_checkpoint(len(weights), arrays, Standing().as_values(), True)

    weights = []
    monkeypatch.chdir(tmp_path)
    interrupted.write_config(tmp_path, "lstm")
    monkeypatch.setattr("rnncli.training.proof.train", train)
    result = rnncli("verify", "--resume", "config.yaml")
    assert result.exit_code == 1, result.stderr
    assert result.stdout.endswith("different\n")
    one, two, _ = result.stdout.splitlines()
    assert one.split()[0] != two.split()[0]
