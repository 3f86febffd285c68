"""Monotonic attention: cases by hand, and the forward algorithm against an enumeration of all alignments in NumPy."""

from itertools import combinations_with_replacement, pairwise

import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import parse_config
from rnncli.data.vocabulary import BOS_ID
from rnncli.errors import ConfigError
from rnncli.layers import MonotonicAttention
from rnncli.layers.monotonic_attention import NEVER, advance_by_jumps, cumulative_logsumexp, known

pytestmark = pytest.mark.usefixtures("runtime")
SYMBOLS, UNITS, WINDOW = 5, 3, 2
LENGTHS = np.array([4, 2, 1], np.int32)
TARGET = np.array([[3, 4, 4], [4, 3, 2], [2, 4, 3]])
BEFORE = np.array([[BOS_ID, 3, 4], [BOS_ID, 4, 3], [BOS_ID, 2, 4]], np.int32)
orders = pytest.mark.parametrize("order", [0, 1])


def layer(order, units=UNITS, window=WINDOW):
    made = MonotonicAttention(order, window, units, 2, name="attention")
    made.build((None, None, units), (None, None, 6))
    rng = np.random.default_rng(1)
    made.set_weights([rng.normal(size=weight.shape) for weight in made.weights])
    return made


def log_softmax(scores):
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        # first step 1/4 or 3/4; the second likewise from step 0, and stays at step 1
        (0, 1 / 4 * 0.9 * (1 / 4 * 0.1 + 3 / 4 * 0.8) + 3 / 4 * 0.2 * 0.8),
        # from step 0 the second stays with 3/4
        (1, 1 / 4 * 0.9 * (3 / 4 * 0.1 + 1 / 4 * 0.8) + 3 / 4 * 0.2 * 0.8),
    ],
)
def test_likelihood_of_two_symbols_by_hand(order, expected):
    made = layer(order, units=1, window=1)
    logits = np.full((1, 2, 2, SYMBOLS), -1e9)
    logits[0, :, 0, 3:], logits[0, :, 1, 3:] = np.log([0.9, 0.1]), np.log([0.2, 0.8])
    keys, jumps = np.log([[[1.0], [3.0]]]), None
    if order == 1:
        made.jump_query.set_weights([np.zeros((1, 2)), np.log([3.0, 1.0])])
        jumps = tf.zeros([1, 2, 2])
    given = [tf.constant(each, tf.float32) for each in (logits, np.ones((1, 2, 1)), keys)]
    found, alphas = made(given[0], given[1], tf.constant([[BOS_ID, 3]]), given[2], tf.constant([2]), jumps)
    first, second = np.exp(found[0, 0, 3]), np.exp(found[0, 1, 4])
    assert first == pytest.approx(1 / 4 * 0.9 + 3 / 4 * 0.2)
    assert first * second == pytest.approx(expected)
    np.testing.assert_allclose(np.exp(alphas[0, 0]), [1 / 4, 3 / 4], rtol=1e-6)


def enumerated(order, row, logits, query, keys, jump_kernel, jump_bias, jumps):
    """The alignments of a row, and the log of the joint probability of each with the target, from the equations."""
    length = LENGTHS[row]
    written = log_softmax(logits[row])
    scores = query[row] @ keys[row, :length].T
    alignments = list(combinations_with_replacement(range(length), TARGET.shape[1]))
    found = []
    for alignment in alignments:
        total = log_softmax(scores[0])[alignment[0]]
        for t, (r, s) in enumerate(pairwise(alignment), 1):
            if order == 0:
                total += log_softmax(scores[t, r:])[s - r]
            else:
                moves = (query[row, t] @ jump_kernel + jump_bias + jumps[row, r])[: length - r]
                total += log_softmax(moves)[s - r] if s - r <= WINDOW else -np.inf
        found.append(total + sum(written[t, s, TARGET[row, t]] for t, s in enumerate(alignment)))
    return alignments, np.array(found)


def log_likelihoods(order, *values):
    return np.array([np.logaddexp.reduce(enumerated(order, row, *values)[1]) for row in range(len(LENGTHS))])


def random_values(scale=1.0):
    rng = np.random.default_rng(0)
    shapes = [
        (3, 3, 4, SYMBOLS),
        (3, 3, UNITS),
        (3, 4, UNITS),
        (UNITS, WINDOW + 1),
        (WINDOW + 1,),
        (3, 4, WINDOW + 1),
    ]
    return [rng.normal(size=shape) * scale for shape in shapes]


def arguments(order, made, values):
    """The arguments of the layer, of which the first three and the last are those to differentiate by."""
    logits, query, keys, kernel, bias, jumps = values
    if order == 1:
        made.jump_query.set_weights([kernel, bias])
    tensors = [tf.constant(each, tf.float32) for each in (logits, query, keys, jumps)]
    return tensors, (tf.constant(LENGTHS), tensors[3] if order == 1 else None)


@orders
def test_likelihood_and_gradients_are_those_of_all_alignments(order):
    made, values = layer(order), random_values()
    (logits, query, keys, jumps), more = arguments(order, made, values)
    weights = [variable.value for variable in made.jump_query.weights] if order == 1 else []
    with tf.GradientTape() as tape:
        tape.watch([logits, query, keys, jumps])
        found, _ = made(logits, query, tf.constant(BEFORE), keys, *more)
        likelihoods = tf.reduce_sum(tf.gather(found, TARGET, batch_dims=2), axis=1)
        loss = tf.reduce_sum(likelihoods * [1.0, 2.0, -3.0])
    inputs = [logits, query, keys, *weights, *([jumps] if order == 1 else [])]
    gradients = tape.gradient(loss, inputs)
    np.testing.assert_allclose(likelihoods, log_likelihoods(order, *values), rtol=1e-5)
    np.testing.assert_allclose(np.exp(found).sum(axis=-1), 1, rtol=1e-5)
    rng = np.random.default_rng(2)
    for number, gradient in enumerate(gradients):
        direction = rng.normal(size=values[number].shape)
        ends = []
        for step in (1e-5, -1e-5):
            moved = [*values[:number], values[number] + step * direction, *values[number + 1 :]]
            ends.append(log_likelihoods(order, *moved) @ [1, 2, -3])
        slope = (ends[0] - ends[1]) / 2e-5
        assert float(np.sum(gradient * direction)) == pytest.approx(slope, rel=1e-3, abs=1e-4)


@orders
def test_posterior_is_the_share_of_the_alignments_through_each_step(order):
    made, values = layer(order), random_values(2.0)
    (logits, query, keys, _), more = arguments(order, made, values)
    counted = tf.ones(TARGET.shape, tf.bool)
    found = made.posterior(logits, query, tf.constant(TARGET), counted, keys, *more)
    for row in range(len(LENGTHS)):
        alignments, joint = enumerated(order, row, *values)
        expected = np.zeros((3, 4))
        for alignment, share in zip(alignments, np.exp(joint - np.logaddexp.reduce(joint)), strict=True):
            expected[np.arange(3), alignment] += share
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


@orders
def test_gradients_are_finite_at_extreme_scores_and_without_a_source(order):
    made = layer(order)
    tensors, (_, jumps) = arguments(order, made, random_values(40.0))
    with tf.GradientTape() as tape:
        tape.watch(tensors[:3])
        found, _ = made(tensors[0], tensors[1], tf.constant(BEFORE), tensors[2], tf.constant([4, 1, 0]), jumps)
        loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(TARGET[:2], found[:2]))
    assert np.isfinite(loss)
    for gradient in tape.gradient(loss, tensors[:3]):
        assert np.isfinite(gradient).all()


@orders
def test_gradients_have_the_same_bits_every_time(order):
    made = layer(order)
    (logits, query, keys, _), (lengths, jumps) = arguments(order, made, random_values())

    @tf.function(autograph=False)
    def gradients():
        with tf.GradientTape() as tape:
            tape.watch([logits, query, keys])
            loss = tf.reduce_sum(made(logits, query, tf.constant(BEFORE), keys, lengths, jumps)[0][:, :, 3])
        return tape.gradient(loss, [logits, query, keys])

    first = [value.numpy().tobytes() for value in gradients()]
    assert all([value.numpy().tobytes() for value in gradients()] == first for _ in range(50))


def test_vectors_read_both_outputs_as_one():
    made, rng = layer(1), np.random.default_rng(3)
    outputs, query = rng.normal(size=(2, 4, 6)), rng.normal(size=(2, 3, UNITS))
    memory = made.memory(tf.constant(outputs, tf.float32), tf.constant([4, 4]))
    found = made.vectors(tf.constant(query, tf.float32), memory["values"])
    combine = np.concatenate([made.write_query.kernel, made.write_value.kernel])
    both = np.concatenate(np.broadcast_arrays(query[:, :, None], outputs[:, None, :, :UNITS]), axis=-1)
    both = np.concatenate([both[..., :UNITS], np.broadcast_to(outputs[:, None], (2, 3, 4, 6))], axis=-1)
    np.testing.assert_allclose(found, np.tanh(both @ combine), atol=1e-5)
    np.testing.assert_allclose(memory["keys"], outputs @ made.key.kernel, atol=1e-5)
    np.testing.assert_allclose(memory["jumps"], memory["keys"] @ made.jump_key.kernel, atol=1e-5)


def test_state_that_fits_no_source_step_begins_again():
    alpha = np.array([[0.25, 0.75], [0, 0], [0, 1]], np.float32)
    logits = np.zeros((3, 2, SYMBOLS), np.float32)
    logits[0, 1, 3] = np.log(5)
    found = known(*map(tf.constant, (alpha, logits, [3, 3, 3], [2, 2, 1])))
    np.testing.assert_allclose(np.exp(found[0]), [3 / 28, 25 / 28], rtol=1e-6)  # 1/4 * 1/5 to 3/4 * 5/9
    np.testing.assert_array_equal(found[1:], np.full((2, 2), np.float32(NEVER)))


@pytest.mark.parametrize(("steps", "jumps"), [(1, 3), (2, 4), (4, 4), (5, 2)])
def test_jumps_move_on_by_their_number_of_steps(steps, jumps):
    rng = np.random.default_rng(0)
    before, moves = rng.normal(size=(2, steps)), rng.normal(size=(2, steps, jumps))
    expected = np.full((2, steps), -np.inf)
    for r in range(steps):
        for d in range(min(jumps, steps - r)):
            expected[:, r + d] = np.logaddexp(expected[:, r + d], before[:, r] + moves[:, r, d])
    found = advance_by_jumps(tf.constant(before, tf.float32), tf.constant(moves, tf.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 5, 8])
def test_cumulative_sums_match_numpy(length):
    values = np.random.default_rng(0).normal(size=(3, length)).astype(np.float32) * 20
    expected = np.logaddexp.accumulate(values.astype(np.float64), axis=-1)
    np.testing.assert_allclose(cumulative_logsumexp(tf.constant(values)), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "more", "key"),
    [
        ("attention: monotonic, input_feeding: true", "", "model.input_feeding"),
        ("attention: monotonic, copy: pointer_generator", "", "model.copy"),
        ("attention: general, attention_order: 1", "", "model.attention_order"),
        ("attention: monotonic, attention_window: 3", "", "model.attention_window"),
        ("attention: monotonic, attention_order: 2", "", "model.attention_order"),
        ("attention: monotonic, attention_order: 1, attention_window: 0", "", "model.attention_window"),
        ("attention: monotonic, cell: {type: custom, class: 'a:B'}", "", "model.attention"),
        ("attention: monotonic", ", training: {export: onnx}", "training.export"),
    ],
)
def test_config_refuses_what_monotonic_attention_cannot(model, more, key):
    with pytest.raises(ConfigError, match=rf"c:1: {key}: "):
        parse_config(f"{{task: addition, model: {{type: encoder_decoder, {model}}}{more}}}", "c")
