"""The layers of `rnncli.layers` as ONNX nodes. Sequences are time-major, [time, batch, ...], as ONNX has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.config import CELLS, EncoderDecoderModel, Model, Stack
from rnncli.export.onnx.graph import FLOAT, INT64, Graph
from rnncli.export.onnx.operators import operator_of

States = dict[str, str]
"""The names of the values that hold states, by the names of the states."""

MERGES = {"sum": "ReduceSum", "mul": "ReduceProd", "ave": "ReduceMean"}
"""The operator that merges the outputs of both directions, beside `concat`."""

HIDDEN = -1e9
"""Attention score that is added to padding, as in `keras.layers.Attention`."""


@dataclass(frozen=True)
class Parameters:
    """The parameters of a model with built-in cells.

    Attributes:
        arrays: float32 arrays by the names of the variables.
        config: The model's section of the config.
    """

    arrays: Mapping[str, NDArray[Any]]
    config: Model

    def add_to(self, graph: Graph, name: str) -> str:
        """Add a parameter to a graph as a constant, and return its name."""
        return graph.constant(self.arrays[name], np.float32, name)

    def __contains__(self, name: str) -> bool:
        return name in self.arrays


@dataclass(frozen=True)
class StackGraph:
    """Stacked recurrent layers.

    Attributes:
        prefix: Prefix of the names of states, `encoder`, `decoder` or `rnn`.
        config: Sizes and directions.
        parameters: The parameters of the model.
    """

    prefix: str
    config: Stack
    parameters: Parameters

    @property
    def directions(self) -> list[str]:
        """Return the directions of each layer."""
        return ["forward", "backward"][: self.config.directions]

    @property
    def state_names(self) -> list[str]:
        """Return the names of all states, in the order of `RecurrentStack.state_spec`."""
        return list(self.state_widths)

    @property
    def state_widths(self) -> dict[str, int]:
        """Return the width of each state by name, in the order of `RecurrentStack.state_spec`."""
        layers = enumerate(self.config.layer_units)
        return {name: units for layer, units in layers for name in self._names(layer)}

    def _cell(self, layer: int) -> str:
        return self.parameters.config.layer_cells(self.config)[layer]

    def _names(self, layer: int) -> list[str]:
        states = CELLS[self._cell(layer)].states
        return [f"{self.prefix}/{layer}/{direction}/{state}" for direction in self.directions for state in states]

    def read(
        self, graph: Graph, sequence: str, lengths: str = "", initial: States | None = None
    ) -> tuple[str, States]:
        """Add the layers.

        Args:
            graph: The graph.
            sequence: float [time, batch, features].
            lengths: int32 [batch]; empty is no padding.
            initial: Initial states, float [batch, units] each; None is zeros.

        Returns:
            The last layer's outputs, float [time, batch, width], and the final states of all layers.
        """
        final: States = {}
        for layer in range(len(self.config.layer_units)):
            sequence, states = self._read_layer(graph, layer, sequence, lengths, initial)
            final |= states
        return sequence, final

    def _read_layer(
        self, graph: Graph, layer: int, sequence: str, lengths: str, initial: States | None
    ) -> tuple[str, States]:
        operator, states = operator_of(self._cell(layer)), CELLS[self._cell(layer)].states
        weights = operator.pack(self.parameters.arrays, f"{self.prefix}_{layer}", self.directions)
        inputs = [
            graph.constant(array, np.float32, f"{self.prefix}_{layer}/{name}") for name, array in weights.items()
        ]
        start = []
        if initial is not None:
            for state in states:
                each = [initial[f"{self.prefix}/{layer}/{d}/{state}"] for d in self.directions]
                rows = [graph.add("Unsqueeze", value, graph.axes(0)) for value in each]
                start.append(rows[0] if len(rows) == 1 else graph.add("Concat", *rows, axis=0))
        direction = "bidirectional" if len(self.directions) > 1 else "forward"
        attributes = {"hidden_size": self.config.layer_units[layer], "direction": direction, **operator.attributes}
        outputs, *last = graph.add_many(
            operator.name, 1 + len(states), sequence, *inputs, lengths, *start, **attributes
        )
        final = {
            f"{self.prefix}/{layer}/{each}/{state}": graph.add("Gather", value, graph.constant(n, np.int64), axis=0)
            for n, each in enumerate(self.directions)
            for state, value in zip(states, last, strict=True)
        }
        return self._merge(graph, outputs), final

    def _merge(self, graph: Graph, outputs: str) -> str:
        """Return the outputs of the directions, [time, directions, batch, units], as [time, batch, width]."""
        if self.config.directions > 1 and self.config.merge_mode != "concat":
            return graph.add(MERGES[self.config.merge_mode], outputs, graph.axes(1), keepdims=0)
        return graph.add("Reshape", graph.add("Transpose", outputs, perm=[0, 2, 1, 3]), graph.axes(0, 0, -1))

    def final_output(self, graph: Graph, final: States) -> str:
        """Return the last layer's output after the last step without padding, [batch, width]."""
        top = len(self.config.layer_units) - 1
        first = CELLS[self._cell(top)].states[0]
        last = [final[f"{self.prefix}/{top}/{each}/{first}"] for each in self.directions]
        if len(last) == 1:
            return last[0]
        if self.config.merge_mode == "concat":
            return graph.add("Concat", *last, axis=1)
        stacked = graph.add("Concat", *(graph.add("Unsqueeze", each, graph.axes(0)) for each in last), axis=0)
        return graph.add(MERGES[self.config.merge_mode], stacked, graph.axes(0), keepdims=0)


def embed(graph: Graph, parameters: Parameters, side: str, ids: str, symbols: int, as_number: bool = False) -> str:
    """Map ids, int32 [...], to vectors, float [..., width]; see `rnncli.layers.TokenEmbedding`."""
    if as_number:
        numbers = graph.add("Div", graph.add("Cast", ids, to=FLOAT), graph.constant(symbols, np.float32))
        return graph.add("Unsqueeze", numbers, graph.axes(-1))
    if (name := parameters.config.embedding_name(side)) in parameters:
        return graph.add("Gather", parameters.add_to(graph, name), ids, axis=0)
    values = graph.constant([0, 1], np.float32)
    return graph.add("OneHot", ids, graph.constant(symbols, np.int32), values, axis=-1)


def dense(graph: Graph, parameters: Parameters, name: str, vectors: str) -> str:
    """Apply a dense layer with a bias to float [..., features]."""
    product = graph.add("MatMul", vectors, parameters.add_to(graph, f"{name}/kernel"))
    return graph.add("Add", product, parameters.add_to(graph, f"{name}/bias"))


def not_padding(graph: Graph, source: str, lengths: str) -> str:
    """Return which steps of a source are read, bool [batch, time]."""
    lengths = graph.add("Unsqueeze", graph.add("Cast", lengths, to=INT64), graph.axes(1))
    return graph.add("Less", positions(graph, source), lengths)


def positions(graph: Graph, source: str) -> str:
    """Return the numbers of the steps of a source, int64 [1, time]."""
    zero, one = (graph.constant(number, np.int64) for number in (0, 1))
    steps = graph.add("Squeeze", graph.add("Shape", source, start=1, end=2), graph.axes(0))
    return graph.add("Unsqueeze", graph.add("Range", zero, steps, one), graph.axes(0))


def bridge(graph: Graph, parameters: Parameters, final: States, target: dict[str, int], kind: str) -> States:
    """Return the initial states of a decoder; see `rnncli.layers.Bridge`.

    Args:
        graph: The graph.
        parameters: The parameters of the model.
        final: The final states of the encoder, [batch, units] each.
        target: The width of each state of the decoder, by name.
        kind: `model.bridge`.
    """
    if kind == "zero":
        rows = graph.add("Shape", next(iter(final.values())), start=0, end=1)
        shapes = {width: graph.add("Concat", rows, graph.axes(width), axis=0) for width in {*target.values()}}
        zeros = {width: graph.add("ConstantOfShape", shape) for width, shape in shapes.items()}
        return {name: zeros[width] for name, width in target.items()}
    layers = {name: f"bridge/{name.replace('/', '_')}" for name in target}
    if f"{layers[next(iter(target))]}/kernel" in parameters:
        every = list(final.values())
        joined = every[0] if len(every) == 1 else graph.add("Concat", *every, axis=1)
        return {name: dense(graph, parameters, layer, joined) for name, layer in layers.items()}
    if any("/backward/" in name for name in target):
        return dict(zip(target, final.values(), strict=True))
    pairs: dict[str, list[str]] = {}
    for name, value in final.items():
        pairs.setdefault(name.replace("/backward/", "/forward/"), []).append(value)
    values = [each[0] if len(each) == 1 else graph.add("Concat", *each, axis=1) for each in pairs.values()]
    return dict(zip(target, values, strict=True))


@dataclass(frozen=True)
class AttentionGraph:
    """Attention after the decoder's recurrence; see `rnncli.layers.Attention`.

    Attributes:
        config: The model's section of the config.
        parameters: The parameters of the model.
    """

    config: EncoderDecoderModel
    parameters: Parameters

    def keys(self, graph: Graph, values: str) -> str:
        """Return the keys of encoder outputs, float [batch, source steps, width]."""
        if self.config.attention == "dot":
            return values
        return graph.add("MatMul", values, self.parameters.add_to(graph, "attention/key/kernel"))

    def attend(self, graph: Graph, query: str, values: str, keys: str, read: str) -> tuple[str, str, str]:
        """Attend to a memory.

        Args:
            graph: The graph.
            query: Decoder outputs of one step, float [batch, units].
            values: Encoder outputs, float [batch, source steps, width].
            keys: Their keys, float [batch, source steps, units].
            read: The steps that are not padding, bool [batch, source steps].

        Returns:
            The output, float [batch, width], the attention weights, float [batch, source steps], and the context,
            float [batch, width of the values].
        """
        never, zero = (graph.constant(number, np.float32) for number in (HIDDEN, 0))
        score = graph.add("Add", self._score(graph, query, keys), graph.add("Where", read, zero, never))
        weights = graph.add("Softmax", score, axis=1)
        context = graph.add("MatMul", graph.add("Unsqueeze", weights, graph.axes(1)), values)
        context = graph.add("Squeeze", context, graph.axes(1))
        both = graph.add("Concat", context, query, axis=1)
        combined = graph.add("MatMul", both, self.parameters.add_to(graph, "attention/combine/kernel"))
        return graph.add("Tanh", combined), weights, context

    def _score(self, graph: Graph, query: str, keys: str) -> str:
        """Return the attention score of each source step, float [batch, source steps]."""
        if self.config.attention != "additive":
            product = graph.add("MatMul", keys, graph.add("Unsqueeze", query, graph.axes(2)))
            return graph.add("Squeeze", product, graph.axes(2))
        projected = graph.add("MatMul", query, self.parameters.add_to(graph, "attention/query/kernel"))
        total = graph.add("Add", graph.add("Unsqueeze", projected, graph.axes(1)), keys)
        scaled = graph.add("Mul", graph.add("Tanh", total), self.parameters.add_to(graph, "attention/attend/scale"))
        return graph.add("ReduceSum", scaled, graph.axes(2), keepdims=0)
