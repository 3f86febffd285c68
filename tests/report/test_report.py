"""`rnncli report`: what the page has, that it needs nothing else, and that anybody can read it."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from answers import answer_sums
from click.testing import CliRunner
from run_files import write_run

from rnncli.cli.main import main
from rnncli.inference.held_out import PairedTest
from rnncli.report import page as pages
from rnncli.report.charts import Line, heat_map, line_chart, nice_ticks
from rnncli.report.data import ReportData
from rnncli.report.page import render
from rnncli.report.sections import SECTIONS
from rnncli.report.sections.config import origins
from rnncli.report.style import CSS
from rnncli.runs.directory import RunDir
from rnncli.runs.listing import describe_run
from rnncli.runs.metrics_log import read_metrics

HOSTILE = '<script>alert("x")</script>&\x1b[2J'
VOID = {"meta", "link", "input", "br", "path", "circle", "rect"}
FIRST = {"1+2": "3", "99+1": "110", "4+5": "8", "20+30": "50"}
SECOND = {"1+2": "4", "99+1": "100", "4+5": "9", "20+30": "5"}


class Page(HTMLParser):
    """A page's elements; fails where they are not nested."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def data(tmp_path):
    """Two runs with their answers, attention for one of the wrong and one of the right ones."""
    paths = [
        write_run(tmp_path / "lstm", (0.1, 0.5), ["training.seed=3"]),
        write_run(
            tmp_path / "gru", (0.3, 0.6), ["model.cell=gru"], kernels={"rnn/0": {"kernel": "fused", "reason": "r"}}
        ),
    ]
    infos = [describe_run(path) for path in paths]
    answers = [answer_sums(path, predicted) for path, predicted in zip(paths, (FIRST, SECOND), strict=True)]
    weights = SimpleNamespace(weights=np.full((3, 4), 0.25, np.float32), source=list("99+1"), target=list("110"))
    return ReportData(
        infos,
        [read_metrics(RunDir(path)) for path in paths],
        answers,
        [PairedTest.of(*answers)],
        attention={(0, 1): weights, (0, 0): weights},
        notes=[HOSTILE],
    )


def test_the_page_has_every_section_for_two_runs(data):
    page = Page(render(data))
    headings = {attributes.get("id") for attributes in page.all("h2")}
    assert headings == set(SECTIONS)
    assert {attributes["href"] for attributes in page.all("a")} == {f"#{name}" for name in (*SECTIONS, "main")}
    for words in ("50.00%", "model.cell", "only the first", "2 of 2", "fused", "99+1", "By digits"):
        assert words in page.text, words
    assert "<del>0</del><ins>1</ins>" in render(data)


def test_a_section_without_content_is_left_out(data):
    alone = ReportData(data.infos[:1], data.logs[:1])
    headings = {attributes.get("id") for attributes in Page(render(alone)).all("h2")}
    assert headings == {"facts", "curves", "config"}


def test_the_page_needs_nothing_else(data):
    text = render(data)
    page = Page(text)
    assert not re.search(r"https?://|@import|url\(|fetch\(|src=", text)
    (policy,) = [each["content"] for each in page.all("meta") if "http-equiv" in each]
    assert "default-src 'none'" in policy
    assert [each["href"] for each in page.all("link")] == ["data:,"]


def test_attention_is_that_of_the_row_where_lines_repeat(data):
    first = data.answers[0]
    texts = [text._replace(line=1) for text in first.examples.texts]
    alike = replace(first, examples=replace(first.examples, texts=texts))
    shown = render(replace(data, answers=[alike, data.answers[1]]))
    assert "Attention for 99+1" in shown
    assert "Attention for 4+5" not in shown, "it has none, unlike the example before it on the same line"
    assert "A, example 1: right" in shown


def test_text_from_runs_is_only_text(data):
    page = Page(render(data))
    assert HOSTILE.replace("\x1b", "\\x1b") in page.text
    assert len(page.all("script")) == 1
    lines = [Line(0, HOSTILE, [1, 2], [1, 2])]
    assert "<script" not in line_chart(HOSTILE, HOSTILE, lines, str)
    assert "<script" not in heat_map(HOSTILE, np.eye(1), [HOSTILE[:10]], [HOSTILE[:10]], axes=(HOSTILE, "b"))


def test_tables_pictures_and_inputs_are_labelled(data):
    page = Page(render(data))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(each.get("scope") in ("col", "row") for each in page.all("th"))
    pictures = page.all("svg")
    assert pictures
    assert all(each["role"] == "img" and each["aria-label"] for each in pictures)
    assert page.tags.index(("input", page.all("input")[0])) > 0
    assert all(tag != "input" or page.tags[place - 1][0] == "label" for place, (tag, _) in enumerate(page.tags))
    scrolled = [each for each in page.all("div") if each.get("role") == "region"]
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in scrolled)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_wrong_answers_beyond_a_limit_are_counted(data):
    page = render(replace(data, max_wrong=2))
    assert "2 of 4 answers are wrong, the first 1" in Page(page).text


def test_a_page_that_would_be_too_large_shows_less(data, monkeypatch):
    whole = len(render(data).encode())
    monkeypatch.setattr(pages, "MAX_BYTES", whole - 500)
    assert len(render(data).encode()) <= whole - 500
    monkeypatch.setattr(pages, "MAX_BYTES", 10)
    assert "wrong" in render(data)


def luminance(colour):
    """Relative luminance of WCAG 2."""
    digits = colour.lstrip("#")
    digits = "".join(2 * each for each in digits) if len(digits) == 3 else digits
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1])
def test_colours_have_enough_contrast(theme):
    colours = dict(re.findall(r"--(\w+):(#[0-9a-f]{3,6})", re.findall(r":root\{[^}]*\}", CSS)[theme]))
    for back in ("back", "raised"):
        for name, colour in colours.items():
            pair = sorted((luminance(colour), luminance(colours[back])))
            least = 4.5 if name in ("text", "soft", "link", "bad", "good") else 3.0
            if name not in ("back", "raised", "line"):
                assert (pair[1] + 0.05) / (pair[0] + 0.05) >= least, (name, back)


def test_origins_of_config_keys(tmp_path):
    run = write_run(tmp_path / "run", overrides=["model.cell=gru"])
    info = describe_run(run)
    found = {key: origin for key, _, origin in origins(info.config, info)}
    assert found["training.batch_size"] == "default"
    assert found["training.epochs"] == "config"
    session = info.sessions[0].model_copy(update={"overrides": ["model.cell=gru", "training.seed=0"]})
    found = {key: origin for key, _, origin in origins(info.config, replace(info, sessions=[session]))}
    assert (found["model.cell"], found["training.seed"]) == ("--set", "--set")


def test_origins_are_of_the_sessions_since_a_config_file_and_of_options_of_a_custom_cell(tmp_path):
    cell = "model.cell={type: custom, class: 'a:B', depth: 2}"
    info = describe_run(write_run(tmp_path / "run", overrides=[cell]))
    given = [("a.yaml", ["training.seed=0"]), ("b.yaml", []), (None, ["training.batch_size=7", cell])]
    sessions = [
        info.sessions[0].model_copy(update={"config_path": path, "overrides": overrides}) for path, overrides in given
    ]
    found = {key: origin for key, _, origin in origins(info.config, replace(info, sessions=sessions))}
    assert (found["training.seed"], found["training.batch_size"]) == ("default", "--set")
    assert (found["model.cell.depth"], found["model.cell.class"]) == ("--set", "--set")


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (5, 5, [5]), (0.001, 0.0042, [0.001, 0.002, 0.003, 0.004])],
)
def test_ticks_are_round_numbers(low, high, ticks):
    assert nice_ticks(low, high, 5) == pytest.approx(ticks)


def test_long_training_is_thinned():
    chart = line_chart("a", "epoch", [Line(0, "r", range(10_000), range(10_000))], str)
    assert len(chart) < 10_000


def report(*arguments):
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def test_what_training_recorded_needs_no_model(tmp_path):
    runs = [write_run(tmp_path / name, (0.1, 0.5)) for name in ("one", "two")]
    result = report(*runs, "--recorded", "-o", tmp_path / "r.html")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / 'r.html'}\n"), result.stderr
    assert "50.00%" in Page((tmp_path / "r.html").read_text()).text
    assert report(*runs, "--recorded", "-o", tmp_path / "r.html").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["run", "-o", "r.txt"], "r.txt"),
        (["run", "run", "-o", "r.html"], "twice"),
        (["run", "--recorded", "--input", "x", "-o", "r.html"], "--recorded"),
        (["none", "-o", "r.html"], "none"),
    ],
)
def test_what_cannot_be_reported_is_refused(tmp_path, monkeypatch, arguments, word):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "run")
    result = report(*arguments)
    assert result.exit_code == 2
    assert word in result.stderr
    assert not (tmp_path / "r.html").exists()
