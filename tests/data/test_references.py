"""Sources that have several right targets."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnncli.config import PairsTask
from rnncli.data import padding, references
from rnncli.data.parsing import read_examples
from rnncli.data.references import count_shared_sources, note_several_targets, rows_by_source
from rnncli.data.tasks.pairs import Pairs
from rnncli.data.vocabulary import SPECIALS, Vocabularies, Vocabulary
from rnncli.inference.evaluation import closest_references, compare

LETTERS = Vocabulary.of("abcxyz", SPECIALS)


def task():
    config = PairsTask.model_validate({"train": "t", "validation": "v", "max_target_length": 4})
    return Pairs(config, Vocabularies(LETTERS, LETTERS))


def examples_of(*pairs):
    return read_examples(task(), pairs, "f")


def test_rows_of_a_source_are_together_in_the_order_of_the_file():
    found = examples_of("ab\tx", "c\ty", "ab\tz", "abc\tx")
    assert rows_by_source(found, LETTERS) == [[0, 2], [1], [3]]


def test_sources_with_unknown_symbols_are_told_apart_by_their_text():
    found = examples_of("aQ\tx", "aR\tx", "aQ\ty")
    assert rows_by_source(found, LETTERS) == [[0, 2], [1]]


def test_a_note_counts_sources_with_other_targets():
    found = examples_of("ab\tx", "c\ty", "ab\tz", "c\ty")
    (note,) = note_several_targets(found, LETTERS, "train.tsv")
    assert note.startswith("train.tsv: 1 source has several targets, in 2 of 4 examples")
    assert note_several_targets(examples_of("ab\tx", "ab\tx"), LETTERS, "f") == []


@given(st.lists(st.tuples(st.text("ab", min_size=1, max_size=2), st.text("xy", max_size=2)), min_size=1))
@settings(deadline=None, max_examples=50)
def test_notes_count_what_a_dictionary_counts(pairs):
    found = examples_of(*(f"{source}\t{target}" for source, target in pairs if target), "ab\tx")
    targets = defaultdict(list)
    for row in range(len(found)):
        targets[bytes(found.source[row])].append(bytes(found.target[row]))
    several = [each for each in targets.values() if len(set(each)) > 1]
    notes = note_several_targets(found, LETTERS, "f")
    who = "1 source has" if len(several) == 1 else f"{len(several)} sources have"
    counted = f"f: {who} several targets, in {sum(map(len, several))} of {len(found)}"
    assert [note.startswith(counted) for note in notes] == [True] * bool(several)
    half = len(found) // 2
    first, rest = found.rows(slice(half)), found.rows(slice(half, None))
    seen = {bytes(row) for row in rest.source}
    assert count_shared_sources(first, rest) == sum(bytes(row) in seen for row in first.source)


@pytest.mark.parametrize("hashed_ids", [1, 2**20])
def test_examples_of_which_one_is_very_long_are_compared_unpadded(monkeypatch, hashed_ids):
    monkeypatch.setattr(references, "_HASHED_IDS", hashed_ids)
    plain = examples_of("ab\tx", "c\ty", f"{'ab' * 20}\tz", "ab\tz", "cQ\ty")
    monkeypatch.setattr(padding, "MIN_RAGGED", 1)
    monkeypatch.setattr(padding, "MAX_PADDING", 1)
    ragged = examples_of("ab\tx", "c\ty", f"{'ab' * 20}\tz", "ab\tz", "cQ\ty")
    assert isinstance(ragged.source, padding.RaggedRows)
    assert rows_by_source(ragged, LETTERS) == rows_by_source(plain, LETTERS) == [[0, 3], [1], [2], [4]]
    assert note_several_targets(ragged, LETTERS, "f") == note_several_targets(plain, LETTERS, "f") != []
    train = plain.rows([1, 2])
    assert count_shared_sources(ragged, train) == count_shared_sources(plain, train) == 2
    ignored = [LETTERS.ids["a"]]
    assert count_shared_sources(ragged, train, ignored) == count_shared_sources(plain, train, ignored)


def test_the_closest_target_is_the_one_that_is_met_else_the_one_with_fewest_edits():
    found, pairs = examples_of("ab\txyz", "ab\tx", "c\txxx", "c\txyz"), task()
    sources = rows_by_source(found, LETTERS)
    predicted = np.zeros((2, 5), np.int64)
    for row, text in enumerate(["x", "xyy"]):
        ids = pairs.read_target(text)
        predicted[row, : len(ids)] = ids
    rows = closest_references(pairs, found, sources, predicted)
    assert rows == [1, 3]
    assert compare(pairs, found.rows(rows), predicted).exact.tolist() == [True, False]
