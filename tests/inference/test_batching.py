"""Batches: their sizes, their order, and what happens to errors."""

import threading

import numpy as np
import pytest

from rnncli.data.padding import FlatRows
from rnncli.inference.batching import BATCH_ROWS, padded_lengths, run_in_batches

pytestmark = pytest.mark.usefixtures("runtime")


def inputs(lengths, width):
    return {"source": np.ones((len(lengths), width), np.int32), "lengths": np.array(lengths, np.int32)}


def recording_sizes(sizes):
    def run(batch):
        sizes.append(len(batch["lengths"]))
        return {"length": batch["lengths"]}

    return run


@pytest.mark.parametrize(
    ("longest", "lengths"), [(3, [3]), (8, [8]), (9, [8, 9]), (30, [8, 12, 16, 24, 30]), (32, [8, 12, 16, 24, 32])]
)
def test_padded_lengths_grow_by_at_most_a_half(longest, lengths):
    assert padded_lengths(longest).tolist() == lengths


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_in_the_order_of_the_rows(workers):
    lengths = np.random.default_rng(0).integers(1, 9, 50)
    rows, padded = inputs(lengths, 8), np.where(lengths < 5, 4, 8)
    sizes = []
    found = run_in_batches(recording_sizes(sizes), rows, padded, 8, workers)
    assert found["length"].tolist() == lengths.tolist()
    assert set(sizes) == {8}, "smaller batches are filled up"


@pytest.mark.parametrize(("max_rows", "size"), [(BATCH_ROWS, BATCH_ROWS // 4), (16, 16)])
def test_batches_of_long_sources_have_fewer_rows(max_rows, size):
    sizes, lengths = [], np.full(400, 512)
    run_in_batches(recording_sizes(sizes), inputs(lengths, 512), lengths, BATCH_ROWS, 2, max_rows)
    assert set(sizes) == {size}


def test_each_batch_is_padded_to_its_own_steps():
    widths, lengths = [], np.array([2, 2, 3])

    def run(batch):
        widths.append(batch["source"].shape)
        return {"length": batch["lengths"]}

    run_in_batches(run, inputs(lengths, 3), np.array([8, 8, 16]), 2, 1)
    assert widths == [(2, 16), (2, 8)]


def test_error_in_a_batch_is_raised_and_waiting_batches_are_dropped():
    calls, failed = [], threading.Event()

    def fail(batch):
        calls.append(batch)
        if len(calls) > 1:
            failed.wait(0.05)  # the first error cancels what waits
        raise MemoryError(len(calls))

    with pytest.raises(MemoryError):
        run_in_batches(fail, inputs([4] * 400, 4), np.full(400, 4), 4, 2)
    assert len(calls) <= 10


def test_ragged_sources_give_what_padded_ones_give():
    flat = FlatRows()
    for row in ([1, 2, 3], [4] * 7, [5]):
        flat.append(row)
    array, lengths = flat.padded(9)
    padded = np.array([4, 8, 4])

    def total(batch):
        return {"sum": batch["source"].sum(axis=1)}

    found = [
        run_in_batches(total, {"source": source, "lengths": lengths}, padded, 2, 1)["sum"].tolist()
        for source in (array, flat.ragged(9)[0])
    ]
    assert found == [[6, 28, 5]] * 2
