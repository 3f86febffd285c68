"""`rnncli predict` by beams, samples and ensembles, through the command line and from Python."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from heavy_imports import run_and_list_heavy

import rnncli as package
from rnncli.cli.main import main
from rnncli.errors import InputError, RunFailedError

TINY = """
task: {type: addition, digits: 2, examples: 300, held_out: 20}
model: {type: encoder_decoder, cell: gru, encoder: {units: 16}, decoder: {units: 16}}
training: {epochs: 12, batch_size: 20, learning_rate: 1e-2}
"""
QUICK = "training.epochs=1"
SUMS = [f"{a}+{b}" for a, b in [(1, 2), (99, 99), (50, 7), (8, 31), (0, 0), (12, 34), (77, 5), (9, 90)]]


def rnncli(*arguments, stdin=None):
    return CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)


def trained(folder, name, *more):
    (folder / "tiny.yaml").write_text(TINY)
    options = [option for value in more for option in ("--set", value)]
    result = rnncli("train", folder / "tiny.yaml", "--run-dir", folder / name, "--quiet", *options)
    assert result.exit_code == 0, result.stderr
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("search")


@pytest.fixture(scope="module")
def run(folder):
    """A run that has learned something, and is not sure."""
    return trained(folder, "run")


@pytest.fixture(scope="module")
def other(folder):
    """The same with other weights and units."""
    return trained(folder, "other", "training.seed=1", "model.encoder.units=12", "model.decoder.units=12")


@pytest.fixture(scope="module")
def at_once(folder):
    """A run of a model that answers at once."""
    return trained(folder, "at_once", "model.type=repeat_vector", QUICK)


@pytest.fixture(scope="module")
def loaded(run):
    return package.load(run)


def predicted(*arguments, stdin=None):
    result = rnncli("predict", *arguments, "--format", "jsonl", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_beam_of_one_is_what_comes_without_one(loaded):
    assert loaded.predict(SUMS, beam=1, n_best=1) == loaded.predict(SUMS)


def test_a_beam_finds_no_less_likely_answers_and_the_best_of_them_first(loaded):
    greedy, beam = loaded.predict(SUMS), loaded.predict(SUMS, beam=5, n_best=5)
    assert all(b.score >= g.score - 1e-4 for g, b in zip(greedy, beam, strict=True))
    for answer in beam:
        scores = [hypothesis.score for hypothesis in answer.hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert len({hypothesis.text for hypothesis in answer.hypotheses}) == 5
        assert answer.hypotheses[0] == (answer.text, answer.score)
    assert [b.text for b in loaded.predict(SUMS, beam=5)] == [b.text for b in beam]


def test_formats_of_several_answers(run):
    arguments = ("predict", run, "1+2", "bad", "99+99", "--beam", 3, "--n-best", 2)
    text, scored, tsv = (
        rnncli(*arguments, *more).stdout.splitlines() for more in ((), ("--scores",), ("--format", "tsv"))
    )
    answers = [json.loads(line) for line in rnncli(*arguments, "--format", "jsonl").stdout.splitlines()]
    assert (len(text), len(scored), len(tsv), len(answers)) == (6, 6, 6, 3)
    found = [(h["prediction"], f"{h['score']:.6g}") for a in answers for h in a["hypotheses"]]
    found[2:2] = [("", "")] * 2
    assert text == [prediction for prediction, _ in found]
    assert scored == ["\t".join(pair) for pair in found]
    sources = ["1+2"] * 2 + ["bad"] * 2 + ["99+99"] * 2
    wanted = zip(sources, found, "121212", strict=True)
    assert tsv == [f"{source}\t{prediction}\t{score}\t{rank}" for source, (prediction, score), rank in wanted]
    assert answers[1]["hypotheses"] == []
    assert rnncli("predict", run, "1+2", "--scores").stdout.count("\t") == 1


@pytest.mark.parametrize("more", [["--beam", 4, "--n-best", 2], ["--sample"]], ids=lambda m: m[0])
def test_by_argument_file_and_stdin_among_few_or_many_it_is_the_same(run, tmp_path, more):
    many = SUMS * 90  # more than a batch
    (tmp_path / "sums.txt").write_text("\n".join(many))
    whole = predicted(run, *more, "--input", tmp_path / "sums.txt")
    assert whole == predicted(run, *more, stdin="\n".join(many) + "\n")
    assert whole[:3] == predicted(run, *SUMS[:3], *more)
    assert whole[:1] == predicted(run, SUMS[0], *more)


def test_samples_follow_from_the_seed_and_the_line_alone(loaded):
    def sampled(sources, **options):
        return loaded.predict(sources, sample=True, **options)

    first = sampled(["12+34"] * 40, seed=1)
    assert len({answer.text for answer in first}) > 3, "each line has its own chance"
    assert first == sampled(["12+34"] * 40, seed=1)
    assert first != sampled(["12+34"] * 40, seed=2)
    assert sampled(["9+9", "12+34", "bad", "12+34"] * 10, seed=1)[1::2] == first[1::2]
    several = sampled(["12+34"] * 40, seed=1, n_best=3)
    assert [answer.hypotheses[0].text for answer in several] == [answer.text for answer in first]
    assert any(len(set(answer.hypotheses)) == 3 for answer in several)


def test_a_temperature_near_zero_is_greedy_and_scores_are_the_models_own(loaded):
    cold = loaded.predict(SUMS, sample=True, temperature=1e-4)
    for answer, wanted in zip(cold, loaded.predict(SUMS), strict=True):
        assert answer.text == wanted.text
        assert answer.score == pytest.approx(wanted.score, abs=1e-5)


def test_answers_are_at_most_as_long_as_asked_for(loaded):
    plain = [answer.text for answer in loaded.predict(SUMS)]
    assert [answer.text for answer in loaded.predict(SUMS, max_length=1)] == [text[:1] for text in plain]


def test_two_runs_answer_together_in_either_order(run, other, loaded):
    both = package.load(run, ensemble=[other]).predict(SUMS)
    turned = package.load(other, ensemble=[run]).predict(SUMS)
    assert [answer.text for answer in both] == [answer.text for answer in turned]
    assert [answer.score for answer in both] != [answer.score for answer in loaded.predict(SUMS)]
    said = predicted(run, *SUMS[:2], "--ensemble", other)
    assert [(a["prediction"], a["score"]) for a in said] == [(a.text, a.score) for a in both[:2]]


def test_runs_that_cannot_answer_together_are_refused(run, at_once, folder):
    digits = trained(folder, "digits", "task.digits=1", "task.examples=55", "task.held_out=5", QUICK)
    reversed_ = trained(folder, "unreversed", "task.reverse=false", QUICK)
    for path, message in (
        (digits, f"error: {digits}: cannot answer together with {run}: its task.digits is 1, not 2"),
        (reversed_, "its task.reverse is False, not True"),
        (at_once, f"error: {at_once}: a repeat_vector answers at once"),
        (folder / "none", f"error: {folder / 'none'}: no such run directory"),
    ):
        result = rnncli("predict", run, "1+2", "--ensemble", path)
        assert (result.exit_code, result.stdout) == (2, "")
        assert message in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sample", "--beam", "2"], "give --sample or --beam, not both"),
        (["--temperature", "0.5"], "--temperature goes with --sample"),
        (["--seed", "1"], "--seed goes with --sample"),
        (["--length-penalty", "0.6"], "--length-penalty goes with --beam 2 or more"),
        (["--n-best", "3", "--beam", "2"], "--n-best 3 needs --beam 3 or more, or --sample"),
        (["--beam", "0"], "--beam"),
        (["--sample", "--temperature", "0"], "--temperature"),
        (["--sample", "--temperature", "nan"], "temperature is nan"),
        (["--scores", "--format", "tsv"], "--scores is for --format text"),
        (["--state-in", "zeros", "--beam", "2"], "does not go with states"),
        (["--state-out", "x.safetensors", "--ensemble", "RUN"], "--ensemble does not go with states"),
        (["--attention", "a.npz"], "the model has no attention"),
        (["--attention", "a.txt"], "a.txt: --attention writes .npz"),
    ],
)
def test_options_that_do_not_go_together_are_refused(run, options, message):
    result = rnncli("predict", run, "1+2", *[str(run) if option == "RUN" else option for option in options])
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize("options", [["--beam", "5"], ["--max-length", "3"], ["--sample"]], ids=lambda o: o[0])
def test_models_that_answer_at_once_are_not_searched(at_once, options):
    assert run_and_list_heavy("predict", at_once, "1+2", *options) == (2, [])
    assert "answers at once" in rnncli("predict", at_once, "1+2", *options).stderr


def test_the_same_from_python(run, loaded):
    answers = loaded.predict(SUMS, beam=5, n_best=3, length_penalty=0.6)
    wanted = predicted(run, *SUMS, "--beam", 5, "--n-best", 3, "--length-penalty", 0.6)
    for answer, values in zip(answers, wanted, strict=True):
        found = [{"prediction": text, "score": score} for text, score in answer.hypotheses]
        assert found == values["hypotheses"]
    sampled = [answer.text for answer in loaded.predict(SUMS, sample=True, temperature=2.0, seed=3)]
    wanted = predicted(run, *SUMS, "--sample", "--temperature", 2, "--seed", 3)
    assert sampled == [answer["prediction"] for answer in wanted]


@pytest.mark.parametrize("values", [{"n_best": 2}, {"temperature": 2.0}, {"attention": True}], ids=str)
def test_python_refuses_what_the_command_line_refuses(loaded, values):
    with pytest.raises(InputError):
        loaded.predict(SUMS, **values)
    with pytest.raises(InputError, match="greedily"):
        loaded.predict(SUMS, loaded.encode(SUMS), beam=2)


def evaluated(*arguments):
    result = rnncli("evaluate", *arguments, "--format", "json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_evaluation_counts_what_a_search_by_several_runs_predicts(run, other, tmp_path):
    lines = [f"{source}\t{sum(map(int, source.split('+')))}" for source in SUMS]
    (tmp_path / "sums.tsv").write_text("".join(f"{line}\n" for line in lines))
    search = ["--beam", "4", "--length-penalty", "0.6", "--ensemble", other]
    answers = [answer["prediction"] for answer in predicted(run, *SUMS, *search)]
    right = sum(line.endswith(f"\t{answer}") for line, answer in zip(lines, answers, strict=True))
    assert evaluated(run, "--input", tmp_path / "sums.tsv", *search)["exact"] == right


def test_evaluation_refuses_a_beam_of_a_model_that_answers_at_once(at_once):
    result = rnncli("evaluate", at_once, "--beam", "3")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "beam is for models that write symbol by symbol" in result.stderr


def test_weights_that_give_no_numbers_are_an_error_of_one_line(run):
    spoiled = package.load(run)
    weights = spoiled._run.model.arrays()
    spoiled._run.model.assign({name: np.full_like(array, -3e38) for name, array in weights.items()})
    with pytest.raises(RunFailedError, match="the model's answer is no number"):
        spoiled.predict(["1+2"])
