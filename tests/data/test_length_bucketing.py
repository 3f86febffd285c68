"""The order of examples in training."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.data.length_bucketing import bucketed_order, epoch_order, make_buckets, stateful_order, steps_per_epoch

sizes = {"examples": st.integers(1, 60), "batch_size": st.integers(1, 20)}
orders = {**sizes, "seed": st.integers(0, 2**31 - 1), "epoch": st.integers(0, 1000)}


@given(**orders)
def test_epoch_order_has_every_example_once_and_pads_the_end(examples, batch_size, seed, epoch):
    order = epoch_order(examples, batch_size, seed, epoch)
    assert order.dtype == np.int32
    assert order.shape == (steps_per_epoch(examples, batch_size), batch_size)
    flat = order.ravel()
    assert sorted(flat[:examples]) == list(range(examples))
    assert (flat[examples:] == -1).all()
    assert len(flat) - examples < batch_size


@given(**orders)
def test_epoch_order_is_a_function_of_seed_and_epoch(examples, batch_size, seed, epoch):
    first = epoch_order(examples, batch_size, seed, epoch)
    np.random.default_rng().random()
    np.testing.assert_array_equal(first, epoch_order(examples, batch_size, seed, epoch))
    one_batch = epoch_order(examples, examples, seed, epoch)
    np.testing.assert_array_equal(first.ravel()[:examples], one_batch[0])  # the size of a batch changes nothing


def test_epoch_order_differs_between_seeds_and_epochs():
    seen = {tuple(epoch_order(50, 50, seed, epoch)[0]) for seed in range(5) for epoch in range(5)}
    assert len(seen) == 25


def test_epoch_order_is_shuffled():
    assert epoch_order(50, 50, 0, 0)[0].tolist() != list(range(50))


@given(**sizes)
def test_stateful_order_keeps_order_of_independent_examples(examples, batch_size):
    order = stateful_order(examples, batch_size, continuing=False).ravel()
    assert order[:examples].tolist() == list(range(examples))
    assert (order[examples:] == -1).all()


@given(**sizes)
def test_stateful_order_continues_each_row_in_the_next_batch(examples, batch_size):
    order = stateful_order(examples, batch_size, continuing=True)
    assert order.shape == (steps_per_epoch(examples, batch_size), batch_size)
    assert sorted(order[order >= 0]) == list(range(examples))
    for before, after in pairwise(order):
        assert ((after == before + 1) | (after == -1)).all()


@pytest.mark.parametrize(("examples", "batch_size", "steps"), [(1, 8, 1), (8, 8, 1), (9, 8, 2), (45000, 256, 176)])
def test_steps_per_epoch_rounds_up(examples, batch_size, steps):
    assert steps_per_epoch(examples, batch_size) == steps


lengths = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=80).map(np.array)
bucketed = {"pairs": lengths, "batch_size": st.integers(1, 20), "most": st.integers(1, 8)}
when = {"seed": st.integers(0, 2**31 - 1), "epoch": st.integers(0, 1000)}


def steps_computed(rows, shapes):
    """Source and target steps of all rows, empty ones too."""
    return rows.shape[1] * int(shapes.sum())


@given(**bucketed, **when)
def test_bucketed_order_has_every_example_once_in_a_shape_that_fits(pairs, batch_size, most, seed, epoch):
    buckets = make_buckets(*pairs.T, most)
    rows, bucket = bucketed_order(buckets, batch_size, seed, epoch)
    assert (rows.dtype, bucket.dtype) == (np.int32, np.int32)
    assert rows.shape == (steps_per_epoch(len(pairs), batch_size), batch_size)
    assert sorted(rows[rows >= 0]) == list(range(len(pairs)))
    assert ((rows < 0).sum(axis=1) > 0).sum() <= 1, "one batch at most is filled up"
    for batch, shape in zip(rows, buckets.shapes[bucket], strict=True):
        assert (batch >= 0).any()
        assert (pairs[batch[batch >= 0]] <= shape).all()


@given(**bucketed, **when)
def test_bucketed_order_is_a_function_of_seed_and_epoch(pairs, batch_size, most, seed, epoch):
    first = bucketed_order(make_buckets(*pairs.T, most), batch_size, seed, epoch)
    np.random.default_rng().random()
    again = bucketed_order(make_buckets(*pairs.T, most), batch_size, seed, epoch)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


@given(**bucketed)
def test_make_buckets_assigns_the_first_bucket_that_fits(pairs, batch_size, most):
    buckets = make_buckets(*pairs.T, most)
    assert 1 <= len(buckets.shapes) <= most
    assert (np.diff(buckets.shapes, axis=0) >= 0).all()
    assert (buckets.shapes[-1] == pairs.max(axis=0)).all()
    for pair, bucket in zip(pairs, buckets.bucket, strict=True):
        assert (pair <= buckets.shapes[bucket]).all()
        assert bucket == 0 or (pair > buckets.shapes[bucket - 1]).any()


@given(**bucketed, **when)
def test_make_buckets_never_pads_more_than_one_bucket(pairs, batch_size, most, seed, epoch):
    buckets = make_buckets(*pairs.T, most)
    rows, bucket = bucketed_order(buckets, batch_size, seed, epoch)
    shapes = buckets.shapes[bucket]
    assert steps_computed(rows, shapes) <= len(rows) * batch_size * int(pairs.max(axis=0).sum())


def test_make_buckets_of_equal_lengths_needs_no_padding():
    buckets = make_buckets(np.full(9, 3), np.full(9, 4))
    assert buckets.shapes.tolist() == [[3, 4]]


def test_make_buckets_leaves_little_padding_for_word_lengths():
    rng = np.random.default_rng(0)
    source = np.clip(rng.normal(10, 3, 4000).round().astype(int), 1, 30)
    target = np.clip(source + rng.integers(-2, 3, 4000), 1, 30) + 1
    real = int(source.sum() + target.sum())
    whole = 4000 * int(source.max() + target.max())
    buckets = make_buckets(source, target)
    rows, bucket = bucketed_order(buckets, 100, 0, 0)
    computed = steps_computed(rows, buckets.shapes[bucket])
    assert whole > 1.9 * real
    assert computed < 1.2 * real


def test_bucketed_order_shuffles_within_and_among_batches():
    buckets = make_buckets(np.arange(1, 101) // 10 + 1, np.ones(100, int), 5)
    orders = [bucketed_order(buckets, 10, 0, epoch) for epoch in range(3)]
    assert len({tuple(rows.ravel()) for rows, _ in orders}) == 3
    assert any(list(bucket) != sorted(bucket) for _, bucket in orders)
    assert any(list(batch) != sorted(batch) for rows, _ in orders for batch in rows)


def test_bucketed_order_pads_a_random_batch():
    buckets = make_buckets(np.arange(1, 96), np.arange(1, 96), 5)
    short = set()
    for epoch in range(20):
        rows, bucket = bucketed_order(buckets, 10, 0, epoch)
        short |= set(bucket[(rows < 0).any(axis=1)].tolist())
    assert len(short) > 2


def test_make_buckets_of_very_long_examples_is_fast():
    lengths = np.arange(1, 20_001)
    buckets = make_buckets(lengths, lengths, 4)
    assert len(buckets.shapes) == 4
    assert buckets.shapes[-1].tolist() == [20_000, 20_000]
