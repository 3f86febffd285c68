"""Rows of very different lengths take memory for their own ids."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.data.examples import Sizes
from rnncli.data.padding import FlatRows, RaggedRows, pad_sources

SIZES = Sizes(source_symbols=30, source_steps=100_000, target_symbols=30, target_steps=9)


def both(rows):
    """Return rows as ragged ones and as a padded array."""
    flat = FlatRows()
    for row in rows:
        flat.append(row)
    return flat.ragged(30)[0], flat.padded(30)[0]


@given(st.lists(st.lists(st.integers(1, 29), min_size=1, max_size=9), min_size=1, max_size=9), st.integers(1, 12))
def test_ragged_rows_are_read_like_an_array(rows, steps):
    ragged, array = both(rows)
    assert (len(ragged), ragged.shape, ragged.dtype) == (len(array), array.shape, array.dtype)
    np.testing.assert_array_equal(np.asarray(ragged), array)
    assert [row.tolist() for row in ragged] == rows
    for chosen in (slice(1, None), slice(0, 0), [len(rows) - 1, 0]):
        np.testing.assert_array_equal(np.asarray(ragged[chosen])[:, :1], array[chosen][:, :1])
    width = array.shape[1]
    expected = np.pad(array, ((0, 0), (0, max(0, steps - width))))[:, :steps]
    np.testing.assert_array_equal(ragged.padded(range(len(rows)), steps), expected)
    assert ragged[0, :2].tolist() == rows[0][:2]


@pytest.mark.parametrize("longest", [14, 100_000])
def test_one_long_row_takes_no_memory_for_the_others(longest):
    rows = [[1] * 12 for _ in range(3000)] + [[2] * longest]
    tracemalloc.start()
    source, lengths = pad_sources(SIZES, rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000
    assert isinstance(source, RaggedRows) == (longest > 14)
    assert lengths.tolist() == [len(row) for row in rows]
