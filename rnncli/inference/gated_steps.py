"""One time step of a built-in cell in NumPy, with the values of its gates. Imports no TensorFlow.

Each function maps the projected input `x` and the recurrent product `inner` with its bias, float32 [gates * units]
both, and the states, float32 [units] each, to the new states and the gates by name. Equations and the order of gates
are those of Keras's cells. Name a new one in `rnncli.config.cells.CELLS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float32]
Gates: TypeAlias = dict[str, Vector]
GatedStep: TypeAlias = Callable[[Vector, Vector, Sequence[Vector]], tuple[tuple[Vector, ...], Gates]]


def _sigmoid(x: Vector) -> Vector:
    with np.errstate(over="ignore"):  # exp(-x) of a closed gate may be infinite, and its sigmoid is then 0
        return np.reciprocal(1 + np.exp(-x))


def lstm(x: Vector, inner: Vector, states: Sequence[Vector]) -> tuple[tuple[Vector, ...], Gates]:
    """Run a step of `keras.layers.LSTMCell`."""
    i, f, g, o = np.split(x + inner, 4)
    gates = {
        "input_gate": _sigmoid(i),
        "forget_gate": _sigmoid(f),
        "candidate": np.tanh(g),
        "output_gate": _sigmoid(o),
    }
    c = gates["forget_gate"] * states[1] + gates["input_gate"] * gates["candidate"]
    return (gates["output_gate"] * np.tanh(c), c), gates


def gru(x: Vector, inner: Vector, states: Sequence[Vector]) -> tuple[tuple[Vector, ...], Gates]:
    """Run a step of `keras.layers.GRUCell` with `reset_after=True`."""
    (xz, xr, xh), (iz, ir, ih) = np.split(x, 3), np.split(inner, 3)
    gates = {"update_gate": _sigmoid(xz + iz), "reset_gate": _sigmoid(xr + ir)}
    gates["candidate"] = np.tanh(xh + gates["reset_gate"] * ih)
    return (gates["update_gate"] * states[0] + (1 - gates["update_gate"]) * gates["candidate"],), gates


def simple_rnn(x: Vector, inner: Vector, states: Sequence[Vector]) -> tuple[tuple[Vector, ...], Gates]:
    """Run a step of `keras.layers.SimpleRNNCell`, which has no gates."""
    del states
    return (np.tanh(x + inner),), {}
