"""How good predictions are, against counts made by hand and a plain edit distance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.inference import metrics
from rnncli.inference.metrics import (
    alignments,
    bootstrap_interval,
    content_lengths,
    edit_distances,
    exact_match,
    rate,
    symbols_right,
)

words = st.lists(st.integers(1, 3), max_size=6)


def levenshtein(a, b):
    if not a or not b:
        return len(a) + len(b)
    change = levenshtein(a[1:], b[1:]) + (a[0] != b[0])
    return min(change, levenshtein(a[1:], b) + 1, levenshtein(a, b[1:]) + 1)


def padded(rows, steps, filler=0):
    return np.array([[*row, *[filler] * (steps - len(row))] for row in rows], np.int32).reshape(len(rows), steps)


def as_arrays(pairs, a_steps=6, b_steps=6):
    a, b = zip(*pairs, strict=True)
    # what stands behind a row's length must not count, so it is made to match
    lengths = [np.array([len(row) for row in rows], np.int32) for rows in (a, b)]
    return padded(a, a_steps, 1), lengths[0], padded(b, b_steps, 1), lengths[1]


def distances(pairs, a_steps=6, b_steps=6):
    return edit_distances(*as_arrays(pairs, a_steps, b_steps)).tolist()


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("abc", "abc", 0),
        ("abc", "abd", 1),
        ("abc", "bc", 1),
        ("abc", "xabc", 1),
        ("kitten", "sitting", 3),
        ("ab", "ba", 2),
    ],
)
def test_edit_distance_counts_changes_insertions_and_deletions(a, b, distance):
    a, b = ([ord(letter) for letter in word] for word in (a, b))
    assert distances([(a, b)], 8, 7) == [distance]


@given(pairs=st.lists(st.tuples(words, words), min_size=1, max_size=5), wider=st.integers(0, 2))
def test_edit_distances_of_many_rows_are_those_of_each_row(pairs, wider):
    assert distances(pairs, 6, 6 + wider) == [levenshtein(*pair) for pair in pairs]


def test_a_row_matches_exactly_if_all_its_symbols_do():
    target = np.array([[5, 6, 2, 0]] * 4)
    predicted = np.array([[5, 6, 2, 0], [5, 6, 2, 3], [5, 6, 6, 2], [4, 6, 2, 0]])
    assert exact_match(predicted, target).tolist() == [True, False, False, False]


def test_right_symbols_are_counted_up_to_the_end_of_the_target():
    target = np.array([[5, 6, 2, 0], [5, 6, 7, 2], [5, 2, 0, 0]])
    predicted = np.array([[5, 7, 2, 0], [6, 5, 7, 2], [4, 4, 0, 0]])
    assert symbols_right(predicted, target, np.array([3, 4, 2])).tolist() == [2, 2, 0]


def test_content_ends_before_the_first_end():
    ids = np.array([[5, 6, 2, 0], [2, 0, 0, 0], [5, 6, 7, 5], [5, 2, 6, 2]])
    assert content_lengths(ids, end=2).tolist() == [2, 0, 4, 1]


def test_content_without_an_end_stops_before_the_padding_on_the_right():
    ids = np.array([[5, 6, 2, 0], [0, 0, 0, 0], [5, 6, 7, 5], [5, 0, 6, 0]])
    assert content_lengths(ids, end=None).tolist() == [3, 0, 4, 3]


@given(pairs=st.lists(st.tuples(words, words), min_size=1, max_size=5))
def test_alignments_give_back_both_rows_in_as_few_edits_as_can_be(pairs):
    for (a, b), way in zip(pairs, alignments(*as_arrays(pairs)), strict=True):
        assert [left for left, _ in way if left is not None] == a
        assert [right for _, right in way if right is not None] == b
        assert (None, None) not in way
        assert sum(left != right for left, right in way) == levenshtein(a, b)


def test_an_alignment_by_hand():
    (way,) = alignments(*as_arrays([([1, 2, 3, 4], [9, 1, 2, 5])]))
    assert way == [(None, 9), (1, 1), (2, 2), (3, None), (4, 5)]


def test_rows_are_done_in_pieces_with_the_same_result(monkeypatch):
    pairs = [([1] * n, [1, 2, 3][: n % 4]) for n in range(7)]
    whole = distances(pairs), list(alignments(*as_arrays(pairs)))
    monkeypatch.setattr(metrics, "CELLS", 60)  # two rows at a time
    assert (distances(pairs), list(alignments(*as_arrays(pairs)))) == whole


def test_no_rows_have_no_distances():
    none, lengths = np.zeros((0, 3), np.int32), np.zeros(0, np.int64)
    assert edit_distances(none, lengths, none, lengths).tolist() == []
    assert list(alignments(none, lengths, none, lengths)) == []


def test_a_rate_of_nothing_keeps_its_edits():
    assert (rate(3, 4), rate(0, 0), rate(2, 0)) == (0.75, 0, 2)


def example_counts(n=50):
    rng = np.random.default_rng(1)
    symbols = rng.integers(1, 12, n)
    return np.minimum(rng.poisson(0.8, n), symbols), symbols


def test_an_interval_is_that_of_examples_drawn_one_by_one():
    edits, symbols = example_counts()
    drawn = np.random.default_rng(2).integers(len(edits), size=(20_000, len(edits)))
    plain = np.percentile(edits[drawn].sum(axis=1) / symbols[drawn].sum(axis=1), [2.5, 97.5])
    low, high = bootstrap_interval(edits, symbols)
    assert [low, high] == pytest.approx(plain, abs=0.1 * (plain[1] - plain[0]))
    assert low < rate(edits.sum(), symbols.sum()) < high


def test_an_interval_does_not_depend_on_the_order_and_has_a_seed():
    edits, symbols = example_counts()
    assert bootstrap_interval(edits, symbols) == bootstrap_interval(edits[::-1], symbols[::-1])
    assert bootstrap_interval(edits, symbols) != bootstrap_interval(edits, symbols, seed=1)


def test_an_interval_is_made_in_pieces_with_the_same_result(monkeypatch):
    edits, symbols = example_counts()
    whole = bootstrap_interval(edits, symbols)
    monkeypatch.setattr(metrics, "CELLS", 3000)
    assert bootstrap_interval(edits, symbols) == whole


@pytest.mark.parametrize(
    ("parts", "wholes", "interval"),
    [([1] * 9, [1] * 9, (1, 1)), ([0] * 9, [3] * 9, (0, 0)), ([2], [8], (0.25, 0.25)), ([0, 0], [0, 0], (0, 0))],
)
def test_where_examples_do_not_differ_the_interval_is_one_point(parts, wholes, interval):
    assert bootstrap_interval(np.array(parts), np.array(wholes)) == interval


def test_four_times_the_examples_halve_the_interval():
    edits, symbols = example_counts()
    wide, narrow = bootstrap_interval(edits, symbols), bootstrap_interval(np.tile(edits, 4), np.tile(symbols, 4))
    assert (narrow[1] - narrow[0]) / (wide[1] - wide[0]) == pytest.approx(0.5, abs=0.05)
