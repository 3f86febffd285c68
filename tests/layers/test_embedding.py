"""Token embeddings, and their lookup by the fused kernel."""

import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import CELLS
from rnncli.config.models import Encoder
from rnncli.layers import KernelChoice, RecurrentStack, TokenEmbedding
from rnncli.layers.fused_kernels import EmbeddingLookup

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]


def test_embedding_without_size_is_one_hot():
    np.testing.assert_array_equal(TokenEmbedding(3)(tf.constant([[0, 2]])), [[[1, 0, 0], [0, 0, 1]]])


def test_embedding_looks_rows_of_its_matrix_up():
    layer = TokenEmbedding(3, embedding=2)
    layer.build((None, None))
    layer.set_weights([np.array([[0, 1], [2, 3], [4, 5]])])
    np.testing.assert_array_equal(layer(tf.constant([[0, 2]])), [[[0, 1], [4, 5]]])


def test_embedding_as_number_divides_the_id_by_the_vocabulary_size():
    np.testing.assert_array_equal(TokenEmbedding(4, as_number=True)(tf.constant([[0, 3]])), [[[0.0], [0.75]]])


@pytest.mark.parametrize(("options", "width"), [({}, 5), ({"embedding": 2}, 2), ({"as_number": True}, 1)])
def test_embedding_output_shape(options, width):
    layer = TokenEmbedding(5, **options)
    assert layer.compute_output_shape((None, 7)) == (None, 7, width)
    assert layer(tf.zeros([3, 7], tf.int32)).shape == (3, 7, layer.width)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("symbols", "embedding"), [(6, None), (6, 3), (40, 3)])
def test_embedding_lookup_matches_embedded_vectors_in_values_and_gradients(cell, symbols, embedding):
    """Values and gradients; with 40 symbols on 12 places the vectors are fewer than the table's rows."""
    made = TokenEmbedding(symbols, embedding, name="symbols")
    stack = RecurrentStack("rnn", cell, Encoder(units=4, bidirectional=True), KernelChoice("fused", ""))
    rng = np.random.default_rng(3)
    ids = tf.constant(rng.integers(0, 6, (3, 4)), tf.int32)
    lengths = tf.constant([4, 2, 0])
    stack(made(ids), lengths)
    weights = [v for layer in [made, *stack.layers] for v in layer.trainable_variables]
    for weight in weights:
        weight.assign(rng.normal(0, 0.7, weight.shape))
    found = []
    for read in (made.read, made):
        with tf.GradientTape() as tape:
            sequence, state = stack(read(ids), lengths)
            loss = tf.reduce_sum(sequence**2) + sum(tf.reduce_sum(value) for value in state.values())
        gradients = tape.gradient(loss, [weight.value for weight in weights])
        found.append([sequence, *state.values(), *map(tf.convert_to_tensor, gradients)])
    assert isinstance(made.read(ids), EmbeddingLookup)
    for looked_up, made_vectors in zip(*found, strict=True):
        np.testing.assert_allclose(looked_up, made_vectors, atol=1e-5)
