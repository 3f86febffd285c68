"""`rnncli plot states` and `plot trajectory`: figures of files of states."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from svg_text import texts

from rnncli.cli.main import main
from rnncli.plots import figure as figures
from rnncli.states.batch import StateBatch
from rnncli.states.export import open_writer

ROOT = Path(__file__).parents[2]
SUMS = ["99+1", "1+2", "50+50", "3+4"]


@pytest.fixture
def states(tmp_path):
    """A file of states of four sums, as export-states would write it."""
    rng = np.random.default_rng(0)
    path = tmp_path / "states.npz"
    spec = {"encoder/0/forward/h": (5, 8), "encoder/0/forward/final/h": (8,), "decoder/0/forward/h": (3, 4)}
    answers = [str(eval(question)) for question in SUMS]
    batch = StateBatch(
        SUMS,
        answers,
        [list(question) for question in SUMS],
        [list(answer) for answer in answers],
        np.array([len(question) for question in SUMS], np.int32),
        np.array([len(answer) for answer in answers], np.int32),
        {name: rng.uniform(-1, 1, (4, *shape)).astype(np.float32) for name, shape in spec.items()},
    )
    with open_writer(path, None, {"config": {"task": {"type": "addition"}}}, spec) as writer:
        writer.write(batch)
    return path


def plot(*arguments, name="states"):
    return CliRunner().invoke(main, ["plot", name, *map(str, arguments)])


def test_the_earlier_name_works(states, tmp_path):
    result = CliRunner().invoke(main, ["plot-states", str(states), "-o", str(tmp_path / "map.svg")])
    assert result.exit_code == 0, result.stderr


def test_a_heat_map_has_the_tokens_on_its_axis(states, tmp_path):
    result = plot(states, "-o", tmp_path / "map.svg", "--row", 0, "--units", "0,2-3")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'map.svg'}\n"
    assert {"9", "+", "1", "0", "2", "3", "encoder/0/forward/h: 99+1 → 100"} <= texts(tmp_path / "map.svg")


def test_figure_that_exists_is_kept_without_overwrite(states, tmp_path):
    figure = tmp_path / "map.svg"
    figure.write_text("mine")
    refused = plot(states, "-o", figure)
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert figure.read_text() == "mine"
    assert plot(states, "-o", figure, "--overwrite").exit_code == 0
    assert "<svg" in figure.read_text()


def test_a_heat_map_shows_any_text_and_is_not_drawn_of_thousands_of_steps(tmp_path):
    tokens = ["$", "\\frac", "_$^$", "\x1b[2J", "\n", "x" * 10_000]
    for row, said in ((tokens, ""), (["a"] * 501, "501 steps")):
        lengths, spec = np.array([len(row)], np.int32), {"encoder/0/forward/h": (len(row), 2)}
        with open_writer(tmp_path / "s.npz", None, {}, spec, overwrite=True) as writer:
            arrays = {"encoder/0/forward/h": np.zeros((1, len(row), 2))}
            writer.write(StateBatch(["".join(row)], ["$"], [row], [row], lengths, lengths, arrays))
        drawn = CliRunner().invoke(
            main, ["plot", "states", str(tmp_path / "s.npz"), "-o", str(tmp_path / f"{len(row)}.svg")]
        )
        assert (drawn.exit_code, said in drawn.stderr) == (2 if said else 0, True), drawn.output
    assert "$^$" in (tmp_path / f"{len(tokens)}.svg").read_text()


def test_symbols_that_no_font_has_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "_installed", list)
    path = tmp_path / "states.npz"
    lengths = np.array([2], np.int32)
    arrays = {"encoder/0/forward/h": np.ones((1, 2, 3), np.float32)}
    batch = StateBatch(["カé"], ["ab"], [["カ", "é"]], [["a", "b"]], lengths, lengths, arrays)
    with open_writer(path, None, {"config": {}}, {"encoder/0/forward/h": (2, 3)}) as writer:
        writer.write(batch)
    result = plot(path, "--output", tmp_path / "map.svg")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'map.svg'}\n")
    assert result.stderr.startswith(f"{tmp_path / 'map.svg'}: no installed font has 'カ'")


def test_a_heat_map_of_the_decoder_has_the_answers_symbols(states, tmp_path):
    assert plot(states, "-o", tmp_path / "map.png", "--array", "decoder/0/forward/h").exit_code == 0
    assert (tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("length", {"1", "3"}),
        ("carries", {"0", "1", "2"}),
        ("digits", {"1", "2"}),
        ("source-length", {"3", "4", "5"}),
    ],
)
def test_a_pca_is_coloured_by_a_field(states, tmp_path, field, values):
    result = plot(states, "-o", tmp_path / "pca.svg", "--kind", "pca", "--color-by", field)
    assert result.exit_code == 0, result.stderr
    assert values | {field} <= texts(tmp_path / "pca.svg")


def test_the_same_figure_is_the_same_file(states, tmp_path):
    for name in ("one.svg", "two.svg"):
        plot(states, "-o", tmp_path / name, "--kind", "pca")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_settings_of_the_current_directory_change_no_figure(states, tmp_path):
    plot(states, "-o", tmp_path / "plain.svg")
    (tmp_path / "matplotlibrc").write_text("font.size: 33\naxes.facecolor: red\n")
    command = [sys.executable, "-m", "rnncli", "plot", "states", states, "-o", "odd.svg"]
    subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert (tmp_path / "odd.svg").read_bytes() == (tmp_path / "plain.svg").read_bytes()


def test_what_a_figure_leaves_out_is_said(states, tmp_path, monkeypatch):
    few = plot(states, "-o", tmp_path / "map.svg", "--units", "0-2")
    assert "3 units of 8" in few.stderr
    assert any("3 units of 8" in text for text in texts(tmp_path / "map.svg"))
    monkeypatch.setattr("rnncli.cli.plots.states.MAX_KINDS", 1)
    many = plot(states, "-o", tmp_path / "pca.svg", "--kind", "pca", "--color-by", "first-symbol")
    assert "other values of first-symbol" in many.stderr


def test_right_and_wrong_predictions_are_told_apart(states, tmp_path):
    errors = tmp_path / "wrong.tsv"
    errors.write_text("example\tsource\tprediction\ttarget\n1\t1+2\t3\t4\n")
    result = plot(states, "-o", tmp_path / "p.svg", "--kind", "pca", "--color-by", "right", "--errors", errors)
    assert result.exit_code == 0, result.stderr
    assert {"right", "wrong"} <= texts(tmp_path / "p.svg")
    for others in ("a\tb\n", "example\tsource\tprediction\ttarget\n1\t8+8\t3\t16\n"):  # of other examples
        errors.write_text(others)
        arguments = ("--kind", "pca", "--color-by", "right", "--errors", errors)
        assert plot(states, "-o", tmp_path / "q.svg", *arguments).exit_code == 2
        assert not (tmp_path / "q.svg").exists()
    errors.write_text("a\tb\n")
    refused = plot(states, "-o", tmp_path / "q.svg", "--kind", "pca", "--color-by", "right", "--errors", errors)
    assert refused.exit_code == 2
    assert "wrong.tsv" in refused.stderr
    assert plot(states, "-o", tmp_path / "q.svg", "--kind", "pca", "--color-by", "right").exit_code == 2


def test_a_trajectory_has_the_symbols_and_a_name_for_each_path(states, tmp_path):
    result = plot(states, "--source", "99+1", "--row", 1, "-o", tmp_path / "way.svg", name="trajectory")
    assert result.exit_code == 0, result.stderr
    assert {"99+1 → 100", "1+2 → 3", "+", "9"} <= texts(tmp_path / "way.svg")


@pytest.mark.parametrize("arguments", [["--row", 4], ["--source", "8+8"], ["--array", "x/y/h"]])
def test_a_trajectory_of_what_is_not_there_is_refused(states, tmp_path, arguments):
    result = plot(states, *arguments, "-o", tmp_path / "way.svg", name="trajectory")
    assert result.exit_code == 2
    assert str(arguments[1]) in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--row", 4], "--row 4: "),
        (["--units", "8"], "--units 8: "),
        (["--units", "x"], "'x'"),
        (["--units", "5-2"], "'5-2'"),
        (["--units", "1-999999999"], "'1-999999999'"),
        (["--array", "encoder/9/forward/h"], "encoder/0/forward/h, decoder/0/forward/h"),
        (["--kind", "pca", "--array", "encoder/0/forward/h"], "--array encoder/0/forward/h: "),
        (["--kind", "pca", "--color-by", "features"], "--color-by features: "),
        (["--kind", "pca", "--row", "1"], "--row is for --kind heatmap"),
        (["--color-by", "carries"], "--color-by is for --kind pca"),
    ],
)
def test_what_is_not_there_is_refused(states, tmp_path, arguments, message):
    result = plot(states, "-o", tmp_path / "figure.png", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "figure.png").exists()


def test_other_files_are_refused(tmp_path):
    (tmp_path / "states.npz").write_text(json.dumps({}))
    result = plot(tmp_path / "states.npz", "-o", tmp_path / "figure.png")
    assert result.exit_code == 2
    assert str(tmp_path / "states.npz") in result.stderr
    assert plot(tmp_path / "states.npz", "-o", tmp_path / "figure.gif").exit_code == 2


def plotted(tmp_path, sources, tokens, units, *arguments):
    """Return the texts of a heat map of one example, and what was said."""
    path, spec = tmp_path / "wide.npz", {"encoder/0/forward/h": (5, units)}
    lengths = np.array([len(tokens)], np.int32)
    batch = StateBatch(
        sources, ["x"], [list(tokens)], [["x"]], lengths, np.array([1], np.int32),
        {name: np.ones((1, *shape), np.float32) for name, shape in spec.items()},
    )  # fmt: skip
    with open_writer(path, None, {}, spec) as writer:
        writer.write(batch)
    result = plot(path, "-o", tmp_path / "map.svg", *arguments)
    assert result.exit_code == 0, result.stderr
    return texts(tmp_path / "map.svg"), result.stderr


def test_heat_map_says_what_it_leaves_out(tmp_path):
    shown, said = plotted(tmp_path, ["1+23"], "1+23", 40)
    assert any("of 40" in text for text in shown)
    assert "of 40" in said


@pytest.mark.parametrize(("units", "chosen"), [(8, ()), (40, ("--units", "0-39"))])
def test_heat_map_of_all_units_says_nothing_of_it(tmp_path, units, chosen):
    shown, said = plotted(tmp_path, ["1+23"], "1+23", units, *chosen)
    assert "unit" in shown
    assert said == ""


@pytest.mark.parametrize(("tokens", "backwards"), [("1+23", False), ("32+1", True)])
def test_axis_says_that_a_source_is_read_from_its_end(tmp_path, tokens, backwards):
    shown, _ = plotted(tmp_path, ["1+23"], tokens, 4)
    assert any("from its end" in text for text in shown) == backwards
