"""Training that starts from the weights of another run: what is taken, what is recorded, and how it resumes."""

import json
import shutil

import interrupted_training as interrupted
import numpy as np
import pytest
from click.testing import CliRunner

import rnncli
from rnncli.cli.main import main
from rnncli.config import parse_config
from rnncli.data.vocabulary import Vocabularies
from rnncli.errors import InputError, RunDirError
from rnncli.models import build_model
from rnncli.runs.checkpoints import CheckpointRecord
from rnncli.runs.directory import RunDir
from rnncli.runs.start_weights import StartWeights
from rnncli.training.inputs import TrainingInputs
from rnncli.training.interruption import Stop
from rnncli.training.job import TrainingJob
from rnncli.training.warm_start import take_weights

pytestmark = pytest.mark.usefixtures("runtime")
TUNED = "{epochs: 2, batch_size: 4, optimizer: sgd, learning_rate: 0.05, seed: 3, init_from: parent}"
EMBEDDING, OUTPUT = "target_symbols/embedding/embeddings", "output/kernel"


def tuned(**changes):
    """A config of other data with a symbol more, another optimizer and the parent's model."""
    sections = {**interrupted.MODELS["attention on pairs"], "training": TUNED, **changes}
    sections["task"] = sections["task"].replace("pairs.tsv", "more.tsv")
    return parse_config("".join(f"{key}: {value}\n" for key, value in sections.items()), "c.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, runtime):
    """A directory with a run, and with pairs that have a source symbol and a target symbol more.

    No epoch ends, which would compile much more.
    """
    folder = tmp_path_factory.mktemp("warm")
    text = interrupted.write_config(folder, "attention on pairs").read_text()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "more.tsv").write_text("".join(f"{a}{b}é\té{b}{a}\n" for a in "abcde" for b in "abcf"))
        with TrainingJob.new(
            TrainingInputs.read(parse_config(text, "c.yaml", ["training.buckets=1"])), folder / "parent"
        ) as job:
            job.run(stop=Stop(2))
        with TrainingJob.new(TrainingInputs.read(tuned()), folder / "child") as job:
            notes = []
            job.run(stop=Stop(1), note=notes.append)
        (folder / "notes").write_text("\n".join(notes))
    return folder


@pytest.fixture(autouse=True)
def _there(folder, monkeypatch):
    monkeypatch.chdir(folder)


def weights(run, which):
    return RunDir(run).checkpoints.load_arrays(which=which)[0]


def test_rows_of_known_symbols_are_taken_and_those_of_new_ones_are_random(folder):
    before, after = weights(folder / "parent", "last"), weights(folder / "child", "0")
    old, new = (json.loads((folder / run / "vocabulary.json").read_text())["target"] for run in ("parent", "child"))
    assert new == [*old, "é"]
    np.testing.assert_array_equal(after[EMBEDDING][: len(old)], before[EMBEDDING])
    np.testing.assert_array_equal(after[OUTPUT][:, : len(old)], before[OUTPUT])
    assert after[EMBEDDING].shape[0] == len(new)
    assert np.abs(after[EMBEDDING][-1]).max() > 0
    for name in before.keys() - {EMBEDDING, OUTPUT, "output/bias"}:
        if before[name].shape == after[name].shape:
            np.testing.assert_array_equal(after[name], before[name])
    source = "encoder_0/forward/lstm_cell/kernel"  # of one-hot vectors
    np.testing.assert_array_equal(after[source][: len(old)], before[source])


def test_what_was_taken_is_said_and_recorded(folder):
    notes, recorded = (folder / "notes").read_text(), json.loads((folder / "child/manifest.json").read_text())
    parent = RunDir(folder / "parent").checkpoints.read_record("last")
    assert EMBEDDING in notes
    assert "1 new source symbols" in notes
    assert recorded["init_from"]["weights_digest"] == parent.weights_digest
    assert recorded["init_from"]["step"] == parent.step
    assert EMBEDDING in recorded["init_from"]["parts"]
    assert recorded["init_from"]["new"] == recorded["init_from"]["unused"] == {}


@pytest.mark.long
def test_it_resumes_to_the_same_bits_without_the_other_run(folder, tmp_path):
    with TrainingJob.new(TrainingInputs.read(tuned()), tmp_path / "whole") as job:
        job.run(stop=Stop(4))
    shutil.copytree(folder / "child", tmp_path / "child")
    shutil.move(folder / "parent", folder / "away")
    try:
        with TrainingJob.resume(tmp_path / "child") as job:
            job.run(stop=Stop(4))
    finally:
        shutil.move(folder / "away", folder / "parent")
    assert interrupted.end(tmp_path / "child") == interrupted.end(tmp_path / "whole")


def test_run_without_a_checkpoint_starts_from_the_other_run_again(tmp_path):
    directory = RunDir.create(tmp_path / "run", tuned())
    (directory.path / "metrics.jsonl").touch()
    with TrainingJob.resume(directory.path) as job:
        assert job.inputs.start is not None


def test_start_cannot_be_changed_when_training_resumes(folder):
    with pytest.raises(InputError, match=r"training\.init_from"):
        TrainingJob.resume(folder / "child", overrides=["training.init_from=null"]).__enter__()


@pytest.mark.parametrize(
    ("key", "value", "needed"),
    [
        ("encoder.units", 7, "model.encoder.units=6"),
        ("decoder.embedding", None, "model.decoder.embedding=4"),
        ("encoder.bidirectional", False, "model.encoder.bidirectional=true"),
        ("cell", "gru", "model.cell=lstm"),
    ],
)
def test_model_that_cannot_fit_is_refused_with_what_would(key, value, needed):
    model = tuned().model.model_dump(by_alias=True)
    section = model[key.partition(".")[0]] if "." in key else model
    section[key.rpartition(".")[2]] = value
    with pytest.raises(InputError, match=r"^training\.init_from: parent: ") as error:
        TrainingInputs.read(tuned(model=json.dumps(model)))
    assert needed in error.value.hint


def test_deeper_model_has_random_layers_and_dense_bridge_of_other_size_is_refused(folder, tmp_path):
    model = tuned().model.model_dump(by_alias=True)
    model["decoder"]["layers"] = 2
    inputs = TrainingInputs.read(tuned(model=json.dumps(model)))
    taken = take_weights(build_model(inputs.config, inputs.task.sizes), inputs.start, inputs)
    assert {name.partition("/")[0] for name in taken.new} == {"bridge", "decoder_1"}
    model["decoder"]["layers"], model["encoder"]["layers"] = 1, 2
    inputs = TrainingInputs.read(tuned(model=json.dumps(model)))
    misfit = pytest.raises(InputError, match=r"bridge/\S+ is \[24, 6\] there and \[48, 6\]")
    with misfit, TrainingJob.new(inputs, tmp_path / "run") as job:
        job.run()
    assert not (tmp_path / "run").exists()


def test_classifier_takes_a_language_models_layers_but_not_its_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "{task: {type: text, windows: 9, window: 5}, model: {type: next_step, units: 6, embedding: 3}}"
    language = TrainingInputs.read(parse_config(text, "c.yaml"))
    model = build_model(language.config, language.task.sizes)
    both = Vocabularies(language.task.source_vocabulary, language.task.target_vocabulary)
    start = StartWeights(tmp_path, "best", language.config, both, model.arrays(), CheckpointRecord())
    (tmp_path / "t.tsv").write_text("A\tabz\nB\tcdz\n")
    text = (
        "{task: {type: classify, train: t.tsv, validation: t.tsv}, model: {type: classifier, units: 6, embedding: 3}}"
    )
    inputs = TrainingInputs.read(parse_config(text, "c.yaml"))
    taken = take_weights(build_model(inputs.config, inputs.task.sizes), start, inputs)
    assert set(taken.new) == set(taken.unused) == {"output/kernel", "output/bias"}
    assert set(taken.parts) == {"source_symbols/embedding/embeddings"}


def test_missing_run_is_refused():
    with pytest.raises(RunDirError):
        TrainingInputs.read(tuned(training=TUNED.replace("parent", "nowhere")))


def test_command_takes_the_beginning_of_a_runs_name(folder, tmp_path):
    run, model = tmp_path / "run", "--set=model.encoder.units=7"
    done = CliRunner().invoke(
        main, ["train", "child/config.yaml", model, "--init-from", "par", "--run-dir", str(run)]
    )
    assert (done.exit_code, run.exists()) == (2, False)
    assert done.stderr.startswith("error: training.init_from: parent: model.encoder.units is 6 there and 7 here")
    with pytest.raises(InputError, match=r"parent: model\.encoder\.units"):
        rnncli.train("child/config.yaml", ["model.encoder.units=7"], init_from="par", progress=False)
    wrong = CliRunner().invoke(main, ["train", "--resume", "child", "--init-from", "parent"])
    assert (wrong.exit_code, "exclude each other" in wrong.stderr) == (2, True)
