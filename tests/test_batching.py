"""The order of examples in training."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.batching import carried_order, epoch_order, steps_per_epoch

sizes = {"examples": st.integers(1, 60), "batch_size": st.integers(1, 20)}
orders = {**sizes, "seed": st.integers(0, 2**31 - 1), "epoch": st.integers(0, 1000)}


@given(**orders)
def test_an_epoch_has_every_example_once_and_is_filled_up_at_its_end(examples, batch_size, seed, epoch):
    order = epoch_order(examples, batch_size, seed, epoch)
    assert order.dtype == np.int32
    assert order.shape == (steps_per_epoch(examples, batch_size), batch_size)
    flat = order.ravel()
    assert sorted(flat[:examples]) == list(range(examples))
    assert (flat[examples:] == -1).all()
    assert len(flat) - examples < batch_size


@given(**orders)
def test_the_seed_and_the_epoch_alone_decide_the_order(examples, batch_size, seed, epoch):
    first = epoch_order(examples, batch_size, seed, epoch)
    np.random.default_rng().random()
    np.testing.assert_array_equal(first, epoch_order(examples, batch_size, seed, epoch))
    one_batch = epoch_order(examples, examples, seed, epoch)
    np.testing.assert_array_equal(first.ravel()[:examples], one_batch[0])  # the size of a batch changes nothing


def test_every_seed_and_every_epoch_has_another_order():
    seen = {tuple(epoch_order(50, 50, seed, epoch)[0]) for seed in range(5) for epoch in range(5)}
    assert len(seen) == 25


def test_a_shuffled_epoch_is_not_in_order():
    assert epoch_order(50, 50, 0, 0)[0].tolist() != list(range(50))


@given(**sizes)
def test_examples_that_are_no_sequel_are_carried_in_order(examples, batch_size):
    order = carried_order(examples, batch_size, continuing=False).ravel()
    assert order[:examples].tolist() == list(range(examples))
    assert (order[examples:] == -1).all()


@given(**sizes)
def test_each_row_of_a_batch_is_the_sequel_of_that_row_of_the_batch_before(examples, batch_size):
    order = carried_order(examples, batch_size, continuing=True)
    assert order.shape == (steps_per_epoch(examples, batch_size), batch_size)
    assert sorted(order[order >= 0]) == list(range(examples))
    for before, after in pairwise(order):
        assert ((after == before + 1) | (after == -1)).all()


@pytest.mark.parametrize(("examples", "batch_size", "steps"), [(1, 8, 1), (8, 8, 1), (9, 8, 2), (45000, 256, 176)])
def test_steps_of_an_epoch(examples, batch_size, steps):
    assert steps_per_epoch(examples, batch_size) == steps
