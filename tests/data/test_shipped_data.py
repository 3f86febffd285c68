"""The shipped data sets are those that their script makes, and nothing of them is in two files."""

import random
import runpy
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest

DATA = Path(__file__).parents[2] / "data"
make = SimpleNamespace(**runpy.run_path(str(DATA / "make.py")))


def lines(name):
    return {part: (DATA / f"{name}_{part}.tsv").read_text().splitlines() for part in make.parts(name)}


@pytest.mark.parametrize("name", make.SETS)
def test_shipped_data_has_documented_sizes_and_distinct_sources(name):
    found = lines(name)
    assert {part: len(rows) for part, rows in found.items()} == make.parts(name)
    cells = [row.split("\t") for rows in found.values() for row in rows]
    assert len({(row[0], *row[2:]) for row in cells}) == len(cells)


@pytest.mark.parametrize("name", ["number_words", "kana", "inflection"])
def test_make_script_reproduces_shipped_files(name, tmp_path):
    make.write(name, tmp_path)
    for part in make.parts(name):
        assert (tmp_path / f"{name}_{part}.tsv").read_text().splitlines() == lines(name)[part]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (305, "three hundred and five"),
        (1064, "one thousand and sixty-four"),
        (911_825, "nine hundred and eleven thousand eight hundred and twenty-five"),
    ],
)
def test_number_words_are_british(number, words):
    assert make.words(number) == words


@pytest.mark.parametrize(
    ("kana", "romaji"),
    [
        ("きゃっと", "kyatto"),
        ("まっちゃ", "matcha"),
        ("しんいち", "shin'ichi"),
        ("さんにん", "sannin"),
        ("らーめん", "rāmen"),
        ("ちゅーじょー", "chūjō"),
    ],
)
def test_romaji_are_hepburn(kana, romaji):
    assert make.romaji(kana) == romaji


@pytest.mark.parametrize(
    ("noun", "case", "number", "possessor", "form"),
    [
        ("kitap", "ACC", "SG", None, "kitabı"),  # noqa: RUF001
        ("top", "ACC", "SG", None, "topu"),
        ("ağaç", "LOC", "SG", None, "ağaçta"),
        ("köy", "ABL", "PL", "PSS1P", "köylerimizden"),
        ("ev", "LOC", "SG", "PSS3S", "evinde"),
        ("araba", "DAT", "SG", "PSS3S", "arabasına"),  # noqa: RUF001
        ("tütsü", "ACC", "SG", None, "tütsüyü"),
        ("göl", "GEN", "SG", "PSS2S", "gölünün"),
        ("kuzu", "GEN", "SG", None, "kuzunun"),
    ],
)
def test_made_up_nouns_are_inflected_as_turkish_ones(noun, case, number, possessor, form):
    assert make.inflected(noun, case, number, possessor) == form


def test_kana_words_use_one_script():
    for written, _ in islice(make.kana(random.Random(1)), 200):
        assert all("ぁ" <= c <= "ん" for c in written) or all("ァ" <= c <= "ン" or c == "ー" for c in written)
