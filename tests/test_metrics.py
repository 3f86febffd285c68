"""How good predictions are, against counts made by hand and a plain edit distance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.metrics import content_lengths, edit_distances, exact_match, symbols_right

words = st.lists(st.integers(1, 3), max_size=6)


def levenshtein(a, b):
    if not a or not b:
        return len(a) + len(b)
    change = levenshtein(a[1:], b[1:]) + (a[0] != b[0])
    return min(change, levenshtein(a[1:], b) + 1, levenshtein(a, b[1:]) + 1)


def padded(rows, steps, filler=0):
    return np.array([[*row, *[filler] * (steps - len(row))] for row in rows], np.int32).reshape(len(rows), steps)


def distances(pairs, a_steps=6, b_steps=6):
    a, b = zip(*pairs, strict=True)
    # what stands behind a row's length must not count, so it is made to match
    lengths = [np.array([len(row) for row in rows], np.int32) for rows in (a, b)]
    return edit_distances(padded(a, a_steps, 1), lengths[0], padded(b, b_steps, 1), lengths[1]).tolist()


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
