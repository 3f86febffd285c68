"""The pointer-generator as ONNX nodes; see `rnncli.layers.PointerGenerator`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnncli.data.copying import COPY_BY_PLACE, MIN_COPIED, MIN_PROBABILITY
from rnncli.data.examples import Sizes
from rnncli.data.vocabulary import UNKNOWN_ID
from rnncli.export.onnx.graph import FLOAT, INT32, INT64, Graph
from rnncli.export.onnx.layers import Parameters, dense, positions


@dataclass(frozen=True)
class PointerGraph:
    """The pointer-generator.

    Attributes:
        sizes: Sizes of vocabularies, and what copying each source id writes.
        parameters: The parameters of the model.
    """

    sizes: Sizes
    parameters: Parameters

    def places(self, graph: Graph, source: str) -> str:
        """Return the id that copying each source step writes, int32 [batch, source steps]; negative for none."""
        found = graph.add("Gather", graph.constant(self.sizes.copies, np.int32, "copies"), source, axis=0)
        number = graph.add("Cast", positions(graph, source), to=INT32)
        by_place = graph.add("Add", number, graph.constant(self.sizes.target_symbols, np.int32))
        is_by_place = graph.add("Equal", found, graph.constant(COPY_BY_PLACE, np.int32))
        return graph.add("Where", is_by_place, by_place, found)

    def known(self, graph: Graph, ids: str) -> str:
        """Return previous ids, int32 [batch], in which those that were copied by their place are unknown."""
        copied = graph.add("GreaterOrEqual", ids, graph.constant(self.sizes.target_symbols, np.int32))
        return graph.add("Where", copied, graph.constant(UNKNOWN_ID, np.int32), ids)

    def write(self, graph: Graph, logits: str, inputs: list[str], weights: str, places: str) -> str:
        """Return log probabilities of the extended vocabulary, of a step.

        Args:
            graph: The graph.
            logits: Of the generator, float [batch, symbols].
            inputs: The decoder's input, the context and the decoder's output, float [batch, width] each.
            weights: Attention weights, float [batch, source steps].
            places: See `places`.

        Returns:
            float [batch, symbols + source steps]; -inf where there is nothing to copy.
        """
        zero, one, least = (graph.constant(number, np.float32) for number in (0, 1, MIN_PROBABILITY))
        nothing = graph.constant(0, np.int32)
        can_copy = graph.add("Cast", graph.add("GreaterOrEqual", places, nothing), to=FLOAT)
        copied = graph.add("Mul", weights, can_copy)
        total = graph.add("ReduceSum", copied, graph.axes(1), keepdims=1)
        copied = graph.add("Div", copied, graph.add("Max", total, graph.constant(MIN_COPIED, np.float32)))
        switch = dense(graph, self.parameters, "pointer_generator/switch", graph.add("Concat", *inputs, axis=1))
        any_copy = graph.add("Greater", graph.add("ReduceMax", can_copy, graph.axes(1), keepdims=1), zero)
        generates = graph.add("Where", any_copy, graph.add("Sigmoid", switch), one)
        written = graph.add("Mul", graph.add("Softmax", logits, axis=1), generates)
        steps = graph.add("Shape", places, start=1, end=2)
        extended = graph.add("Pad", written, graph.add("Concat", graph.axes(0, 0, 0), steps, axis=0))
        amounts = graph.add("Mul", copied, graph.add("Sub", one, generates))
        into = graph.add("Cast", graph.add("Max", places, nothing), to=INT64)  # where none is copied, 0 is added
        mixed = graph.add("ScatterElements", extended, into, amounts, axis=1, reduction="add")
        log_probability = graph.add("Log", graph.add("Max", mixed, least))
        return graph.add("Add", log_probability, self._impossible(graph, places))

    def _impossible(self, graph: Graph, places: str) -> str:
        """Return -inf for places that copy nothing by their place, and else 0, float [batch, all symbols]."""
        size = self.sizes.target_symbols
        by_place = graph.add("GreaterOrEqual", places, graph.constant(size, np.int32))
        zero, never = (graph.constant(number, np.float32) for number in (0, -np.inf))
        steps = graph.add("Where", by_place, zero, never)
        shape = graph.add("Concat", graph.add("Shape", places, start=0, end=1), graph.axes(size), axis=0)
        return graph.add("Concat", graph.add("Expand", zero, shape), steps, axis=1)

    def with_places(self, graph: Graph, values: str, places: str) -> str:
        """Return numbers of the symbols, float [symbols], with 0 for each place behind them."""
        steps = graph.add("Shape", places, start=1, end=2)
        return graph.add("Concat", values, graph.add("ConstantOfShape", steps), axis=0)
