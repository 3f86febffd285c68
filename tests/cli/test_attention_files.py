"""Attention in files, and figures of it."""

import numpy as np
import pytest
from click.testing import CliRunner
from npz_files import read_npz
from svg_text import texts

import rnncli
from rnncli.cli.main import main
from rnncli.inference.prediction import AttentionWeights as Weights
from rnncli.inference.prediction import Prediction, attention_batch
from rnncli.states.batch import ATTENTION
from rnncli.states.export import open_writer
from rnncli.states.reader import read_states

FIRST = Weights(np.array([[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]], np.float32), ["q", "ü"], ["X", "Y", "<eos>"])
SECOND = Weights(np.array([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]], np.float32), ["a", "b", "c"], ["Z", "<eos>"])
ANSWERS = [
    Prediction("qü", "XY", -0.5, attention=FIRST),
    Prediction("?", error="bad"),
    Prediction("abc", "Z", -1.5, attention=SECOND),
]


@pytest.fixture
def file(tmp_path):
    """As `predict --attention` writes it, in two chunks."""
    path = tmp_path / "attention.npz"
    with open_writer(path, "npz", {"run": "runs/a"}, {ATTENTION: (4, 5)}) as writer:
        for chunk in (ANSWERS[:1], ANSWERS[1:]):
            writer.write(attention_batch(chunk, (4, 5)))
    return path


def plot(*arguments):
    return CliRunner().invoke(main, ["plot", "attention", *map(str, arguments)])


def test_the_file_has_a_row_a_line_zero_behind_both_ends(file):
    arrays = read_npz(file)
    weights = arrays["decoder/attention"]
    assert (weights.shape, weights.dtype) == ((3, 4, 5), np.float32)
    np.testing.assert_array_equal(weights[0, :3, :2], FIRST.weights)
    np.testing.assert_array_equal(weights[2, :2, :3], SECOND.weights)
    assert weights.sum() == 5
    assert arrays["source_lengths"].tolist() == [2, 0, 3]
    assert arrays["target_lengths"].tolist() == [3, 0, 2]
    assert arrays["sources"].tolist() == ["qü", "?", "abc"]
    assert arrays["source_tokens"][2].tolist() == ["a", "b", "c"]
    assert arrays["target_tokens"][0].tolist() == ["X", "Y", "<eos>"]
    batch = read_states(file).read()
    assert batch.source_tokens == [["q", "ü"], [], ["a", "b", "c"]]
    assert attention_batch([], (4, 5)).arrays[ATTENTION].shape == (0, 4, 5)


def test_the_figure_has_both_sides_symbols_on_its_axes(file, tmp_path):
    figure = tmp_path / "map.svg"
    result = plot(file, "-o", figure)
    assert (result.exit_code, result.stdout) == (0, f"{figure}\n"), result.stderr
    assert {"q", "ü", "X", "Y", "&lt;eos&gt;", "qü → XY"} <= texts(figure)
    for choice in (["--row", 2], ["--source", "abc"]):
        assert plot(file, "-o", figure, "--overwrite", *choice).exit_code == 0
        assert {"a", "b", "c", "Z", "abc → Z"} <= texts(figure)
    assert plot(file, "-o", tmp_path / "map.png").exit_code == 0
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--row", 3], "--row 3: "),
        (["--row", 1], "row 1 "),
        (["--source", "nowhere"], "--source nowhere: "),
        (["--source", "abc", "--row", 2], "--source"),
        (["-o", "figure.gif"], "figure.gif"),
    ],
)
def test_what_is_not_there_is_refused(file, tmp_path, arguments, message):
    result = plot(file, "-o", tmp_path / "figure.png", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "figure.png").exists()


def test_texts_of_any_length_are_cut_and_too_many_symbols_refused(tmp_path):
    path, figure = tmp_path / "attention.npz", tmp_path / "figure.svg"
    long = Prediction("x" * 1_000_000, "Z", -1.5, attention=SECOND)
    many = Prediction("y", "Z", -1.5, attention=Weights(np.full((1, 501), 1 / 501, np.float32), ["y"] * 501, ["Z"]))
    with open_writer(path, "npz", {"run": "runs/a"}, {ATTENTION: (4, 501)}) as writer:
        writer.write(attention_batch([long, many], (4, 501)))
    assert plot(path, "-o", figure).exit_code == 0
    assert max(map(len, texts(figure))) < 200
    refused = plot(path, "-o", figure, "--row", 1, "--overwrite")
    assert (refused.exit_code, "row 1 has more than 500 symbols" in refused.stderr) == (2, True)


def test_files_of_other_arrays_are_refused(tmp_path):
    path = tmp_path / "states.npz"
    batch = attention_batch(ANSWERS, (4, 5))
    with open_writer(path, None, {}, {"decoder/0/forward/h": (4, 5)}) as writer:
        batch.arrays["decoder/0/forward/h"] = batch.arrays.pop(ATTENTION)
        writer.write(batch)
    result = plot(path, "-o", tmp_path / "figure.png")
    assert result.exit_code == 2
    assert "attention" in result.stderr


LOOKING = """
task: {type: addition, digits: 2, examples: 300, held_out: 20, reverse: false}
model: {type: encoder_decoder, cell: gru, attention: dot, encoder: {units: 12}, decoder: {units: 12}}
training: {epochs: 3, batch_size: 20, learning_rate: 1e-2}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a model with attention."""
    folder = tmp_path_factory.mktemp("looking")
    (folder / "tiny.yaml").write_text(LOOKING)
    result = CliRunner().invoke(main, ["train", str(folder / "tiny.yaml"), "--run-dir", str(folder / "run"), "-q"])
    assert result.exit_code == 0, result.stderr
    return folder / "run"


def test_predict_writes_what_the_model_looked_at(run, tmp_path):
    path = tmp_path / "attention.npz"

    def predict(*arguments):
        return CliRunner().invoke(main, ["predict", str(run), *map(str, arguments)])

    result = predict("1+2", "bad", "12+34", "--beam", 3, "--attention", path)
    assert result.exit_code == 1
    batch = read_states(path).read()
    assert batch.predictions == result.stdout.splitlines()
    assert batch.source_tokens == [list("1+2"), [], list("12+34")]
    for row in (0, 2):
        assert "".join(batch.target_tokens[row]).removesuffix("<eos>") == batch.predictions[row]
        written, read = len(batch.target_tokens[row]), len(batch.source_tokens[row])
        weights = batch.arrays[ATTENTION][row]
        np.testing.assert_allclose(weights[:written, :read].sum(axis=1), 1, atol=1e-5)
        assert weights.sum() == pytest.approx(written, abs=1e-4), "nothing behind the ends"
    first = path.read_bytes()
    assert predict("1+2", "--attention", path).exit_code == 2, "a file is there"
    assert path.read_bytes() == first
    assert predict("1+2", "--beam", 3, "--attention", path, "--overwrite", "--ensemble", run).exit_code == 0
    np.testing.assert_allclose(read_states(path).read().arrays[ATTENTION][0], batch.arrays[ATTENTION][0], atol=1e-5)
    assert predict("1+2", "bad", "--strict", "--attention", tmp_path / "none.npz").exit_code == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["attention.npz"], "nothing half-written"


def test_attention_from_python_is_that_of_the_answer(run):
    loaded = rnncli.load(run)
    (answer,) = loaded.predict(["12+34"], attention=True)
    assert answer.attention.source == list("12+34")
    assert answer.attention.weights.shape == (len(answer.attention.target), 5)
    assert loaded.predict(["12+34"])[0].attention is None
    among = loaded.predict(["1+2", "12+34"], attention=True)[1]
    np.testing.assert_array_equal(among.attention.weights, answer.attention.weights)


@pytest.mark.parametrize("options", [{}, {"beam": 3}, {"sample": True}], ids=["greedy", "beam", "sample"])
def test_a_model_with_attention_is_searched_like_others(run, options):
    loaded = rnncli.load(run)
    sums = [f"{a}+{b}" for a in (1, 22, 3) for b in (44, 5, 66)]
    answers = loaded.predict(sums, **options)
    assert loaded.predict(sums[:2], **options) == answers[:2]
    if options == {"beam": 3}:
        greedy = loaded.predict(sums)
        assert all(b.score >= g.score - 1e-4 for b, g in zip(answers, greedy, strict=True))
        assert loaded.predict(sums, beam=1) == greedy
