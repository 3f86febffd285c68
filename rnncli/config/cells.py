"""The cell of a model: the name of one that is built in, or a class of the user's own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from rnncli.config.base import Section, conflict

CellName = Literal["lstm", "gru", "simple_rnn"]


class CustomCell(Section):
    """A Keras cell of the user's own, made as `CLASS(units, **options)`."""

    model_config = ConfigDict(extra="allow")

    type: Literal["custom"]
    class_: str = Field(
        alias="class",
        pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*$",
        max_length=200,
        description="`module:Class` of a Keras cell, which train imports from what is installed, "
        "the config's directory, or the current one; all other keys are its arguments",
    )

    @property
    def module(self) -> str:
        """The module that the class stands in."""
        return self.class_.partition(":")[0]

    @property
    def class_name(self) -> str:
        """The name of the class in its module."""
        return self.class_.partition(":")[2]

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of the class, beside the units."""
        return dict(self.model_extra or {})

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, values: Any) -> Any:
        if values == "custom":
            return {"type": "custom"}
        if isinstance(values, dict) and values.get("type") in (names := get_args(CellName)):
            raise conflict("type", f"the cells {', '.join(names)} have no keys; write cell: {values['type']}")
        return values

    @model_validator(mode="after")
    def _arguments(self) -> Self:
        if "units" in self.options:
            raise conflict("units", "a cell gets the units of its section, such as model.units; leave it out")
        for key, option in self.options.items():
            if any(isinstance(value, float) and not math.isfinite(value) for value in _leaves(option)):
                raise conflict(key, "not a finite number")
        return self


def _leaves(option: Any) -> Iterator[Any]:
    if isinstance(option, dict | list):
        for value in option.values() if isinstance(option, dict) else option:
            yield from _leaves(value)
    else:
        yield option


def _tag(value: Any) -> str:
    return "custom" if value == "custom" or isinstance(value, dict | CustomCell) else "name"


Cell = Annotated[Annotated[CellName, Tag("name")] | Annotated[CustomCell, Tag("custom")], Discriminator(_tag)]


def name_of(cell: CellName | CustomCell) -> str:
    """A cell in a word: its name, or `module:Class`."""
    return cell.class_ if isinstance(cell, CustomCell) else cell
