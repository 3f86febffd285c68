"""Models and bridges with custom cells."""

import custom_cells as own_cells
import numpy as np
import pytest
import tensorflow as tf
from random_weights import give_random_weights

from rnncli.config import parse_config
from rnncli.data.examples import Sizes
from rnncli.layers import Bridge, fits
from rnncli.models import build_model

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]


def model(task, section, sizes, make=own_cells.Matrix):
    cell = f"{{type: custom, class: 'custom_cells:{make.__name__}'}}"
    config = parse_config(f"task: {task}\nmodel: {{cell: {cell}, {section}}}", "c")
    made = build_model(config, sizes)
    return give_random_weights(made)


SIZES = Sizes(6, 5, 4, 3)
STACKS = "encoder: {units: 4}, decoder: {units: 4}"
MODELS = {
    "encoder_decoder": ("addition", f"type: encoder_decoder, {STACKS}"),
    "dense_bridge": (
        "addition",
        "type: encoder_decoder, encoder: {units: 3, bidirectional: true}, decoder: {units: 4}",
    ),
    "no_fit": ("addition", "type: encoder_decoder, encoder: {units: 2, bidirectional: true}, decoder: {units: 4}"),
    "repeat_vector": ("addition", f"type: repeat_vector, {STACKS}"),
    "next_step": ("alphabet", "type: next_step, units: 4, layers: 2"),
    "classifier": ("addition", "type: classifier, units: 4, bidirectional: true"),
    "pooled": ("addition", "type: classifier, units: 4, bidirectional: true, pooling: mean"),
}
SOURCE = np.array([[5, 3, 2, 4, 1], [2, 4, 0, 0, 0]], np.int32)
OTHER = np.array([[5, 3, 2, 4, 1], [2, 4, 3, 5, 1]], np.int32)  # other padding
TARGET = np.array([[3, 1, 2], [3, 2, 0]], np.int32)
LONG = np.array([5, 2], np.int32), np.array([3, 2], np.int32)


@pytest.mark.parametrize("kind", MODELS)
def test_models_with_a_custom_cell_ignore_padding_and_trace_all_states(kind):
    made = model(*MODELS[kind], SIZES)
    source, other, target, lengths, target_lengths = map(tf.constant, (SOURCE, OTHER, TARGET, *LONG))
    logits = made.logits(source, lengths, target).numpy()
    assert np.isfinite(logits).all()
    np.testing.assert_array_equal(logits, made.logits(other, lengths, target))
    arrays = made.trace(source, lengths, target, target_lengths)
    for layer in made.recurrent_layers:
        for name, shape in layer.state_spec.items():
            steps = 3 if name.startswith("decoder") else 5
            assert arrays[name].shape == (2, steps, *shape)
            assert arrays[name.replace("ward/", "ward/final/")].shape == (2, *shape)


def test_bridge_copies_custom_states_that_fit():
    assert model(*MODELS["encoder_decoder"], SIZES).bridge.kind == "copy"
    assert model(*MODELS["no_fit"], SIZES).bridge.kind == "copy"  # [2, 2] of both directions side by side are [2, 4]
    assert model(*MODELS["dense_bridge"], SIZES).bridge.kind == "dense"
    assert not fits({"e/forward/m": (2, 3), "e/backward/m": (2, 3)}, {"d/forward/m": (4, 3)})


def test_dense_bridge_computes_states_of_any_shape():
    bridge = Bridge({"e/m": (1, 2)}, {"d/m": (2, 1)}, "dense")
    bridge.build(None)
    bridge.set_weights([np.array([[1.0, 10.0], [100.0, 0.0]]), np.zeros(2)])
    np.testing.assert_array_equal(bridge({"e/m": tf.constant([[[1.0, 2.0]]])})["d/m"], [[[201.0], [10.0]]])
