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
from rnncli.runs.export_record import (
    ATTENTION,
    ENCODE,
    IDS,
    LENGTHS,
    LOGITS,
    NEXT,
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
"""The values of the attention memory by name, and `read`, the source steps that are not padding; may be empty."""


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
        if memory:
            inputs.append(Port(LENGTHS, INT32, ("batch",)))
            memory["read"] = not_padding(graph, VALUES_AND_KEYS[0], LENGTHS)
        logits, new, weights = self._step(graph, IDS, {name: name for name in self.state_widths}, memory)
        outputs = [(Port(LOGITS, FLOAT, ("batch", self.sizes.target_symbols)), logits), *self._next(new)]
        if memory:
            outputs.append((Port(ATTENTION, FLOAT, ("batch", "source_steps")), weights))
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
        log_probability = body.add("LogSoftmax", logits, axis=1)
        possible = body.add("Add", log_probability, body.constant(barred, np.float32, "never_predicted"))
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
        vectors = embed(graph, self.parameters, "source", SOURCE, self.sizes.source_symbols)
        sequence = graph.add("Transpose", vectors, perm=[1, 0, 2])
        outputs, final = self._encoder.read(graph, sequence, LENGTHS)
        config = self.config
        start = bridge(graph, self.parameters, final, self._decoder.state_widths, config.bridge)
        if not self._attends:
            return start, {}
        if config.input_feeding:
            rows = graph.add("Shape", SOURCE, start=0, end=1)
            shape = graph.add("Concat", rows, graph.axes(config.decoder.output_layer_width), axis=0)
            start = {**start, FED: graph.add("ConstantOfShape", shape)}
        values = graph.add("Transpose", outputs, perm=[1, 0, 2])
        keys = AttentionGraph(config, self.parameters).keys(graph, values)
        memory = dict(zip(VALUES_AND_KEYS, (values, keys), strict=True))
        return start, {**memory, "read": not_padding(graph, SOURCE, LENGTHS)}

    def _step(self, graph: Graph, ids: str, state: States, memory: Memory) -> tuple[str, States, str]:
        """Return the logits, the new states, and the attention weights, which are empty without attention."""
        vectors = embed(graph, self.parameters, "target", ids, self.sizes.target_symbols)
        if self.config.input_feeding:
            vectors = graph.add("Concat", vectors, state[FED], axis=1)
        sequence, new = self._decoder.read(graph, graph.add("Unsqueeze", vectors, graph.axes(0)), initial=state)
        output, weights = graph.add("Squeeze", sequence, graph.axes(0)), ""
        if memory:
            values, keys = (memory[name] for name in VALUES_AND_KEYS)
            attention = AttentionGraph(self.config, self.parameters)
            output, weights = attention.attend(graph, output, values, keys, memory["read"])
        if self.config.input_feeding:
            new = {**new, FED: output}
        return self._logits(graph, output), new, weights

    def _logits(self, graph: Graph, vectors: str) -> str:
        if self.config.decoder.tied:
            table = self.parameters.add_to(graph, self.config.embedding_name("target"))
            bias = self.parameters.add_to(graph, "output/bias")
            logits = graph.add("Gemm", vectors, table, bias, transB=1)
        else:
            logits = dense(graph, self.parameters, "output", vectors)
        if not self.sizes.unknown:
            return logits
        never = np.zeros(self.sizes.target_symbols, np.float32)
        never[UNKNOWN_ID] = IMPOSSIBLE
        return graph.add("Add", logits, graph.constant(never, np.float32, "no_unknown_symbol"))

    def _state_port(self, name: str) -> Port:
        return Port(name, FLOAT, ("batch", self.state_widths[name]))

    def _next(self, new: States) -> list[tuple[Port, str]]:
        return [(self._state_port(name)._replace(name=NEXT + name), new[name]) for name in self.state_widths]

    def _memory_ports(self) -> list[Port]:
        if not self._attends:
            return []
        width = self.config.encoder.output_width
        key_width = width if self.config.attention == "dot" else self.config.decoder.output_width
        widths = zip(VALUES_AND_KEYS, (width, key_width), strict=True)
        return [Port(name, FLOAT, ("batch", "source_steps", each)) for name, each in widths]


def _source_ports() -> list[Port]:
    return [Port(SOURCE, INT32, ("batch", "source_steps")), Port(LENGTHS, INT32, ("batch",))]
