"""Import the classes and kernels that the table of cells names."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from rnncli.config import CELLS
from rnncli.layers.fused_kernels import FusedStep


@cache
def import_named(path: str) -> Any:
    """Import an object by `module:name`."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


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
