"""Figures: formats, size, fonts, notes."""

import struct

import pytest
from svg_text import texts

from rnncli.errors import InputError
from rnncli.plots import figure as figures
from rnncli.plots.figure import MAX_PIXELS, Figure, FigureOptions, colours, fonts_for


def draw(path, **options):
    figure = Figure(FigureOptions(path, **options), 3, 2)
    figure.axes[0].plot([0, 1], [0, 1], label="a")
    figure.set_title("own")
    return figure


@pytest.mark.parametrize(("ending", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_ending_is_the_format_and_the_same_figure_the_same_file(tmp_path, ending, begin):
    paths = [tmp_path / f"{name}.{ending}" for name in ("one", "two")]
    for path in paths:
        assert draw(path).save() == ""
    assert paths[0].read_bytes().startswith(begin)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_size_and_dpi_decide_the_pixels(tmp_path):
    draw(tmp_path / "a.png", size=(4, 2.5), dpi=80).save()
    assert struct.unpack(">II", (tmp_path / "a.png").read_bytes()[16:24]) == (320, 200)


def test_the_title_of_the_options_wins_and_may_be_none(tmp_path):
    for title, wanted, other in ((None, "own", "mine"), ("mine", "mine", "own")):
        draw(tmp_path / "a.svg", title=title).save()
        assert wanted in texts(tmp_path / "a.svg")
        assert other not in texts(tmp_path / "a.svg")
    draw(tmp_path / "b.svg", title="").save()
    assert "own" not in texts(tmp_path / "b.svg")


def test_notes_are_written_below(tmp_path):
    figure = draw(tmp_path / "a.svg")
    figure.notes += ["3 of 9 units", "seed 1"]
    figure.save()
    assert "3 of 9 units; seed 1" in texts(tmp_path / "a.svg")


def test_a_font_with_the_missing_letters_is_looked_for(monkeypatch):
    letters = {"good.ttf": frozenset(map(ord, "かな")), "other.ttf": frozenset(map(ord, "xyz"))}
    monkeypatch.setattr(figures, "_installed", lambda: [("Other", "other.ttf"), ("Good", "good.ttf")])
    monkeypatch.setattr(figures, "_letters_of", lambda path: letters.get(path, frozenset(range(256))))
    assert fonts_for("abc") == ["DejaVu Sans"]
    assert fonts_for("かä\n") == ["DejaVu Sans", "Good"]


def test_a_font_that_cannot_be_read_is_passed_over(tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    assert figures._letters_of(str(tmp_path / "broken.ttf")) == frozenset()


@pytest.mark.parametrize("count", [1, 10, 30])
def test_colours_differ(count):
    assert len({str(colour) for colour in colours(count)}) == count


def test_a_figure_of_too_many_pixels_is_refused_however_its_size_came_about(tmp_path):
    with pytest.raises(InputError):
        FigureOptions(tmp_path / "given.png", (24, 24), 1200)
    options = FigureOptions(tmp_path / "chosen.png", None, 1200)
    with pytest.raises(InputError) as refused:
        Figure(options, 60, 60)
    dpi = int(refused.value.hint.split()[2].rstrip(","))
    assert 24 * 24 * dpi**2 <= MAX_PIXELS < 24 * 24 * (dpi + 1) ** 2, "the hint is the greatest that fits"
    assert Figure(options, 4, 3).axes
