"""The ONNX operator of each built-in cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.config import CELLS
from rnncli.config.named_objects import import_named
from rnncli.errors import InputError


@dataclass(frozen=True)
class Operator:
    """A recurrent operator of ONNX.

    Attributes:
        name: Its name there.
        cell: The name of the Keras cell in the names of variables.
        gates: The cell's gates in the operator's order, as indices of the blocks of the Keras kernels.
        attributes: Attributes of the operator.
    """

    name: str
    cell: str
    gates: tuple[int, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def pack(
        self, arrays: Mapping[str, NDArray[Any]], layer: str, directions: Sequence[str]
    ) -> dict[str, NDArray[np.float32]]:
        """Return the operator's inputs W, R and B from the variables of a layer.

        Args:
            arrays: The model's parameters by name.
            layer: The name of the layer, such as `encoder_0`.
            directions: Its directions.

        Returns:
            float32 [directions, gates * units, features], [directions, gates * units, units] and [directions,
            2 * gates * units].
        """
        packed: list[list[NDArray[Any]]] = []
        for direction in directions:
            kernel, recurrent, bias = (
                arrays[f"{layer}/{direction}/{self.cell}/{name}"] for name in ("kernel", "recurrent_kernel", "bias")
            )
            both = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])  # of inputs, of the recurrence
            packed.append([self._order(kernel).T, self._order(recurrent).T, self._order(both).reshape(-1)])
        return dict(zip("WRB", (np.stack(each) for each in zip(*packed, strict=True)), strict=True))

    def _order(self, array: NDArray[Any]) -> NDArray[Any]:
        blocks = np.split(array, len(self.gates), axis=-1)
        return np.concatenate([blocks[gate] for gate in self.gates], axis=-1)


# Keras has the gates i, f, c, o; ONNX i, o, f, c
LSTM = Operator("LSTM", "lstm_cell", (0, 3, 1, 2))
# both have z, r, h; Keras applies the reset gate after the recurrent product
GRU = Operator("GRU", "gru_cell", (0, 1, 2), {"linear_before_reset": 1})
SIMPLE_RNN = Operator("RNN", "simple_rnn_cell", (0,))


def operator_of(cell: str) -> Operator:
    """Return the operator of a built-in cell.

    Raises:
        InputError: ONNX has none.
    """
    if (path := CELLS[cell].onnx_operator) is None:
        able = ", ".join(name for name, built_in in CELLS.items() if built_in.onnx_operator)
        raise InputError(f"model.cell: {cell} has no ONNX operator", f"there are operators for {able}")
    operator: Operator = import_named(path)
    return operator
