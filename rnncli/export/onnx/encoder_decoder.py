"""The graphs of an encoder-decoder: `encode`, `step`, and `predict`, which decodes greedily in a loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from onnx import GraphProto

from rnncli.config import EncoderDecoderModel
from rnncli.data.examples import Sizes
from rnncli.data.vocabulary import BOS_ID, EOS_ID, UNKNOWN_ID
from rnncli.export.onnx.graph import BOOL, FLOAT, INT32, INT64, Graph, GraphAndPorts, Port
from rnncli.export.onnx.layers import (
    AttentionGraph,
    Parameters,
    StackGraph,
    States,
    bridge,
    dense,
    embed,
    not_padding,
)
from rnncli.export.onnx.pointer_generator import PointerGraph
from rnncli.runs.export_record import (
    ATTENTION,
    ENCODE,
    FEATURES,
    IDS,
    LENGTHS,
    LOGITS,
    NEXT,
    PLACES,
    PREDICT,
    SCORE,
    SOURCE,
    STEP,
    VALUES_AND_KEYS,
)
from rnncli.states.named_arrays import FED

IMPOSSIBLE = float("-inf")
"""Log probability of what is never predicted."""

Memory = dict[str, str]
"""The values of the memory by name (`rnncli.runs.export_record.MEMORY`), and with attention `read`, the source steps
that are not padding; may be empty."""


@dataclass(frozen=True)
class EncoderDecoderGraphs:
    """The graphs of an encoder-decoder.

    Attributes:
        config: The model's section of the config.
        sizes: Sizes of vocabularies and lengths of sequences.
        parameters: The parameters of the model.
    """

    config: EncoderDecoderModel
    sizes: Sizes
    parameters: Parameters

    @property
    def graphs(self) -> dict[str, Callable[[], GraphAndPorts]]:
        """Return the functions that build the graphs, by name."""
        return {PREDICT: self.predict, ENCODE: self.encode, STEP: self.step}

    @property
    def _encoder(self) -> StackGraph:
        return StackGraph("encoder", self.config.encoder, self.parameters)

    @property
    def _decoder(self) -> StackGraph:
        return StackGraph("decoder", self.config.decoder, self.parameters)

    @property
    def _attends(self) -> bool:
        return self.config.attention != "none"

    @property
    def _pointer(self) -> PointerGraph | None:
        return PointerGraph(self.sizes, self.parameters) if self.config.copies_source else None

    @property
    def _feature_width(self) -> int:
        return len(self.parameters.arrays["feature_encoder/dense/bias"])

    @property
    def _text_steps(self) -> str:
        """Return the name of the number of source steps that the encoder reads."""
        return "text_steps" if self.sizes.tags else "source_steps"

    @property
    def state_widths(self) -> dict[str, int]:
        """Return the name and the width of each state of the decoder."""
        widths = self._decoder.state_widths
        return {**widths, FED: self.config.decoder.output_layer_width} if self.config.input_feeding else widths

    def encode(self) -> GraphAndPorts:
        """Return a graph from sources to the decoder's initial states and the attention memory."""
        graph = Graph()
        state, memory = self._encode(graph)
        ports = [(self._state_port(name), value) for name, value in state.items()]
        return graph, _source_ports(), [*ports, *((port, memory[port.name]) for port in self._memory_ports())]

    def step(self) -> GraphAndPorts:
        """Return a graph from the previous symbols and states to the logits of the next symbols and new states."""
        graph, memory_ports = Graph(), self._memory_ports()
        memory = {port.name: port.name for port in memory_ports}
        inputs = [Port(IDS, INT32, ("batch",)), *map(self._state_port, self.state_widths), *memory_ports]
        if self._attends:
            inputs.append(Port(LENGTHS, INT32, ("batch",)))
            memory["read"] = not_padding(graph, VALUES_AND_KEYS[0], self._text_lengths(graph))
        logits, new, weights = self._step(graph, IDS, {name: name for name in self.state_widths}, memory)
        symbols = "symbols" if self._pointer else self.sizes.target_symbols
        outputs = [(Port(LOGITS, FLOAT, ("batch", symbols)), logits), *self._next(new)]
        if self._attends:
            outputs.append((Port(ATTENTION, FLOAT, ("batch", self._text_steps)), weights))
        return graph, inputs, outputs

    def predict(self) -> GraphAndPorts:
        """Return a graph from sources to the ids of greedy predictions, their scores and the final states."""
        graph = Graph()
        state, memory = self._encode(graph)
        rows = graph.add("Shape", SOURCE, start=0, end=1)

        def filled(value: np.generic) -> str:
            return graph.add("Expand", graph.constant(value, value.dtype), rows)

        start = [filled(np.int32(BOS_ID)), filled(np.bool_(False)), filled(np.float32(0)), *state.values()]
        steps, going = graph.constant(self.sizes.target_steps, np.int64), graph.constant(True, np.bool_)
        body = self._greedy_step(Graph(graph), memory)
        done = graph.add_many("Loop", len(start) + 1, steps, going, *start, body=body)
        ids = graph.add("Transpose", done[-1], perm=[1, 0])
        final = dict(zip(state, done[3:-1], strict=True))
        results = [(Port(IDS, INT32, ("batch", "steps")), ids), (Port(SCORE, FLOAT, ("batch",)), done[2])]
        return graph, _source_ports(), [*results, *self._next(final)]

    def _greedy_step(self, body: Graph, memory: Memory) -> GraphProto:
        """Return the loop body: the previous symbols, which rows have ended, scores and states to the next ones."""
        names = list(self.state_widths)
        carried = [
            Port("last", INT32, ("batch",)),
            Port("ended", BOOL, ("batch",)),
            Port("score_before", FLOAT, ("batch",)),
        ]
        carried += [Port(f"before/{name}", FLOAT, ("batch", width)) for name, width in self.state_widths.items()]
        before = {name: f"before/{name}" for name in names}
        logits, new, _ = self._step(body, "last", before, memory)
        barred = np.zeros(self.sizes.target_symbols, np.float32)
        barred[[0, BOS_ID]] = IMPOSSIBLE
        never = body.constant(barred, np.float32, "never_predicted")
        if self._pointer:
            never = self._pointer.with_places(body, never, memory[PLACES])
        possible = body.add("Add", body.add("LogSoftmax", logits, axis=1), never)
        best, chosen = body.add_many("TopK", 2, possible, body.axes(1), axis=1)
        chosen = body.add("Cast", body.add("Squeeze", chosen, body.axes(1)), to=INT32)
        zero, nothing = body.constant(0, np.int32), body.constant(0, np.float32)
        ids = body.add("Where", "ended", zero, chosen)
        gain = body.add("Where", "ended", nothing, body.add("Squeeze", best, body.axes(1)))
        ended = body.add("Or", "ended", body.add("Equal", ids, body.constant(EOS_ID, np.int32)))
        is_ended = body.add("Unsqueeze", "ended", body.axes(1))
        kept = [body.add("Where", is_ended, before[name], new[name]) for name in names]
        unfinished = body.add("ReduceMax", body.add("Cast", body.add("Not", ended), to=INT32), keepdims=0)
        values = [ids, ended, body.add("Add", "score_before", gain), *kept]
        outputs = [(Port("more", BOOL, ()), body.add("Cast", unfinished, to=BOOL))]
        outputs += [(port._replace(name=f"after/{port.name}"), v) for port, v in zip(carried, values, strict=True)]
        outputs.append((Port("written", INT32, ("batch",)), ids))
        return body.body([Port("t", INT64, ()), Port("going", BOOL, ()), *carried], outputs)

    def _encode(self, graph: Graph) -> tuple[States, Memory]:
        text, lengths = self._text(graph), self._text_lengths(graph)
        memory: Memory = {FEATURES: self._feature_vector(graph)} if self.sizes.tags else {}
        sequence = graph.add("Transpose", self._embed_source(graph, text), perm=[1, 0, 2])
        if self.sizes.tags:
            width = graph.axes(self._feature_width)
            shape = graph.add("Concat", graph.add("Shape", sequence, start=0, end=2), width, axis=0)
            sequence = graph.add("Concat", sequence, graph.add("Expand", memory[FEATURES], shape), axis=2)
        outputs, final = self._encoder.read(graph, sequence, lengths)
        config = self.config
        start = bridge(graph, self.parameters, final, self._decoder.state_widths, config.bridge)
        if not self._attends:
            return start, memory
        if config.input_feeding:
            rows = graph.add("Shape", SOURCE, start=0, end=1)
            shape = graph.add("Concat", rows, graph.axes(config.decoder.output_layer_width), axis=0)
            start = {**start, FED: graph.add("ConstantOfShape", shape)}
        values = graph.add("Transpose", outputs, perm=[1, 0, 2])
        keys = AttentionGraph(config, self.parameters).keys(graph, values)
        memory |= dict(zip(VALUES_AND_KEYS, (values, keys), strict=True))
        if self._pointer:
            memory[PLACES] = self._pointer.places(graph, SOURCE)
        return start, {**memory, "read": not_padding(graph, text, lengths)}

    def _embed_source(self, graph: Graph, ids: str) -> str:
        return embed(graph, self.parameters, "source", ids, self.sizes.source_symbols)

    def _text(self, graph: Graph) -> str:
        """Return sources without the features that they begin with, int32 [batch, steps]."""
        if not self.sizes.tags:
            return SOURCE
        end = graph.axes(np.iinfo(np.int64).max)
        return graph.add("Slice", SOURCE, graph.axes(self.sizes.tags), end, graph.axes(1))

    def _text_lengths(self, graph: Graph) -> str:
        """Return the lengths of sources without features, int32 [batch]."""
        if not self.sizes.tags:
            return LENGTHS
        shorter = graph.add("Sub", LENGTHS, graph.constant(self.sizes.tags, np.int32))
        return graph.add("Max", shorter, graph.constant(0, np.int32))

    def _feature_vector(self, graph: Graph) -> str:
        """Return the vector of the features of each source; see `rnncli.layers.FeatureEncoder`."""
        ids = graph.add("Slice", SOURCE, graph.axes(0), graph.axes(self.sizes.tags), graph.axes(1))
        given = graph.add("Cast", graph.add("Greater", ids, graph.constant(0, np.int32)), to=FLOAT)
        vectors = self._embed_source(graph, ids)
        masked = graph.add("Mul", vectors, graph.add("Unsqueeze", given, graph.axes(2)))
        total = graph.add("ReduceSum", masked, graph.axes(1), keepdims=0)
        return graph.add("Tanh", dense(graph, self.parameters, "feature_encoder/dense", total))

    def _step(self, graph: Graph, ids: str, state: States, memory: Memory) -> tuple[str, States, str]:
        """Return the logits, the new states, and the attention weights, which are empty without attention."""
        ids = self._pointer.known(graph, ids) if self._pointer else ids
        vectors = embed(graph, self.parameters, "target", ids, self.sizes.target_symbols)
        more = [state[FED]] if self.config.input_feeding else []
        more += [memory[FEATURES]] if self.sizes.tags else []
        read = graph.add("Concat", vectors, *more, axis=1) if more else vectors
        sequence, new = self._decoder.read(graph, graph.add("Unsqueeze", read, graph.axes(0)), initial=state)
        query = output = graph.add("Squeeze", sequence, graph.axes(0))
        weights = context = ""
        if self._attends:
            values, keys = (memory[name] for name in VALUES_AND_KEYS)
            attention = AttentionGraph(self.config, self.parameters)
            output, weights, context = attention.attend(graph, query, values, keys, memory["read"])
        if self.config.input_feeding:
            new = {**new, FED: output}
        logits = self._logits(graph, output)
        if self._pointer:
            inputs, of_source = [vectors, context, query], self._of_source(graph, weights)
            logits = self._pointer.write(graph, logits, inputs, of_source, memory[PLACES])
        return self._without_unknown(graph, logits, memory), new, weights

    def _of_source(self, graph: Graph, weights: str) -> str:
        """Return attention weights over all steps of the source: of the features they are 0."""
        return graph.add("Pad", weights, graph.axes(0, self.sizes.tags, 0, 0)) if self.sizes.tags else weights

    def _logits(self, graph: Graph, vectors: str) -> str:
        if self.config.decoder.tied:
            table = self.parameters.add_to(graph, self.config.embedding_name("target"))
            bias = self.parameters.add_to(graph, "output/bias")
            return graph.add("Gemm", vectors, table, bias, transB=1)
        return dense(graph, self.parameters, "output", vectors)

    def _without_unknown(self, graph: Graph, logits: str, memory: Memory) -> str:
        """Return logits in which the unknown symbol is never predicted."""
        if not self.sizes.unknown:
            return logits
        values = np.zeros(self.sizes.target_symbols, np.float32)
        values[UNKNOWN_ID] = IMPOSSIBLE
        never = graph.constant(values, np.float32, "no_unknown_symbol")
        if self._pointer:
            never = self._pointer.with_places(graph, never, memory[PLACES])
        return graph.add("Add", logits, never)

    def _state_port(self, name: str) -> Port:
        return Port(name, FLOAT, ("batch", self.state_widths[name]))

    def _next(self, new: States) -> list[tuple[Port, str]]:
        return [(self._state_port(name)._replace(name=NEXT + name), new[name]) for name in self.state_widths]

    def _memory_ports(self) -> list[Port]:
        ports = [Port(FEATURES, FLOAT, ("batch", self._feature_width))] if self.sizes.tags else []
        if not self._attends:
            return ports
        width = self.config.encoder.output_width
        key_width = width if self.config.attention == "dot" else self.config.decoder.output_width
        widths = zip(VALUES_AND_KEYS, (width, key_width), strict=True)
        ports += [Port(name, FLOAT, ("batch", self._text_steps, each)) for name, each in widths]
        return [*ports, Port(PLACES, INT32, ("batch", "source_steps"))] if self._pointer else ports


def _source_ports() -> list[Port]:
    return [Port(SOURCE, INT32, ("batch", "source_steps")), Port(LENGTHS, INT32, ("batch",))]
