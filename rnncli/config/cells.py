"""The table of built-in recurrent cells, and the config section of a custom one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from rnncli.config.base import OneOf, Section, conflict
from rnncli.config.user_classes import CLASS_PATTERN, MAX_CLASS, UserClass, option_problem


@dataclass(frozen=True)
class BuiltInCell:
    """A built-in recurrent cell. Classes and kernels are `module:name`, imported only when a model is built.

    Attributes:
        keras_cell: The Keras cell, made as `CLASS(units, name=...)`: `call(inputs, states)` takes inputs, float
            [batch, features], and a list of states, float [batch, units] each, and returns the output and the new
            states.
        states: The names of the states, in the cell's order. The first is the output.
        gates: The number of blocks of `units` columns in the cell's kernels, for FLOP counts.
        keras_layer: The Keras layer of the cell; None is `keras.layers.RNN` over the cell.
        fused_kernel: The cell's `FusedStep`; None is no fused kernel.
        numpy_kernel: The cell's `NumpyStep`, with which `Run.stepper` runs; None is to run the Keras cell.
        cudnn: True if cuDNN has a kernel that the Keras layer uses with `use_cudnn=True`.
        gated_step: The cell's `rnncli.inference.gated_steps.GatedStep`, by which `rnncli explore` looks into it; None
            if it cannot.
        onnx_operator: The cell's `rnncli.export.onnx.operators.Operator`; None if ONNX has none.
    """

    keras_cell: str
    states: tuple[str, ...]
    gates: int
    keras_layer: str | None = None
    fused_kernel: str | None = None
    numpy_kernel: str | None = None
    cudnn: bool = False
    onnx_operator: str | None = None
    gated_step: str | None = None


CELLS: dict[str, BuiltInCell] = {
    "lstm": BuiltInCell(
        keras_cell="keras.layers:LSTMCell",
        states=("h", "c"),
        gates=4,
        keras_layer="keras.layers:LSTM",
        fused_kernel="rnncli.layers.fused_kernels:LSTM",
        numpy_kernel="rnncli.layers.numpy_kernels:lstm",
        onnx_operator="rnncli.export.onnx.operators:LSTM",
        gated_step="rnncli.inference.gated_steps:lstm",
        cudnn=True,
    ),
    "gru": BuiltInCell(
        keras_cell="keras.layers:GRUCell",
        states=("h",),
        gates=3,
        keras_layer="keras.layers:GRU",
        fused_kernel="rnncli.layers.fused_kernels:GRU",
        numpy_kernel="rnncli.layers.numpy_kernels:gru",
        onnx_operator="rnncli.export.onnx.operators:GRU",
        gated_step="rnncli.inference.gated_steps:gru",
        cudnn=True,
    ),
    "simple_rnn": BuiltInCell(
        keras_cell="keras.layers:SimpleRNNCell",
        states=("h",),
        gates=1,
        keras_layer="keras.layers:SimpleRNN",
        fused_kernel="rnncli.layers.fused_kernels:SIMPLE_RNN",
        numpy_kernel="rnncli.layers.numpy_kernels:simple_rnn",
        onnx_operator="rnncli.export.onnx.operators:SIMPLE_RNN",
        gated_step="rnncli.inference.gated_steps:simple_rnn",
    ),
}
"""The built-in cells by the name that `model.cell` takes. Everything that lists cells is derived from this table."""


class CustomCell(Section):
    """A custom Keras cell, made as `CLASS(units, **options)`."""

    model_config = ConfigDict(extra="allow")
    short_form: ClassVar[dict[str, object]] = {"const": "custom"}

    type: Literal["custom"]
    class_: str = Field(
        alias="class",
        pattern=CLASS_PATTERN,
        max_length=MAX_CLASS,
        description="`module:Class` of a Keras cell, imported from installed packages, the config's directory or the "
        "current directory; all other keys are arguments of the class",
    )

    @property
    def user_class(self) -> UserClass:
        """Return the class."""
        return UserClass("model.cell", "cell", self.class_, self.options)

    @property
    def options(self) -> dict[str, object]:
        """Return the keyword arguments of the class, without the units."""
        return dict(self.model_extra or {})

    @model_validator(mode="before")
    @classmethod
    def _expand_short_form(cls, values: object) -> object:
        if values == "custom":
            return {"type": "custom"}
        if isinstance(values, dict) and values.get("type") in list(CELLS):
            raise conflict(
                "type", f"the cells {', '.join(CELLS)} have no keys of their own; write cell: {values['type']}"
            )
        return values

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        if "units" in self.options:
            raise conflict("units", "a cell gets the units of its section, such as model.units; leave it out")
        for key, option in self.options.items():
            if problem := option_problem(key, option):
                raise conflict(key, problem)
        return self


def _tag(value: object) -> str:
    if isinstance(value, list):
        return "names"
    return "custom" if value == "custom" or isinstance(value, dict | CustomCell) else "name"


_Name = Annotated[str, OneOf(CELLS)]
Cell = Annotated[
    Annotated[_Name, Tag("name")]
    | Annotated[list[_Name], Field(min_length=1, max_length=32), Tag("names")]
    | Annotated[CustomCell, Tag("custom")],
    Discriminator(_tag),
]
AnyCell = str | list[str] | CustomCell
"""A built-in cell by its name, one for each layer, or a custom one."""


def names_of(cell: AnyCell) -> list[str]:
    """Return the name of each different cell, as `name_of` does."""
    return list(dict.fromkeys(cell)) if isinstance(cell, list) else [name_of(cell)]


def name_of(cell: AnyCell) -> str:
    """Return the name of a built-in cell, of several those of all layers, or `module:Class` of a custom one."""
    if isinstance(cell, list):
        return "+".join(cell)
    return cell.class_ if isinstance(cell, CustomCell) else cell


def built_in_cells(cell: str | list[str]) -> list[BuiltInCell]:
    """Return the entry of each different cell."""
    return [CELLS[name] for name in names_of(cell)]


def has_fused_kernel(cell: AnyCell) -> bool:
    """Return True if all cells have a fused kernel."""
    return not isinstance(cell, CustomCell) and all(each.fused_kernel is not None for each in built_in_cells(cell))
