"""Classes of the user that a config names: cells and callbacks."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

CLASS_PATTERN = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$"
"""`module:Class`."""
MAX_CLASS = 200
"""Characters of such a name."""


@dataclass(frozen=True)
class UserClass:
    """A class of the user with its arguments.

    Attributes:
        key: The config key that names it.
        kind: What it is: a cell or a callback.
        class_: `module:Class`.
        options: The keyword arguments of the class.
    """

    key: str
    kind: str
    class_: str
    options: dict[str, object] = field(default_factory=dict)

    @property
    def module(self) -> str:
        """The module of the class."""
        return self.class_.partition(":")[0]

    @property
    def class_name(self) -> str:
        """The name of the class in its module."""
        return self.class_.partition(":")[2]


def class_problem(class_: object) -> str | None:
    """Return what is wrong with the name of a class; None if nothing is."""
    if isinstance(class_, str) and len(class_) <= MAX_CLASS and re.match(CLASS_PATTERN, class_):
        return None
    return "must be module:Class, such as my_module:MyClass"


def option_problem(name: object, option: object) -> str | None:
    """Return what is wrong with an argument of a class; None if nothing is."""
    if not isinstance(name, str) or not name.isidentifier():
        return "not a name that an argument of the class can have"
    if any(isinstance(value, float) and not math.isfinite(value) for value in _leaves(option)):
        return "not a finite number"
    return None


def _leaves(option: object) -> Iterator[object]:
    if isinstance(option, dict | list):
        for value in option.values() if isinstance(option, dict) else option:
            yield from _leaves(value)
    else:
        yield option
