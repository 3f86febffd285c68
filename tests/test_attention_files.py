"""Attention in files, and figures of it."""

import numpy as np
import pytest
from click.testing import CliRunner
from test_plots import texts

from rnncli.attention import attention_batch
from rnncli.cli.main import main
from rnncli.prediction import Attention, Prediction
from rnncli.states import ATTENTION, open_writer, read_states

FIRST = Attention(np.array([[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]], np.float32), ["q", "ü"], ["X", "Y", "<eos>"])
SECOND = Attention(np.array([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]], np.float32), ["a", "b", "c"], ["Z", "<eos>"])
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
    return CliRunner().invoke(main, ["plot-attention", *map(str, arguments)])


def test_the_file_has_a_row_a_line_zero_behind_both_ends(file):
    arrays = np.load(file)
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
    assert {"q", "ü", "X", "Y", "&lt;eos&gt;", "read", "written", "qü → XY"} <= texts(figure)
    for choice in (["--row", 2], ["--source", "abc"]):
        assert plot(file, "-o", figure, *choice).exit_code == 0
        assert {"a", "b", "c", "Z", "abc → Z"} <= texts(figure)
    assert plot(file, "-o", tmp_path / "map.png").exit_code == 0
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--row", 3], "--row 3: "),
        (["--row", 1], "row 1 is that of a bad line"),
        (["--source", "nowhere"], "--source nowhere: "),
        (["--source", "abc", "--row", 2], "not both"),
        (["-o", "figure.gif"], ".png or .svg"),
    ],
)
def test_what_is_not_there_is_refused(file, tmp_path, arguments, message):
    result = plot(file, "-o", tmp_path / "figure.png", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "figure.png").exists()


def test_files_of_other_arrays_are_refused(tmp_path):
    path = tmp_path / "states.npz"
    batch = attention_batch(ANSWERS, (4, 5))
    with open_writer(path, None, {}, {"decoder/0/forward/h": (4, 5)}) as writer:
        batch.arrays["decoder/0/forward/h"] = batch.arrays.pop(ATTENTION)
        writer.write(batch)
    result = plot(path, "-o", tmp_path / "figure.png")
    assert result.exit_code == 2
    assert "no attention in it" in result.stderr
