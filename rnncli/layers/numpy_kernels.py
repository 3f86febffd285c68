"""One time step of a cell in NumPy, where a call of TensorFlow costs more than the step itself.

Each function maps the projected input `x` and the recurrent product `inner` with its bias, float32 [batch, gates *
units] both, and the states, float32 [batch, units] each, to the new states. Equations, gate order and variables are
those of the fused kernels (`rnncli.layers.fused_kernels`). Name a new one in `rnncli.config.cells.CELLS`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Arrays: TypeAlias = tuple[NDArray[np.float32], ...]
NumpyStep: TypeAlias = Callable[[NDArray[np.float32], NDArray[np.float32], Arrays], Arrays]


def _sigmoid(x: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # exp(-x) of a closed gate may be infinite, and its sigmoid is then 0
        return np.reciprocal(1 + np.exp(-x))


def lstm(x: NDArray[np.float32], inner: NDArray[np.float32], states: Arrays) -> Arrays:
    """Run a step of `keras.layers.LSTMCell`; the gates are i, f, c, o."""
    z = x + inner
    units = z.shape[1] // 4
    gates = _sigmoid(z)  # of the candidate too, which is not used: one call costs less than two
    candidate = np.tanh(z[:, 2 * units : 3 * units])
    c = gates[:, units : 2 * units] * states[1] + gates[:, :units] * candidate
    return gates[:, 3 * units :] * np.tanh(c), c


def gru(x: NDArray[np.float32], inner: NDArray[np.float32], states: Arrays) -> Arrays:
    """Run a step of `keras.layers.GRUCell` with `reset_after=True`; the gates are z, r, h."""
    units = x.shape[1] // 3
    gates = _sigmoid(x[:, : 2 * units] + inner[:, : 2 * units])
    z, r = gates[:, :units], gates[:, units:]
    candidate = np.tanh(x[:, 2 * units :] + r * inner[:, 2 * units :])
    return (z * states[0] + (1 - z) * candidate,)


def simple_rnn(x: NDArray[np.float32], inner: NDArray[np.float32], states: Arrays) -> Arrays:
    """Run a step of `keras.layers.SimpleRNNCell`."""
    del states
    return (np.tanh(x + inner),)
