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
    return {part: (DATA / f"{name}_{part}.tsv").read_text().splitlines() for part in make.PARTS}


@pytest.mark.parametrize("name", make.SETS)
def test_shipped_data_has_documented_sizes_and_distinct_sources(name):
    found = lines(name)
    assert {part: len(rows) for part, rows in found.items()} == make.PARTS
    cells = [row.split("\t") for rows in found.values() for row in rows]
    assert len({(row[0], *row[2:]) for row in cells}) == len(cells)


@pytest.mark.parametrize("name", ["number_words", "kana"])
def test_make_script_reproduces_shipped_files(name, tmp_path):
    make.write(name, tmp_path)
    for part in make.PARTS:
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


def test_kana_words_use_one_script():
    for written, _ in islice(make.kana(random.Random(1)), 200):
        assert all("ぁ" <= c <= "ん" for c in written) or all("ァ" <= c <= "ン" or c == "ー" for c in written)
