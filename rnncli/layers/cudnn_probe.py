"""Whether cuDNN's recurrent kernels work on the GPU that is there: a visible GPU proves nothing.

Some pairs of CUDA and cuDNN fail in every recurrent layer (tensorflow issue 105092), so a tiny one is tried first.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

from rnncli.layers.cells import CELLS
from rnncli.layers.precision import POLICIES
from rnncli.text import summarize_error

ROWS, STEPS, FEATURES, UNITS = 3, 5, 4, 8
LENGTHS = (5, 3, 1)
TOLERANCE = 1e-3
COARSE_TOLERANCE = 0.05
"""Of the largest number, where a product's factors have 8 to 11 significant bits."""


@cache
def probe_cudnn(cell: str, precision: str = "float32") -> str | None:
    """Run a tiny cuDNN layer forward and backward on the first GPU, and compare it with Keras's generic kernel.

    It is tried once in a process. No random number is drawn, so weights are the same with a probe and without.

    Args:
        cell: A name in `CELLS`.
        precision: `runtime.precision` of the config.

    Returns:
        What failed, in one line; None if cuDNN works.
    """
    try:
        with tf.device("/GPU:0"):
            options = {"dtype": POLICIES[precision]}
            cudnn, generic = (run_tiny(CELLS[cell].layer, use_cudnn=kernel, **options) for kernel in (True, False))
    except Exception as error:  # TensorFlow, Keras and CUDA raise what they like
        return summarize_error(error)
    worst = max(float(np.abs(a - b).max()) / max(1.0, np.abs(b).max()) for a, b in zip(cudnn, generic, strict=True))
    tolerance = TOLERANCE if precision == "float32" else COARSE_TOLERANCE
    return None if worst < tolerance else f"its numbers are off by {worst:.1g} from those of the generic kernel"


def run_tiny(kind: Any, **options: Any) -> list[Any]:
    """Outputs, final states and gradients of a tiny layer over rows of different lengths.

    Args:
        kind: A Keras LSTM, GRU or the like.
        options: Of the layer.

    Returns:
        Float32 arrays: outputs with zeros behind the end of each row, final states, then the gradients of the input
        and of each weight.
    """
    fixed = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros", "seed": 0}
    layer = kind(UNITS, return_sequences=True, return_state=True, name="probe", **fixed, **options)
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
