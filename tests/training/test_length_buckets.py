"""Training in length buckets: the same numbers as without, in fewer time steps, with reproducible bits."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import parse_config
from rnncli.data.examples import Examples
from rnncli.data.length_bucketing import Buckets
from rnncli.data.tasks import build_task
from rnncli.models import build_model
from rnncli.training.batches import Batches, build_step
from rnncli.training.step import TrainStep

pytestmark = pytest.mark.usefixtures("runtime")

CONFIG = """
task: {{type: pairs, train: pairs.tsv, validation: pairs.tsv, max_source_length: 20, max_target_length: 20}}
model: {{type: encoder_decoder, encoder: {{units: 4}}, decoder: {{units: 4}}}}
training: {{batch_size: 4, epochs: 1, learning_rate: 1e-2, {training}}}
"""


@pytest.fixture(autouse=True)
def _pairs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["a" * (1 + n % 3) + "b" for n in range(20)] + ["b" * 17 + "a" * n for n in range(4)]
    (tmp_path / "pairs.tsv").write_text("".join(f"{word}\t{word[::-1]}\n" for word in words))


def prepare(runtime, training="buckets: 2", text=CONFIG, **options):
    config = parse_config(text.format(training=training), "c")
    task = build_task(config)
    keras.utils.set_random_seed(1)
    with runtime.strategy.scope():
        model = build_model(config, task.sizes)
    batches = Batches(config, task.splits()[0], runtime.shards, **options)
    return config, batches, model


def test_examples_of_similar_length_share_batches_where_that_saves_much(runtime):
    _, batches, _ = prepare(runtime)
    lengths = batches.examples.source_lengths
    assert batches.buckets.shapes[-1].tolist() == [20, 21]
    longest = [lengths[rows[rows >= 0]].max() for rows in batches.order(0)]
    assert sum(longest) < 4 * 6 + 2 * 20  # at most one batch has both
    assert sorted(n for n in batches.order(0).ravel() if n >= 0) == list(range(24))
    _, batches, _ = prepare(runtime, "buckets: 1")
    assert batches.buckets is None


ADDITION = (
    "{{task: {{type: addition, digits: 2, examples: 300, held_out: 9}}, model: encoder_decoder, "
    "training: {{{training}}}}}"
)


def test_no_buckets_where_they_would_save_little(runtime):
    _, batches, _ = prepare(runtime, "optimizer: adam")
    assert batches.buckets is None, "so short a training is over before they are compiled"
    _, batches, _ = prepare(runtime, "optimizer: adam", min_saved_steps=0)
    assert batches.buckets is not None
    _, batches, _ = prepare(runtime, "optimizer: adam", text=ADDITION, min_saved_steps=0)
    assert len(set(batches.examples.source_lengths.tolist())) > 1
    assert batches.buckets is None


def test_targets_of_single_pass_models_are_not_trimmed():
    examples = Examples(
        np.ones((4, 9), np.int32), np.array([1, 2, 2, 9]), np.ones((4, 3), np.int32), np.array([1, 1, 1, 3])
    )
    config = parse_config("{task: addition, model: repeat_vector, training: {batch_size: 2, buckets: 3}}", "c")
    shapes = Batches(config, examples, 1).buckets.shapes
    assert shapes[:, 1].tolist() == [3] * len(shapes)


ATTENTION = CONFIG.replace("encoder_decoder", "encoder_decoder, attention: general")


@pytest.mark.long
def test_step_learns_the_same_from_a_trimmed_batch(runtime):
    config, batches, model = prepare(runtime, text=ATTENTION)
    rows = batches.order(0)
    step = build_step(config, batches, model, runtime)
    assert step.shapes
    results = step(rows, 0)
    learned = model.arrays()
    _, _, model = prepare(runtime, text=ATTENTION)
    with runtime.strategy.scope():
        optimizer = keras.optimizers.Adam(1e-2)
        plain = TrainStep(model, optimizer, batches.examples, runtime, config.training.seed, 4)
    np.testing.assert_allclose(results, plain(rows, 0), rtol=1e-5)
    for name, weights in model.arrays().items():
        np.testing.assert_allclose(learned[name], weights, atol=1e-4, err_msg=name)


@pytest.mark.long
def test_each_batch_is_computed_in_its_own_shape(runtime):
    """Ids beyond a bucket's length are in no embedding: reading them would change the loss."""
    config, batches, model = prepare(runtime, "buckets: 3")
    step = build_step(config, batches, model, runtime)
    seen = []
    compute = step._compute

    def spy(shards, seed):
        seen.extend((shard.source.shape[1], shard.target.shape[1]) for shard in shards)
        return compute(shards, seed)

    step._compute = spy
    step(batches.order(0), 0)
    assert set(seen) == set(map(tuple, step.shapes))


def test_batches_know_the_first_call_of_each_shape(runtime):
    _, batches, _ = prepare(runtime)
    rows = batches.order(0)
    bucket = np.where(rows >= 0, batches.buckets.bucket[rows], 0).max(axis=1)
    seen = set()
    for row, number in zip(rows, bucket.tolist(), strict=True):
        assert batches.compiles(row[None]) is (number not in seen)
        seen.add(number)


@pytest.mark.long
def test_same_settings_give_the_same_bits(runtime):
    digests = []
    for _ in range(2):
        config, batches, model = prepare(runtime, "buckets: 2, label_smoothing: 0.1")
        step = build_step(config, batches, model, runtime)
        digests.append([np.array(step(batches.order(epoch), 6 * epoch)).tobytes() for epoch in range(2)])
    assert digests[0] == digests[1]


@pytest.mark.long
def test_padding_rows_are_in_no_bucket(runtime):
    _, batches, model = prepare(runtime)
    buckets = Buckets(np.array([[4, 5], [20, 21]], np.int32), (batches.examples.source_lengths > 4).astype(np.int32))
    with runtime.strategy.scope():
        step = TrainStep(model, keras.optimizers.SGD(0.0), batches.examples, runtime, 0, 4, buckets=buckets)
    rows = np.array([[0, 1, -1, -1]], np.int32)
    alone = model.logits(*(tf.constant(values[:2]) for values in _arrays(batches.examples)))
    target = tf.one_hot(batches.examples.target[:2], alone.shape[-1])
    counted = tf.sequence_mask(batches.examples.target_lengths[:2], alone.shape[1], tf.float32)
    wanted = -tf.reduce_sum(tf.nn.log_softmax(alone) * target * counted[..., None]) / tf.reduce_sum(counted)
    np.testing.assert_allclose(step(rows, 0).losses, [wanted], rtol=1e-5)


def _arrays(examples):
    return (
        examples.source.astype(np.int32),
        examples.source_lengths.astype(np.int32),
        examples.target.astype(np.int32),
    )
