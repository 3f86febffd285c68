"""`rnncli plot curves`, and the plots of answers."""

import importlib
import json
import sys

import numpy as np
import pytest
from answers import answer_sums
from click.testing import CliRunner
from run_files import write_run
from svg_text import texts

from rnncli.cli.main import main
from rnncli.cli.plots import PLOTS, confusion, lengths
from rnncli.cli.plots.curves import curve_of
from rnncli.cli.plots.lengths import by_length
from rnncli.plots.figure import FigureOptions
from rnncli.runs.directory import RunDir
from rnncli.runs.listing import describe_run
from rnncli.runs.metrics_log import read_metrics

ANSWERS = {"1+2": "3", "99+1": "110", "4+5": "8", "20+30": "50", "5+4": "8"}


@pytest.fixture
def runs(tmp_path):
    """Two seeds of a setting, and another one."""
    return [
        write_run(tmp_path / "one", (0.2, 0.4), ["training.seed=1"]),
        write_run(tmp_path / "two", (0.4, 0.8), ["training.seed=2"]),
        write_run(tmp_path / "gru", (0.1, 0.2), ["model.cell=gru"]),
    ]


def plot(*arguments):
    return CliRunner().invoke(main, ["plot", *map(str, arguments)])


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_has_help_and_says_so(name):
    assert name in plot("--help").stdout
    result = plot(name, "--help")
    assert result.exit_code == 0
    assert all(option in result.stdout for option in ("--size", "--dpi", "--title", "--overwrite"))


def test_a_typo_in_a_plot_gets_a_suggestion():
    result = plot("curvs")
    assert result.exit_code == 2
    assert "curves?" in result.stderr


def test_one_entry_and_one_file_add_a_plot(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(PLOTS, "seconds", "Seconds of each epoch.")
    monkeypatch.setitem(sys.modules, "rnncli.cli.plots.seconds", importlib.import_module("seconds_plot"))
    result = plot("seconds", runs[0], "-o", tmp_path / "s.svg", "--title", "mine")
    assert result.exit_code == 0, result.stderr
    assert {"seconds", "mine"} <= texts(tmp_path / "s.svg")


def test_curves_show_mean_and_range_of_seeds(runs, tmp_path):
    result = plot("curves", *runs, "-o", tmp_path / "c.svg")
    assert result.exit_code == 0, result.stderr
    assert {"cell=lstm (2 seeds)", "cell=gru", "loss", "exact match", "epoch"} <= texts(tmp_path / "c.svg")
    infos = [describe_run(run) for run in runs[:2]]
    logs = {run: read_metrics(RunDir(run)) for run in runs}
    curve = curve_of(infos, logs, "exact_match", "epoch")
    assert (curve.x, curve.runs, curve.even) == ([1, 2], 2, True)
    np.testing.assert_allclose([curve.low, curve.mean, curve.high], [[0.2, 0.4], [0.3, 0.6], [0.4, 0.8]])
    assert curve_of(infos, logs, "exact_match", "seconds").x == [1.5, 3.0]
    assert curve_of(infos, logs, "exact_match", "step").x == [10, 20]


def test_each_run_has_a_line_of_its_own_where_asked(runs, tmp_path):
    plot("curves", *runs, "--each", "--metric", "exact_match", "-o", tmp_path / "c.svg")
    shown = texts(tmp_path / "c.svg")
    assert not any("seeds" in text for text in shown)
    assert "loss" not in shown


def test_held_out_loss_is_beside_that_of_training(tmp_path):
    run = write_run(tmp_path / "run")
    lines = [{"epoch": n, "loss": 1 / n, "validation_loss": 2 / n, "exact_match": 0.5} for n in (1, 2)]
    (run / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    plot("curves", run, "-o", tmp_path / "c.svg")
    assert {"run, held-out", "run, training", "loss"} <= texts(tmp_path / "c.svg")
    assert "held-out loss" not in texts(tmp_path / "c.svg")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--metric", "exact_mach"], "exact_match?"),
        (["--size", "big"], "--size"),
        (["--size", "50x50", "--dpi", "1200"], "--dpi"),
        (["--dpi", "1"], "--dpi"),
    ],
)
def test_curves_refuse_what_cannot_be_drawn(runs, tmp_path, arguments, word):
    result = plot("curves", runs[0], *arguments, "-o", tmp_path / "c.png")
    assert result.exit_code == 2
    assert word in result.stderr
    assert not (tmp_path / "c.png").exists()


def test_a_run_without_an_epoch_has_no_curve(tmp_path):
    result = plot("curves", write_run(tmp_path / "run", ()), "-o", tmp_path / "c.png")
    assert result.exit_code == 2
    assert "run" in result.stderr


def test_a_figure_that_exists_is_kept(runs, tmp_path):
    (tmp_path / "c.png").write_text("mine")
    assert plot("curves", runs[0], "-o", tmp_path / "c.png").exit_code == 2
    assert (tmp_path / "c.png").read_text() == "mine"
    assert plot("curves", runs[0], "-o", tmp_path / "c.png", "--overwrite").exit_code == 0


def test_lengths_count_right_answers(tmp_path):
    answers = answer_sums(tmp_path / "run", ANSWERS)
    x, counts, right = by_length(lengths.lengths_of(answers, "source"), answers.predictions.exact)
    assert (x.tolist(), counts.tolist(), right.tolist()) == ([3, 4, 5], [3, 1, 1], [1, 0, 1])
    assert by_length(lengths.lengths_of(answers, "target"), answers.predictions.exact)[0].tolist() == [1, 2, 3]
    lengths.draw([answers, answers], "source", FigureOptions(tmp_path / "l.svg")).save()
    assert {"symbols of the source", "examples (bars)"} <= texts(tmp_path / "l.svg")


def test_many_lengths_are_taken_together():
    x, counts, right = by_length(np.arange(100), np.ones(100, bool))
    assert len(x) <= 41
    assert (counts.sum(), right.sum()) == (100, 100)


def test_a_confusion_shows_symbols_and_what_is_left_out(tmp_path):
    answers = answer_sums(tmp_path / "run", ANSWERS)
    figure = confusion.draw(answers.confusion(1), "run", FigureOptions(tmp_path / "c.svg"))
    figure.save()
    assert {"9", "8", "2"} <= texts(tmp_path / "c.svg")
    assert any("1 of 3 errors" in note for note in figure.notes)
