"""Beam search, sampling and ensembles with `rnncli predict`, `rnncli evaluate` and `Run.predict`."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from heavy_imports import run_and_list_heavy
from untrained_run import write_untrained_run

import rnncli as package
from rnncli.cli.main import main
from rnncli.errors import InputError, RunFailedError

TINY = """
task: {type: addition, digits: 2, examples: 300, held_out: 20}
model: {type: encoder_decoder, cell: gru, encoder: {units: 16}, decoder: {units: 16}}
training: {epochs: 12, batch_size: 20, learning_rate: 1e-2}
"""
SUMS = [f"{a}+{b}" for a, b in [(1, 2), (99, 99), (50, 7), (8, 31), (0, 0), (12, 34), (77, 5), (9, 90)]]


def rnncli(*arguments, stdin=None):
    return CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)


def write_run(folder, name, *more):
    (folder / "tiny.yaml").write_text(TINY)
    return write_untrained_run(folder / name, folder / "tiny.yaml", more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, runtime):
    return tmp_path_factory.mktemp("decoding")


@pytest.fixture(scope="module")
def run(folder):
    return write_run(folder, "run")


@pytest.fixture(scope="module")
def other(folder):
    """A run of the same task with another seed and other units."""
    return write_run(folder, "other", "training.seed=1", "model.encoder.units=12", "model.decoder.units=12")


@pytest.fixture(scope="module")
def repeat_vector(folder):
    """A run of a model that predicts all symbols in one pass."""
    return write_run(folder, "repeat_vector", "model.type=repeat_vector")


@pytest.fixture(scope="module")
def loaded(run):
    return package.load(run)


def predicted(*arguments, stdin=None):
    result = rnncli("predict", *arguments, "--format", "jsonl", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_beam_of_one_equals_greedy_decoding(loaded):
    assert loaded.predict(SUMS, beam=1, n_best=1) == loaded.predict(SUMS)


def test_beam_finds_distinct_hypotheses_in_order_of_score(loaded):
    greedy, beam = loaded.predict(SUMS), loaded.predict(SUMS, beam=5, n_best=5)
    assert all(b.score >= g.score - 1e-4 for g, b in zip(greedy, beam, strict=True))
    for prediction in beam:
        scores = [hypothesis.score for hypothesis in prediction.hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert len({hypothesis.text for hypothesis in prediction.hypotheses}) == 5
        assert prediction.hypotheses[0] == (prediction.text, prediction.score)
    assert [b.text for b in loaded.predict(SUMS, beam=5)] == [b.text for b in beam]


def test_formats_of_n_best_predictions(run):
    arguments = ("predict", run, "1+2", "bad", "99+99", "--beam", 3, "--n-best", 2)
    text, scored, tsv = (
        rnncli(*arguments, *more).stdout.splitlines() for more in ((), ("--scores",), ("--format", "tsv"))
    )
    predictions = [json.loads(line) for line in rnncli(*arguments, "--format", "jsonl").stdout.splitlines()]
    assert (len(text), len(scored), len(tsv), len(predictions)) == (6, 6, 6, 3)
    found = [(h["prediction"], f"{h['score']:.6g}") for a in predictions for h in a["hypotheses"]]
    found[2:2] = [("", "")] * 2
    assert text == [prediction for prediction, _ in found]
    assert scored == ["\t".join(pair) for pair in found]
    sources = ["1+2"] * 2 + ["bad"] * 2 + ["99+99"] * 2
    expected = zip(sources, found, "121212", strict=True)
    assert tsv == [f"{source}\t{prediction}\t{score}\t{rank}" for source, (prediction, score), rank in expected]
    assert predictions[1]["hypotheses"] == []
    assert rnncli("predict", run, "1+2", "--scores").stdout.count("\t") == 1


BEAM = pytest.param(["--beam", 4, "--n-best", 2], marks=pytest.mark.long)


@pytest.mark.parametrize("more", [BEAM, ["--sample"]], ids=lambda m: m[0])
def test_predictions_do_not_depend_on_the_input_channel_or_other_lines(run, tmp_path, more):
    many = SUMS * 90  # several batches
    (tmp_path / "sums.txt").write_text("\n".join(many))
    from_file = predicted(run, *more, "--input", tmp_path / "sums.txt")
    assert from_file == predicted(run, *more, stdin="\n".join(many) + "\n")
    assert from_file[:3] == predicted(run, *SUMS[:3], *more)
    assert from_file[:1] == predicted(run, SUMS[0], *more)


def test_samples_depend_on_seed_and_line_only(loaded):
    def sampled(sources, **options):
        return loaded.predict(sources, sample=True, **options)

    first = sampled(["12+34"] * 40, seed=1)
    assert len({prediction.text for prediction in first}) > 3, "lines have different samples"
    assert first == sampled(["12+34"] * 40, seed=1)
    assert first != sampled(["12+34"] * 40, seed=2)
    assert sampled(["9+9", "12+34", "bad", "12+34"] * 10, seed=1)[1::2] == first[1::2]
    several = sampled(["12+34"] * 40, seed=1, n_best=3)
    assert [prediction.hypotheses[0].text for prediction in several] == [prediction.text for prediction in first]
    assert any(len(set(prediction.hypotheses)) == 3 for prediction in several)


def test_sampling_near_temperature_zero_is_greedy_with_scores_at_temperature_one(loaded):
    cold = loaded.predict(SUMS, sample=True, temperature=1e-4)
    for prediction, expected in zip(cold, loaded.predict(SUMS), strict=True):
        assert prediction.text == expected.text
        assert prediction.score == pytest.approx(expected.score, abs=1e-5)


def test_max_length_cuts_predictions(loaded):
    plain = [prediction.text for prediction in loaded.predict(SUMS)]
    assert [prediction.text for prediction in loaded.predict(SUMS, max_length=1)] == [text[:1] for text in plain]


def test_ensemble_does_not_depend_on_the_order_of_its_runs(run, other, loaded):
    both = package.load(run, ensemble=[other]).predict(SUMS)
    turned = package.load(other, ensemble=[run]).predict(SUMS)
    assert [prediction.text for prediction in both] == [prediction.text for prediction in turned]
    assert [prediction.score for prediction in both] != [prediction.score for prediction in loaded.predict(SUMS)]
    printed = predicted(run, *SUMS[:2], "--ensemble", other)
    assert [(a["prediction"], a["score"]) for a in printed] == [(a.text, a.score) for a in both[:2]]


def test_what_is_of_one_model_is_refused_for_an_ensemble(run, other, tmp_path):
    both = package.load(run, ensemble=[other])
    asked = {
        "keras_model": both.keras_model,
        "export": lambda: both.export(tmp_path / "model"),
        "stepper": both.stepper,
        "unroll": lambda: both.unroll([[1, 2]]),
        "states": lambda: both.states(SUMS),
    }
    for name, ask in asked.items():
        with pytest.raises(InputError, match=name):
            ask()
    assert list(tmp_path.iterdir()) == []


def test_incompatible_runs_of_an_ensemble_are_refused(run, repeat_vector, folder):
    digits = write_run(folder, "digits", "task.digits=1", "task.examples=55", "task.held_out=5")
    reversed_ = write_run(folder, "unreversed", "task.reverse=false")
    for path, message in (
        (digits, f"error: {digits}: no ensemble with {run}: its task.digits is 1, not 2"),
        (reversed_, "task.reverse"),
        (repeat_vector, f"error: {repeat_vector}:"),
        (folder / "none", f"error: {folder / 'none'}: no such run directory"),
    ):
        result = rnncli("predict", run, "1+2", "--ensemble", path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sample", "--beam", "2"], "beam"),
        (["--temperature", "0.5"], "temperature"),
        (["--seed", "1"], "seed"),
        (["--length-penalty", "0.6"], "length-penalty"),
        (["--n-best", "3", "--beam", "2"], "n-best 3"),
        (["--beam", "0"], "--beam"),
        (["--sample", "--temperature", "0"], "--temperature"),
        (["--sample", "--temperature", "nan"], "temperature is nan"),
        (["--scores", "--format", "tsv"], "--scores"),
        (["--state-in", "zeros", "--beam", "2"], "--beam"),
        (["--state-out", "x.safetensors", "--ensemble", "RUN"], "--ensemble"),
        (["--attention", "a.npz"], "attention"),
        (["--attention", "a.txt"], "a.txt"),
    ],
)
def test_contradicting_options_are_refused(run, options, message):
    result = rnncli("predict", run, "1+2", *[str(run) if option == "RUN" else option for option in options])
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize("options", [["--beam", "5"], ["--max-length", "3"], ["--sample"]], ids=lambda o: o[0])
def test_models_without_steps_refuse_decoding_options_before_tensorflow(repeat_vector, options):
    assert run_and_list_heavy("predict", repeat_vector, "1+2", *options) == (2, [])
    assert "repeat_vector" in rnncli("predict", repeat_vector, "1+2", *options).stderr


def test_python_and_command_line_give_the_same_predictions(run, loaded):
    predictions = loaded.predict(SUMS, beam=5, n_best=3, length_penalty=0.6)
    expected = predicted(run, *SUMS, "--beam", 5, "--n-best", 3, "--length-penalty", 0.6)
    for prediction, values in zip(predictions, expected, strict=True):
        found = [{"prediction": text, "score": score} for text, score in prediction.hypotheses]
        assert found == values["hypotheses"]
    sampled = [prediction.text for prediction in loaded.predict(SUMS, sample=True, temperature=2.0, seed=3)]
    expected = predicted(run, *SUMS, "--sample", "--temperature", 2, "--seed", 3)
    assert sampled == [prediction["prediction"] for prediction in expected]


@pytest.mark.parametrize("values", [{"n_best": 2}, {"temperature": 2.0}, {"attention": True}], ids=str)
def test_python_refuses_contradicting_options(loaded, values):
    with pytest.raises(InputError):
        loaded.predict(SUMS, **values)
    with pytest.raises(InputError, match="greedy"):
        loaded.predict(SUMS, loaded.encode(SUMS), beam=2)


def evaluated(*arguments):
    result = rnncli("evaluate", *arguments, "--format", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_evaluate_uses_beam_search_and_ensembles(run, other, tmp_path):
    lines = [f"{source}\t{sum(map(int, source.split('+')))}" for source in SUMS]
    (tmp_path / "sums.tsv").write_text("".join(f"{line}\n" for line in lines))
    options = ["--beam", "4", "--length-penalty", "0.6", "--ensemble", other]
    predictions = [prediction["prediction"] for prediction in predicted(run, *SUMS, *options)]
    right = sum(line.endswith(f"\t{prediction}") for line, prediction in zip(lines, predictions, strict=True))
    assert evaluated(run, "--input", tmp_path / "sums.tsv", *options)["exact"] == right


def test_evaluate_refuses_a_beam_for_models_without_steps(repeat_vector):
    result = rnncli("evaluate", repeat_vector, "--beam", "3")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "repeat_vector" in result.stderr


def test_nan_predictions_are_an_error(run):
    spoiled = package.load(run)
    weights = spoiled._run.model.arrays()
    spoiled._run.model.assign({name: np.full_like(array, -3e38) for name, array in weights.items()})
    with pytest.raises(RunFailedError, match="NaN"):
        spoiled.predict(["1+2"])
