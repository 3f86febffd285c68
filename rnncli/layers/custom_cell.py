"""Custom cells: find, import and call a class of the user, with errors of one line."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import keras

from rnncli.config import CustomCell
from rnncli.errors import InputError
from rnncli.layers.tensors import Shapes
from rnncli.runtime import user_code


@dataclass(frozen=True)
class UserCell:
    """A custom cell: a class of the user with its arguments.

    Attributes:
        name: `module:Class`.
        make: The class, called as `make(units, **options)`.
        file: The file of its module, for messages.
        options: The keyword arguments of the class.
        input_shapes: Shapes of the arrays that a step's input is split into; empty for one vector.
    """

    name: str
    make: Callable[..., Any]
    file: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    input_shapes: Shapes = ()

    def with_input_shapes(self, shapes: Shapes) -> UserCell:
        """Return the same cell with structured inputs."""
        return replace(self, input_shapes=shapes)

    def refusal(self, problem: str, hint: str = "") -> InputError:
        """Return an error about the cell."""
        return InputError(f"model.cell: {self.name}: {problem}", hint)

    def explained(self, what: str) -> AbstractContextManager[None]:
        """Turn exceptions inside the context into errors of one line."""
        return user_code.explained(f"model.cell: {self.name}: {what}", self.file)

    def make_cell(self, units: int) -> Any:
        """Make a Keras cell.

        Raises:
            InputError: The class fails, or what it makes is no Keras cell.
        """
        with self.explained("cannot be made"):
            cell = self.make(units, **copy.deepcopy(self.options))
        if not isinstance(cell, keras.layers.Layer):
            raise self.refusal(f"makes {type(cell).__name__}, not a keras.layers.Layer")
        if getattr(cell, "state_size", None) is None:
            raise self.refusal("the cell has no state_size", "set self.state_size, such as [units, (3, 3)]")
        return cell


def load_cell(config: CustomCell, search_path: user_code.ModuleSearchPath) -> UserCell:
    """Import the class of a custom cell.

    Args:
        config: The cell's section of the config.
        search_path: Where to look for its module.

    Raises:
        InputError: It cannot be imported, or is not a class.
    """
    made, file = user_code.load_class(config.user_class, search_path)
    return UserCell(config.class_, made, file, config.options)
