"""A run that was interrupted goes on as if it had not been, bit for bit; where it cannot, it is refused."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import interrupted_training as interrupted
import pytest
from bad_input import tree
from interrupted_training import STEPS, check_equal, resumed, rnncli, steps

from rnncli import load
from rnncli.config import CheckpointConfig, describe_differences, parse_config, refuse_differences
from rnncli.config.resume_rules import MAY_DIFFER
from rnncli.errors import ConfigError
from rnncli.runs import resume
from rnncli.runs.checkpoints import SEEDS
from rnncli.runs.directory import RunDir
from rnncli.training.interruption import Stopped

pytestmark = pytest.mark.usefixtures("runtime")


@pytest.mark.parametrize(
    ("model", "cores"),
    [
        pytest.param("gru with all dropouts", 2, marks=pytest.mark.long),
        pytest.param("stateful", 1, marks=pytest.mark.long),
        pytest.param("monotonic attention on pairs", 2, marks=pytest.mark.long),
    ],
)
def test_interrupted_run_ends_at_the_bits_of_an_uninterrupted_one(tmp_path, monkeypatch, model, cores):
    monkeypatch.chdir(tmp_path)
    text = interrupted.write_config(tmp_path, model, cores=cores).read_text()
    steps(tmp_path / "whole", text)
    until = 2 * STEPS + 4
    assert steps(tmp_path / "pieces", text, until) == Stopped(until, 4 * STEPS, None)
    steps(tmp_path / "pieces", text)
    check_equal(tmp_path / "whole", tmp_path / "pieces")


def test_train_resumes_a_run(whole, stopped):
    result = rnncli("train", "--resume", "run")
    assert (result.exit_code, result.stdout) == (0, "run\n"), result.stderr
    assert "run: resuming after step 16" in result.stderr
    check_equal(whole, stopped)


def test_resume_passes_over_a_damaged_checkpoint_and_cuts_later_logs(whole, stopped):
    assert interrupted.damage_newest(stopped) == "00000016"
    leftover = stopped / "checkpoints" / ".00000020-0123456789abcdef"
    leftover.mkdir()
    (leftover / "weights.safetensors").write_text("half")
    lines = (stopped / "metrics.jsonl").read_text()
    (stopped / "metrics.jsonl").write_text(f'{lines}{{"epoch": 3, "loss": 9}}\n{{"epoch": 4, "lo')
    result = rnncli("train", "--resume", "run", "--quiet")
    assert "run/checkpoints/00000016/weights.safetensors: damaged: its sha256" in result.stderr
    assert "from checkpoint 15 " in result.stderr
    assert not leftover.exists()
    check_equal(whole, stopped)


def test_resume_detects_a_flipped_bit(stopped):
    interrupted.damage_newest(stopped, interrupted.flip)
    assert resumed(stopped).checkpoint.step == 15


def test_resume_works_without_the_best_checkpoint(stopped):
    best = (stopped / "checkpoints" / "best").read_text().strip()
    assert resumed(stopped).best == best
    interrupted.flip(stopped / "checkpoints" / best / "weights.safetensors")
    found = resumed(stopped)
    assert (found.checkpoint.step, found.best, found.state.best) == (16, None, {})
    assert f"checkpoints/{best}/" in found.notes[0]
    shutil.rmtree(stopped / "checkpoints" / best)
    assert f"the best checkpoint, {best}, is missing" in resumed(stopped).notes[0]


def test_resume_without_a_sound_checkpoint_is_refused(stopped):
    for path in stopped.glob("checkpoints/*/weights.safetensors"):
        interrupted.halve(path)
    result = rnncli("train", "--resume", "run")
    assert result.exit_code == 2
    assert "run: no checkpoint is valid: " in result.stderr
    assert "rnncli train run/config.yaml" in result.stderr


def test_resume_without_a_checkpoint_starts_again(whole, stopped):
    shutil.rmtree(stopped / "checkpoints")
    result = rnncli("train", "--resume", "run")
    assert "run: resuming from the start" in result.stderr
    check_equal(whole, stopped)


def test_resume_leaves_a_finished_run_as_it_is(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, "run")
    before = tree(Path("run"))
    result = rnncli("train", "--resume", "run")
    assert (result.exit_code, result.stdout) == (0, "run\n")
    assert "finished (epoch 4)" in result.stderr
    assert tree(Path("run")) == before


CHANGED = ["--set", "training.batch_size=4", "--set", "model.cell=gru"]


def test_resume_names_every_key_that_differs(stopped):
    before = tree(stopped)
    result = rnncli("train", "--resume", "run", *CHANGED)
    assert result.exit_code == 2
    for key, values in {"model.cell": ("lstm", "gru"), "training.batch_size": ("8", "4")}.items():
        assert re.search(rf"{key} \S+ \S*{values[0]}\S* .*{values[1]}", result.stderr)
    assert tree(stopped) == before


def test_resume_accepts_the_same_config(stopped):
    Path("mine.yaml").write_text((stopped / "config.yaml").read_text().replace("batch_size: 8", "batch_size: 9"))
    result = rnncli("train", "mine.yaml", "--resume", "run")
    assert "training.batch_size" in result.stderr


ANY = "{{task: addition, model: repeat_vector, training: {{{}}}, runtime: {{{}}}, checkpoint: {{{}}}}}"


@pytest.mark.parametrize(
    ("old", "new", "refused"),
    [
        (("epochs: 3", "", ""), ("epochs: 4", "", ""), ""),
        (("csv_log: true", "", ""), ("tensorboard: true", "", ""), ""),
        (("", "cores: 1", ""), ("", "cores: 2, kernel: generic, device: cpu", "every: 3 steps, keep: 1"), ""),
        (("", "", ""), ("", "precision: mixed_float16", ""), 'runtime.precision was "float32"'),
        (("seed: 1", "", ""), ("seed: 2", "", ""), "training.seed was 1 "),
        (
            ("epochs: 3, schedule: warmup_cosine", "", ""),
            ("epochs: 4, schedule: warmup_cosine", "", ""),
            "training.epochs was 3 ",
        ),
        (
            ("", "", ""),
            ("early_stopping: {patience: 2}", "", ""),
            "training.early_stopping was null ",
        ),
    ],
)
def test_resume_accepts_or_refuses_each_key_that_differs(old, new, refused):
    before, after = (parse_config(ANY.format(*sections), "c") for sections in (old, new))
    if not refused:
        refuse_differences(before, after, "run")
        assert describe_differences(before, after)
        return
    with pytest.raises(ConfigError, match=refused):
        refuse_differences(before, after, "run")


def test_resume_with_more_epochs_of_a_schedule_says_how_to_train_on():
    before = parse_config(ANY.format("epochs: 3, schedule: warmup_cosine, warmup_steps: 2", "", ""), "c")
    for changed in ("epochs: 4, schedule: warmup_cosine, warmup_steps: 2", "epochs: 4"):
        with pytest.raises(ConfigError) as refused:
            refuse_differences(before, parse_config(ANY.format(changed, "", ""), "c"), "a run")
        assert "rnncli train 'a run/config.yaml' --set 'training.init_from=a run'" in refused.value.hint
        assert "keys that can change" not in refused.value.hint
        assert "--trust-code" not in refused.value.hint


def test_hint_to_train_on_trusts_the_code_of_the_run():
    callbacks = "schedule: linear, callbacks: [{class: 'own:Called'}]"
    before, after = (parse_config(ANY.format(f"epochs: {epochs}, {callbacks}", "", ""), "c") for epochs in (3, 4))
    with pytest.raises(ConfigError) as refused:
        refuse_differences(before, after, "run")
    assert refused.value.hint.endswith("--trust-code")


def test_documentation_lists_the_keys_of_training_that_may_change():
    text = (Path(__file__).parents[2] / "docs/how-to/train.md").read_text()
    assert not [key for key in MAY_DIFFER if key.startswith("training.") and key not in text]


@pytest.mark.parametrize(("name", "first"), [("val_exact_match", 0), ("exact_match", 1)])
def test_csv_log_that_begins_late_is_cut_by_epoch(stopped, name, first):
    epochs = range(1 + first, 5 + first)  # the second epoch to the fifth
    lines = [f"epoch,{name}\n", *(f"{epoch},0.5\n" for epoch in epochs)]
    (stopped / "metrics.csv").write_text("".join(lines) + "5,0.")
    point = replace(resumed(stopped), state=resumed(stopped).state.model_copy(update={"epoch": 3}))
    directory = RunDir(stopped)
    resume.rollback_to_resume_point(directory, point, directory.read_config())
    assert (stopped / "metrics.csv").read_text() == "".join(lines[:3])


@pytest.mark.long
def test_resume_with_more_epochs_logs_each_epoch_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    constant = "{epochs: 2, batch_size: 23, csv_log: true, tensorboard: true}"
    text = interrupted.write_config(tmp_path, "lstm", constant).read_text()
    steps(Path("run"), text)
    steps(Path("whole"), text.replace("epochs: 2", "epochs: 3"))
    shutil.rmtree("run/checkpoints/00000004")  # as if it had been killed before it was written
    resumed = rnncli("train", "--resume", "run", "--set", "training.epochs=3")
    assert resumed.exit_code == 0
    assert "training.epochs was 2 and is now 3" in resumed.stderr
    check_equal(Path("whole"), Path("run"))
    assert "epochs: 3" in Path("run/config.yaml").read_text()
    assert logged(Path("run")) == logged(Path("whole"))
    assert len(logged(Path("run"))) == 3


def logged(run):
    """Epochs and losses as TensorBoard shows them."""
    import tensorflow as tf

    accumulator = pytest.importorskip("tensorboard.backend.event_processing.plugin_event_accumulator")
    events = accumulator.EventAccumulator(str(run / "tensorboard" / "train"), purge_orphaned_data=True).Reload()
    return [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events.Tensors("epoch_loss")]


@pytest.mark.long
def test_resume_refuses_changed_data_unless_allowed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = interrupted.write_config(tmp_path, "attention on pairs").read_text()
    model = "{type: encoder_decoder, encoder: {units: 4}, decoder: {units: 4}}"
    text = re.sub("model: .*", f"model: {model}", text).replace("buckets: 2", "buckets: 1")
    steps(Path("run"), text, until=STEPS + 1)
    lines = Path("pairs.tsv").read_text().splitlines(keepends=True)
    Path("other.tsv").write_text("".join([*lines[:-1], "abc\tbca\n"]))
    Path("moved.tsv").write_text("".join(lines))
    result = rnncli("train", "--resume", "run", "--set", "task.train=other.tsv")
    assert result.exit_code == 2
    assert "run: the training examples " in result.stderr
    assert "--allow-changed-data" in result.stderr
    allowed = rnncli("train", "--resume", "run", "--set", "task.train=other.tsv", "--allow-changed-data")
    assert allowed.exit_code == 0, allowed.stderr
    assert [line["epoch"] for line in interrupted.metrics("run")] == [1, 2, 3, 4]
    manifest = json.loads(Path("run/manifest.json").read_text())
    assert [entry["step"] for entry in manifest["resumed"]] == [STEPS + 1]


def test_resume_accepts_the_same_data_at_another_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = parse_config(interrupted.write_config(tmp_path, "attention on pairs").read_text(), "c")
    moved = config.task.model_copy(update={"train": config.task.validation.model_copy(update={"file": "m.tsv"})})
    refuse_differences(config, config.model_copy(update={"task": moved}), "run")


@pytest.mark.parametrize("every", ["1 steps", pytest.param("auto", marks=pytest.mark.long)])
def test_steps_per_call_and_checkpoint_times_do_not_change_the_bits(whole, tmp_path, every):
    """No call goes beyond the step of a checkpoint, and "auto" holds most checkpoints of so short a training back."""
    steps(tmp_path / "run", interrupted.write_config(tmp_path, "lstm", every=every).read_text())
    check_equal(whole, tmp_path / "run")


def test_checkpoints_are_due_as_the_config_says():
    assert CheckpointConfig(every="0.5 minutes").seconds == 30
    assert CheckpointConfig(every="1 minute").seconds == 60
    assert CheckpointConfig(every="500 steps").steps == 500
    assert (CheckpointConfig().steps, CheckpointConfig(every="epoch").seconds) == (None, None)


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


@pytest.mark.long
def test_resume_continues_seed_generators_of_a_trusted_custom_cell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("noisy.py").write_text(NOISY)
    model = '{type: classifier, units: 4, cell: {type: custom, class: "noisy:Noisy"}}'
    training = "{epochs: 2, batch_size: 8}"
    task = "{type: addition, digits: 2, examples: 446, held_out: 400}"  # held out: several batches, one after another
    Path("config.yaml").write_text(f"task: {task}\nmodel: {model}\ntraining: {training}\n")
    from rnncli.runtime.user_code import config_search_path

    text, search_path = Path("config.yaml").read_text(), config_search_path("config.yaml")
    steps(Path("whole"), text, search_path=search_path)
    steps(Path("run"), text, until=4, search_path=search_path)
    assert next(Path("run").glob(f"checkpoints/*/{SEEDS}"))
    refused = rnncli("train", "--resume", "run")
    assert refused.exit_code == 2
    assert "--trust-code" in refused.stderr
    assert rnncli("train", "--resume", "run", "--trust-code").exit_code == 0
    assert interrupted.end("whole") == interrupted.end("run")
    assert interrupted.metrics("whole") == interrupted.metrics("run")
    seeds = [max(Path(run).glob(f"checkpoints/*/{SEEDS}")) for run in ("whole", "run")]
    assert seeds[0].read_bytes() == seeds[1].read_bytes()
    in_turn = load("run", trust_code=True)._run.decoder
    assert in_turn.workers == 1, "else the order in which random numbers are drawn would be that of the threads"


@pytest.mark.parametrize("every", ["5", "5 step s", "0 steps", "0.0 minutes", "often", "1.5 steps"])
def test_checkpoint_every_needs_a_unit(every):
    with pytest.raises(ConfigError, match=r"checkpoint\.every: "):
        parse_config(ANY.format("", "", f"every: '{every}'"), "c")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train"], "CONFIG"),
        (["train", "--resume", Path(__file__).parent, "--run-dir", "other"], "--run-dir"),
        (["train", "c.yaml", "--allow-changed-data"], "--resume"),
        (["train", "--resume", "nothing"], "nothing: no such run directory"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments, said):
    result = rnncli(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
