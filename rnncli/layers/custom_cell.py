"""A class of the user's own that makes cells: found, imported, called, each with errors of one line."""

from __future__ import annotations

import copy
import difflib
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import keras

from rnncli.config import CustomCell
from rnncli.errors import InputError
from rnncli.runtime import user_code as usercode

Shapes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class UserCell:
    """A class of the user's own that makes cells.

    Attributes:
        name: `module:Class`.
        make: The class.
        file: Where its module is, for messages.
        options: Its arguments beside the units.
        parts: Shapes of the arrays that it gets as a step's inputs; none where it gets one vector.
    """

    name: str
    make: Any
    file: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    parts: Shapes = ()

    def reading(self, parts: Shapes) -> UserCell:
        """The same, with other inputs."""
        return replace(self, parts=parts)

    def refusal(self, problem: str, hint: str = "") -> InputError:
        """What is wrong with the cell, as an error."""
        return InputError(f"model.cell: {self.name}: {problem}", hint)

    def explained(self, what: str) -> AbstractContextManager[None]:
        """Exceptions inside become errors of one line."""
        return usercode.explained(f"model.cell: {self.name}: {what}", self.file)

    def cell(self, units: int) -> Any:
        """A new cell.

        Raises:
            InputError: The class does not make one.
        """
        with self.explained("cannot be made"):
            cell = self.make(units, **copy.deepcopy(self.options))
        if not isinstance(cell, keras.layers.Layer):
            raise self.refusal(f"makes {type(cell).__name__}, not a keras.layers.Layer")
        if getattr(cell, "state_size", None) is None:
            raise self.refusal("its cells have no state_size", "set self.state_size, such as [units, (3, 3)]")
        return cell


def load_cell(config: CustomCell, search_path: usercode.ModuleSearchPath) -> UserCell:
    """Import the class of a custom cell.

    Args:
        config: The cell's section of the config.
        search_path: Where its module is looked for.

    Raises:
        InputError: It cannot be imported, or is no class.
    """
    module = usercode.import_module(config.module, search_path)
    made = getattr(module, config.class_name, None)
    file = getattr(module, "__file__", None)
    if made is None:
        names = [name for name, value in vars(module).items() if callable(value)]
        close = difflib.get_close_matches(config.class_name, names, n=1)
        hint = f"did you mean {config.module}:{close[0]}?" if close else ""
        if hidden := usercode.shadowed(config.module, search_path):
            hint = f"another module of that name comes before {hidden}; give the file a name of its own"
        raise InputError(f"model.cell.class: {config.module} has no {config.class_name} ({file or 'built in'})", hint)
    if not callable(made):
        raise InputError(f"model.cell.class: {config.class_} is {type(made).__name__}, not a class")
    return UserCell(config.class_, made, file, config.options)
