"""A trained run from Python."""

import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner

import rnncli
from rnncli.cli.main import main
from rnncli.errors import InputError, RnncliWarning, RunDirError

pytestmark = pytest.mark.usefixtures("runtime")
TINY = """
task: {type: addition, digits: 1, examples: 55, held_out: 5}
model: {type: encoder_decoder, cell: lstm, encoder: {units: 6}, decoder: {units: 6}}
training: {epochs: 40, batch_size: 10, learning_rate: 1e-2}
"""
LETTERS = "{task: alphabet, model: {type: next_step, cell: gru, units: 5, layers: 2}, training: {epochs: 1}}"


def trained(folder, text):
    (folder / "tiny.yaml").write_text(text)
    result = CliRunner().invoke(main, ["train", str(folder / "tiny.yaml"), "--run-dir", str(folder / "run"), "-q"])
    assert result.exit_code == 0, result.stderr
    return rnncli.load(folder / "run")


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("sums"), TINY)


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("letters"), LETTERS)


def test_public_names_are_there_from_the_start_without_tensorflow():
    code = """
import sys, rnncli
assert set(rnncli.__all__) <= set(dir(rnncli))
assert issubclass(rnncli.errors.RnncliError, Exception)
assert rnncli.Run.__name__ == "Run"
rnncli.claim_process()
assert rnncli.__version__.count(".") == 2
assert not hasattr(rnncli, "nothing")
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
from rnncli import *
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


def test_predict_from_encoded_states_equals_predict(sums):
    questions = ["1+2", "9+9", "4+0"]
    state = sums.encode(questions)
    assert {name: value.shape for name, value in state.items()} == {
        "decoder/0/forward/h": (3, 6),
        "decoder/0/forward/c": (3, 6),
    }
    plain = sums.predict(questions)
    put_back = sums.predict(questions, initial_state=state)
    assert [p.text for p in put_back] == [p.text for p in plain]
    assert [p.score for p in put_back] == [p.score for p in plain]  # bit for bit


def test_predict_depends_on_the_initial_state_not_the_source(sums):
    state = sums.encode(["9+9", "1+2"])
    swapped = {name: value[::-1].copy() for name, value in state.items()}
    texts = [p.text for p in sums.predict(["9+9", "1+2"])]
    assert [p.text for p in sums.predict(["9+9", "1+2"], initial_state=swapped)] == texts[::-1]


@pytest.mark.parametrize("cut", [1, 4, 7])
def test_unroll_in_two_calls_equals_one_call(letters, cut):
    ids = np.random.default_rng(0).integers(0, 26, (3, 8))
    whole, end = letters.unroll(ids)
    first, state = letters.unroll(ids[:, :cut])
    rest, last = letters.unroll(ids[:, cut:], state)
    np.testing.assert_allclose(np.concatenate([first, rest], axis=1), whole, atol=1e-6)
    assert set(last) == {"rnn/0/forward/h", "rnn/1/forward/h"}
    for name, value in end.items():
        np.testing.assert_allclose(last[name], value, atol=1e-6)


def test_states_with_wrong_names_or_shapes_are_refused(sums, letters):
    state = sums.encode(["1+2"])
    with pytest.raises(InputError, match="decoder/0/forward/c"):
        sums.predict(["1+2"], initial_state={"decoder/0/forward/h": state["decoder/0/forward/h"]})
    with pytest.raises(InputError, match=r"\[1, 6\].*\[2, 6\]"):
        sums.predict(["1+2", "3+4"], initial_state=state)
    with pytest.raises(InputError, match=r"\bx\b"):
        letters.unroll(np.zeros((1, 3), int), {**letters.unroll(np.zeros((1, 1), int))[1], "x": np.zeros((1, 5))})


class StopAfterAnEpoch(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


@pytest.mark.long
def test_training_that_a_callback_stopped_is_not_finished_and_can_be_resumed(tmp_path):
    overrides = ["training.epochs=3"]
    (tmp_path / "tiny.yaml").write_text(TINY)
    callbacks = [StopAfterAnEpoch()]
    stopped = rnncli.train(
        tmp_path / "tiny.yaml", overrides, run_dir=tmp_path / "run", progress=False, callbacks=callbacks
    )
    assert ([each["epoch"] for each in stopped.metrics], stopped.finished) == ([1], False)
    resumed = rnncli.train(run_dir=tmp_path / "run", resume=True, progress=False)
    assert ([each["epoch"] for each in resumed.metrics], resumed.finished) == ([1, 2, 3], True)
    with pytest.warns(RnncliWarning, match="finished") as caught:
        again = rnncli.train(run_dir=tmp_path / "run", resume=True, progress=False)
    assert (again.step, again.best) == (resumed.step, resumed.best)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize("option", ["trust_code", "allow_changed_data"])
def test_options_of_resuming_are_refused_for_a_new_run(tmp_path, option):
    with pytest.raises(InputError, match=option):
        rnncli.train({"task": "addition", "model": "repeat_vector"}, run_dir=tmp_path / "run", **{option: True})
    assert not (tmp_path / "run").exists()


def test_predict_returns_an_error_for_an_invalid_source(sums):
    good, bad = sums.predict(["1+2", "?"])
    assert (good.error, bad.text) == (None, "")
    assert "not a sum" in bad.error


@pytest.mark.parametrize("method", ["predict", "encode", "states", "score"])
def test_a_string_is_refused_with_the_list_to_write(sums, method):
    with pytest.raises(InputError) as error:
        getattr(sums, method)("1+2")
    assert "['1+2']" in error.value.hint


def test_a_string_is_one_name_and_other_devices_are_refused(sums):
    assert sums.states(["1+2"], which="final").keys() == sums.states(["1+2"], which=["final"]).keys()
    with pytest.raises(InputError, match="tpu"):
        rnncli.load(sums.path, device="tpu")


@pytest.mark.parametrize("sources", [[1], [b"1+2"], ["1+2", None], 5])
def test_what_is_no_text_is_refused(sums, sources):
    with pytest.raises(InputError, match="source"):
        sums.predict(sources)


def test_repr_says_what_was_loaded(sums):
    assert str(sums.path) in repr(sums)
    assert "addition" in repr(sums)


def test_a_run_is_found_by_the_beginning_of_its_name(sums, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    shutil.copytree(sums.path, tmp_path / "runs/only-one")
    monkeypatch.chdir(tmp_path)
    assert [str(rnncli.load(name).path) for name in ("latest", "only")] == ["runs/only-one"] * 2


def test_hints_survive_in_python(tmp_path):
    with pytest.raises(RunDirError) as raised:
        rnncli.load(tmp_path / "nothing")
    assert raised.value.hint in raised.value.__notes__[0]


def test_metrics_vocabulary_and_summary_are_those_of_the_run(sums):
    assert [each["epoch"] for each in sums.metrics] == list(range(1, 41))
    assert sums.vocabulary.source.decode(sums.vocabulary.source.encode("1+2")) == list("1+2")
    assert f"{sums._run.model.network.count_params():,} parameters" in sums.summary()
    assert all(text in sums._repr_html_() for text in (str(sums.path), "encoder_decoder", "lstm"))


def test_evaluate_gives_the_recorded_metrics_of_the_held_out_data(sums):
    best = max(each["exact_match"] for each in sums.metrics)
    evaluation = sums.evaluate()
    assert evaluation.total.examples == 5
    assert evaluation.total.metrics["exact_match"] == pytest.approx(best)


def test_evaluate_takes_lines_and_files(sums, tmp_path):
    lines = ["1+2", "9+9", "4+4"]
    (tmp_path / "sums.txt").write_text("".join(f"{line}\n" for line in lines))
    assert sums.evaluate(lines).as_json() == sums.evaluate(tmp_path / "sums.txt").as_json()
    with pytest.raises(InputError, match="nothing"):
        sums.evaluate(tmp_path / "nothing.txt")


def test_keras_model_is_made_of_keras_layers_and_predicts_the_same(sums):
    model = sums.keras_model()
    assert {type(layer).__module__.partition(".")[0] for layer in model.layers} == {"keras"}
    ids = sums.vocabulary.source.encode("2+1")  # the addition task reverses sources
    source = np.zeros((1, sums._run.task.sizes.source_steps), np.int32)
    source[0, : len(ids)] = ids
    found = model.predict_on_batch({"source": source, "lengths": np.array([3], np.int32)})
    scores = [np.asarray(value) for value in found.values() if np.asarray(value).shape == (1,)]
    np.testing.assert_allclose(scores, [[sums.predict(["1+2"])[0].score]], atol=1e-4)


def test_export_writes_what_the_command_writes(sums, tmp_path):
    assert sums.export(tmp_path / "sums") == tmp_path / "sums"
    result = CliRunner().invoke(main, ["predict", str(tmp_path / "sums"), "1+2"])
    assert result.stdout.strip() == sums.predict(["1+2"])[0].text
    with pytest.raises(InputError, match="tensorrt"):
        sums.export(tmp_path / "other", "tensorrt")
    with pytest.raises(InputError):
        sums.export(tmp_path / "sums")


def test_states_are_those_of_export_states(sums, tmp_path):
    output = tmp_path / "states.npz"
    result = CliRunner().invoke(main, ["export-states", str(sums.path), "1+2", "9+9", "-o", str(output), "-q"])
    assert result.exit_code == 0, result.stderr
    found = sums.states(["1+2", "9+9"])
    with np.load(output) as written:
        assert set(found) <= set(written)
        for name, value in found.items():
            np.testing.assert_array_equal(value, written[name])
    assert found["encoder/0/forward/h"].shape == (2, 3, 6)
    assert set(sums.states(["1+2"], layers=["decoder/0"], which=["c"])) - {"source_lengths", "target_lengths"} == {
        "decoder/0/forward/c"
    }


def test_states_that_the_model_lacks_are_refused(sums):
    with pytest.raises(InputError, match="encoder/1"):
        sums.states(["1+2"], layers=["encoder/1"])
    with pytest.raises(InputError, match="none"):
        sums.states([])


@pytest.mark.parametrize("inputs", ["abc", [["a", "b"]], [[1, 2], [3]], [[0.5, 1.0]], None])
def test_unroll_refuses_what_is_no_array_of_ids(letters, inputs):
    with pytest.raises(InputError, match="ids"):
        letters.unroll(inputs)


@pytest.mark.parametrize("ids", [[[0, 26]], [[-1, 3]]])
def test_unroll_refuses_ids_outside_the_vocabulary(letters, ids):
    with pytest.raises(InputError, match="0 to 25"):
        letters.unroll(np.array(ids))


@pytest.mark.parametrize("shape", [(3,), (1, 0), (0, 3), (2, 3, 4)])
def test_unroll_refuses_inputs_of_another_shape(letters, shape):
    with pytest.raises(InputError, match=r"not \[rows, steps\]"):
        letters.unroll(np.zeros(shape, int))


def test_states_may_be_any_floats_or_lists_but_not_nan(sums):
    state = sums.encode(["1+2"])
    plain = sums.predict(["1+2"], initial_state=state)
    assert sums.predict(["1+2"], initial_state={k: v.astype(np.float64) for k, v in state.items()}) == plain
    assert sums.predict(["1+2"], initial_state={k: v.tolist() for k, v in state.items()}) == plain
    state["decoder/0/forward/c"][0, 0] = np.nan
    with pytest.raises(InputError, match="decoder/0/forward/c"):
        sums.predict(["1+2"], initial_state=state)


def test_unroll_refuses_states_of_the_decoder(sums):
    with pytest.raises(InputError, match=r"encoder/0/forward/\w"):
        sums.unroll(np.array([[3, 1, 4]]), sums.encode(["1+2"]))
