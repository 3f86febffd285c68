"""Import the classes and kernels that the table of cells names."""

from __future__ import annotations

from typing import Any

from rnncli.config import CELLS
from rnncli.config.named_objects import import_named
from rnncli.layers.fused_kernels import FusedStep
from rnncli.layers.numpy_kernels import NumpyStep


def keras_cell(cell: str) -> Any:
    """Return the Keras cell class of a built-in cell."""
    return import_named(CELLS[cell].keras_cell)


def keras_layer(cell: str) -> Any:
    """Return the Keras layer class of a built-in cell; None if it runs in `keras.layers.RNN`."""
    path = CELLS[cell].keras_layer
    return None if path is None else import_named(path)


def fused_kernel(cell: str) -> FusedStep | None:
    """Return the fused kernel of a built-in cell; None if it has none."""
    path = CELLS[cell].fused_kernel
    return None if path is None else import_named(path)


def numpy_kernel(cell: str) -> NumpyStep | None:
    """Return the NumPy kernel of a built-in cell; None if it has none."""
    path = CELLS[cell].numpy_kernel
    return None if path is None else import_named(path)
