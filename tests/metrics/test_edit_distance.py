"""Edit distances and alignments against a plain recursive Levenshtein distance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.metrics.edit_distance import alignments, edit_distances

words = st.lists(st.integers(1, 3), max_size=6)


def levenshtein(a, b):
    if not a or not b:
        return len(a) + len(b)
    change = levenshtein(a[1:], b[1:]) + (a[0] != b[0])
    return min(change, levenshtein(a[1:], b) + 1, levenshtein(a, b[1:]) + 1)


def padded(rows, steps, filler):
    return np.array([[*row, *[filler] * (steps - len(row))] for row in rows], np.int32).reshape(len(rows), steps)


def as_arrays(pairs, a_steps=6, b_steps=6):
    a, b = zip(*pairs, strict=True)
    # ids behind a row's length must not count, so they are made equal
    a_lengths, b_lengths = (np.array([len(row) for row in rows], np.int32) for rows in (a, b))
    return padded(a, a_steps, 1), a_lengths, padded(b, b_steps, 1), b_lengths


def distances(pairs, a_steps=6, b_steps=6, **options):
    return edit_distances(*as_arrays(pairs, a_steps, b_steps), **options).tolist()


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
def test_edit_distance_counts_substitutions_insertions_and_deletions(a, b, distance):
    a, b = ([ord(letter) for letter in word] for word in (a, b))
    assert distances([(a, b)], 8, 7) == [distance]


@given(pairs=st.lists(st.tuples(words, words), min_size=1, max_size=5), wider=st.integers(0, 2))
def test_edit_distances_of_many_rows_equal_those_of_each_row(pairs, wider):
    assert distances(pairs, 6, 6 + wider) == [levenshtein(*pair) for pair in pairs]


@given(pairs=st.lists(st.tuples(words, words), min_size=1, max_size=5))
def test_alignments_contain_both_rows_and_have_the_fewest_edits(pairs):
    for (a, b), aligned in zip(pairs, alignments(*as_arrays(pairs)), strict=True):
        assert [left for left, _ in aligned if left is not None] == a
        assert [right for _, right in aligned if right is not None] == b
        assert (None, None) not in aligned
        assert sum(left != right for left, right in aligned) == levenshtein(a, b)


def test_alignment_matches_an_example_by_hand():
    (aligned,) = alignments(*as_arrays([([1, 2, 3, 4], [9, 1, 2, 5])]))
    assert aligned == [(None, 9), (1, 1), (2, 2), (3, None), (4, 5)]


def test_result_does_not_depend_on_the_cells_held_at_once():
    pairs = [([1] * n, [1, 2, 3][: n % 4]) for n in range(7)]
    assert distances(pairs, max_cells=60) == distances(pairs)  # two rows at a time
    arrays = as_arrays(pairs)
    assert list(alignments(*arrays, max_cells=60)) == list(alignments(*arrays))


def test_no_rows_give_no_distances_and_no_alignments():
    none, lengths = np.zeros((0, 3), np.int32), np.zeros(0, np.int64)
    assert edit_distances(none, lengths, none, lengths).tolist() == []
    assert list(alignments(none, lengths, none, lengths)) == []
