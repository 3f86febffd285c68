"""Build ONNX graphs: nodes that are named automatically, and constants that a graph shares with its loop bodies."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, checker, helper, numpy_helper

OPSET, IR_VERSION = 18, 10
"""Versions of the operators and of the file format; onnxruntime 1.18 and later reads them."""

FLOAT, INT32, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL
"""Types of tensors."""

Dimension = int | str
"""A number, or the name of a dimension of any size, such as `batch`."""


class Port(NamedTuple):
    """An input or an output of a graph.

    Attributes:
        name: Its name.
        dtype: One of `FLOAT`, `INT32`, `INT64`, `BOOL`.
        shape: Its dimensions.
    """

    name: str
    dtype: int
    shape: tuple[Dimension, ...]

    def info(self) -> ValueInfoProto:
        """Return its declaration."""
        return helper.make_tensor_value_info(self.name, self.dtype, self.shape)


class Graph:
    """The nodes of a graph or of a loop body.

    Args:
        parent: The graph around a loop body, whose values the body can read; None for a graph of its own.
    """

    def __init__(self, parent: Graph | None = None) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, NDArray[Any]] = {} if parent is None else parent._constants
        self._numbers: itertools.count[int] = itertools.count() if parent is None else parent._numbers

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output, and return the output's name; an input that is left out is empty."""
        return self.add_many(operator, 1, *inputs, **attributes)[0]

    def add_many(self, operator: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node with several outputs, and return their names."""
        number = next(self._numbers)
        outputs = [f"{operator}_{number}" if count == 1 else f"{operator}_{number}_{n}" for n in range(count)]
        self._nodes.append(helper.make_node(operator, list(inputs), outputs, **attributes))
        return outputs

    def constant(self, value: Any, dtype: Any, name: str = "") -> str:
        """Return the name of a constant; without a name, equal constants are one.

        Args:
            value: A number or an array.
            dtype: Its NumPy type.
            name: A name of its own, such as that of a model's parameter.
        """
        array = np.asarray(value, dtype, order="C")
        name = name or f"constant_{array.dtype}_{array.shape}_{array.tobytes().hex()}"
        self._constants.setdefault(name, array)
        return name

    def axes(self, *numbers: int) -> str:
        """Return the name of a constant of axes or dimensions, int64 [numbers]."""
        return self.constant(numbers, np.int64)

    def body(self, inputs: Sequence[Port], outputs: Sequence[tuple[Port, str]]) -> GraphProto:
        """Return this graph as the body of a loop; see `model`."""
        for port, value in outputs:
            self._nodes.append(helper.make_node("Identity", [value], [port.name]))
        return helper.make_graph(
            self._nodes, "body", [port.info() for port in inputs], [port.info() for port, _ in outputs]
        )

    def model(
        self, name: str, inputs: Sequence[Port], outputs: Sequence[tuple[Port, str]], metadata: dict[str, str]
    ) -> ModelProto:
        """Return this graph as a checked model.

        Args:
            name: Name of the graph.
            inputs: Its inputs.
            outputs: Its outputs, each with the name of the value that it has.
            metadata: Texts by key.
        """
        for port, value in outputs:
            self._nodes.append(helper.make_node("Identity", [value], [port.name]))
        arrays = [numpy_helper.from_array(array, key) for key, array in self._constants.items()]
        graph = helper.make_graph(
            self._nodes, name, [port.info() for port in inputs], [port.info() for port, _ in outputs], arrays
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="rnncli"
        )
        helper.set_model_props(model, metadata)
        checker.check_model(model, full_check=True)
        return model


GraphAndPorts = tuple[Graph, list[Port], list[tuple[Port, str]]]
"""A graph with its inputs, and its outputs with the value that each has."""
