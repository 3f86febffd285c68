"""A test of cuDNN's recurrent kernels on the GPU of this machine.

A visible GPU proves nothing: some pairs of CUDA and cuDNN fail in every recurrent layer (tensorflow issue 105092). So
a tiny layer is run first.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

from rnncli.layers.cells import keras_layer
from rnncli.layers.precision import POLICIES
from rnncli.text import summarize_error

ROWS, STEPS, FEATURES, UNITS = 3, 5, 4, 8
LENGTHS = (5, 3, 1)
TOLERANCE = 1e-3
"""Largest error in float32, relative to the largest number."""

COARSE_TOLERANCE = 0.05
"""Largest error where the factors of products have 8 to 11 significant bits."""


@cache
def probe_cudnn(cell: str, precision: str = "float32") -> str | None:
    """Run a tiny cuDNN layer forward and backward on the first GPU, and compare it with Keras's generic kernel.

    Runs once in a process for each cell and precision. Draws no random number, so that initial parameters do not
    depend on it.

    Args:
        cell: A key of `CELLS`.
        precision: `runtime.precision`.

    Returns:
        The failure in one line; None if cuDNN works.
    """
    try:
        with tf.device("/GPU:0"):
            layer, options = keras_layer(cell), {"dtype": POLICIES[precision]}
            cudnn, generic = (run_tiny(layer, use_cudnn=kernel, **options) for kernel in (True, False))
    except Exception as error:  # TensorFlow, Keras and CUDA raise errors of many classes
        return summarize_error(error)
    worst = max(float(np.abs(a - b).max()) / max(1.0, np.abs(b).max()) for a, b in zip(cudnn, generic, strict=True))
    tolerance = TOLERANCE if precision == "float32" else COARSE_TOLERANCE
    return None if worst < tolerance else f"its results differ by {worst:.1g} from those of the generic kernel"


def run_tiny(layer_class: Any, **options: Any) -> list[Any]:
    """Run a tiny layer, with fixed parameters and inputs, over rows of different lengths.

    Args:
        layer_class: A Keras LSTM, GRU or the like.
        options: Keyword arguments of the layer.

    Returns:
        float32 arrays: outputs, zeros in the padding; final states; gradients of the input and of each variable.
    """
    fixed = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros", "seed": 0}
    layer = layer_class(UNITS, return_sequences=True, return_state=True, name="probe", **fixed, **options)
    layer.build((ROWS, STEPS, FEATURES))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(0, 0.3, variable.shape) for variable in layer.weights])
    x = tf.constant(rng.normal(0, 1, (ROWS, STEPS, FEATURES)), tf.float32)
    mask = tf.sequence_mask(LENGTHS, STEPS)
    with tf.GradientTape() as tape:
        tape.watch(x)
        output, *states = layer(x, mask=mask)
        output, *states = (tf.cast(value, tf.float32) for value in (output, *states))
        output = tf.where(mask[:, :, None], output, 0.0)
        total = tf.add_n([tf.reduce_sum(value * value) for value in (output, *states)])
    gradients = tape.gradient(total, [x, *(variable.value for variable in layer.weights)])
    return [value.numpy() for value in (output, *states, *gradients)]
