"""The graphs of models that predict all symbols at once: `predict`, and `step` of a next-step model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rnncli.config import ClassifierModel, NextStepModel, RepeatVectorModel, Stack
from rnncli.data.examples import SHARED_IDS, Sizes
from rnncli.data.vocabulary import PAD_ID
from rnncli.export.onnx.graph import FLOAT, INT32, Graph, GraphAndPorts, Port
from rnncli.export.onnx.layers import Parameters, StackGraph, States, bridge, dense, embed, not_padding
from rnncli.runs.export_record import IDS, LENGTHS, LOGITS, NEXT, PREDICT, PROBABILITIES, SCORE, SOURCE, STEP


@dataclass(frozen=True)
class SinglePassGraphs:
    """The graphs of a single-pass model.

    Attributes:
        config: The model's section of the config.
        sizes: Sizes of vocabularies and lengths of sequences.
        parameters: The parameters of the model.
    """

    config: RepeatVectorModel | NextStepModel | ClassifierModel
    sizes: Sizes
    parameters: Parameters

    @property
    def graphs(self) -> dict[str, Callable[[], GraphAndPorts]]:
        """Return the functions that build the graphs, by name."""
        stepwise = {STEP: self.step} if isinstance(self.config, NextStepModel) else {}
        return {PREDICT: self.predict, **stepwise}

    @property
    def _reader(self) -> StackGraph:
        """The layers that read the source, whose states prediction can start from."""
        config = self.config
        if isinstance(config, RepeatVectorModel):
            return StackGraph("encoder", config.encoder, self.parameters)
        return StackGraph("decoder" if self.sizes.first_symbols else "rnn", config, self.parameters)

    @property
    def _steps(self) -> int:
        """The number of target steps."""
        return self.sizes.target_steps if self._writes_steps else 1

    @property
    def _writes_steps(self) -> bool:
        return self.sizes.per_step or isinstance(self.config, RepeatVectorModel)

    def predict(self) -> GraphAndPorts:
        """Return a graph from sources to ids, their scores, probabilities and final states.

        That of a next-step model takes initial states, too.
        """
        graph, names = Graph(), self._reader.state_names
        states = [self._state_port(name) for name in names if isinstance(self.config, NextStepModel)]
        logits, final = self._logits(graph, {port.name: port.name for port in states} or None)
        inputs = [self._source_port(), Port(LENGTHS, INT32, ("batch",)), *states]
        return graph, inputs, [*self._predictions(graph, logits), *self._next(final)]

    def step(self) -> GraphAndPorts:
        """Return a graph from one symbol and states to the logits of the next symbol and new states."""
        graph, reader = Graph(), self._reader
        ports = [self._state_port(name) for name in reader.state_names]
        vectors = graph.add("Unsqueeze", self._embed(graph, IDS), graph.axes(0))
        sequence, final = reader.read(graph, vectors, initial={port.name: port.name for port in ports})
        logits = dense(graph, self.parameters, "output", graph.add("Squeeze", sequence, graph.axes(0)))
        outputs = [(Port(LOGITS, FLOAT, ("batch", self.sizes.target_symbols)), logits), *self._next(final)]
        return graph, [Port(IDS, INT32, ("batch",)), *ports], outputs

    def _logits(self, graph: Graph, initial: States | None) -> tuple[str, States]:
        """Return the logits, float [batch, target steps, symbols], and the final states of the reader."""
        reader, config, source, lengths = self._reader, self.config, SOURCE, LENGTHS
        if isinstance(config, ClassifierModel) and config.encoder is not None:
            initial = self._read_first(graph, config.encoder)
            source, lengths = self._second(graph)
        sequence = graph.add("Transpose", self._embed(graph, source), perm=[1, 0, 2])
        sequence, final = reader.read(graph, sequence, lengths, initial)
        if isinstance(config, RepeatVectorModel):
            vectors = self._repeat_vector(graph, config.decoder, reader.final_output(graph, final))
            return dense(graph, self.parameters, "output/dense", vectors), final
        if self.sizes.per_step:
            return dense(graph, self.parameters, "output", graph.add("Transpose", sequence, perm=[1, 0, 2])), final
        if config.pooling == "last":
            vectors = reader.final_output(graph, final)
        else:
            outputs = graph.add("Transpose", sequence, perm=[1, 0, 2])
            vectors = self._pool(graph, outputs, (source, lengths), config.pooling == "max")
        return graph.add("Unsqueeze", dense(graph, self.parameters, "output", vectors), graph.axes(1)), final

    def _repeat_vector(self, graph: Graph, config: Stack, vector: str) -> str:
        """Return the decoder's outputs, float [batch, target steps, units], from the same input at all steps."""
        shape = graph.add("Concat", graph.axes(self._steps), graph.add("Shape", vector), axis=0)
        repeated = graph.add("Expand", graph.add("Unsqueeze", vector, graph.axes(0)), shape)
        sequence, _ = StackGraph("decoder", config, self.parameters).read(graph, repeated)
        return graph.add("Transpose", sequence, perm=[1, 0, 2])

    def _read_first(self, graph: Graph, encoder: Stack) -> States:
        """Return the states from which the second of two texts is read; see `rnncli.layers.TextPair`."""
        ids = graph.add("Slice", SOURCE, graph.axes(0), graph.axes(self.sizes.tags), graph.axes(1))
        shared, before = (graph.constant(n, np.int32) for n in (SHARED_IDS, self.sizes.second_symbols - SHARED_IDS))
        own = graph.add("Where", graph.add("Less", ids, shared), ids, graph.add("Sub", ids, before))
        filled = graph.add("Cast", graph.add("Greater", ids, graph.constant(PAD_ID, np.int32)), to=INT32)
        lengths = graph.add("ReduceSum", filled, graph.axes(1), keepdims=0)
        vectors = embed(graph, self.parameters, "first", own, self.sizes.first_symbols)
        stack = StackGraph("encoder", encoder, self.parameters)
        _, final = stack.read(graph, graph.add("Transpose", vectors, perm=[1, 0, 2]), lengths)
        return bridge(graph, self.parameters, final, self._reader.state_widths, "auto")

    def _second(self, graph: Graph) -> tuple[str, str]:
        """Return the second of two texts, int32 [batch, steps], and its lengths, int32 [batch]."""
        end = graph.axes(np.iinfo(np.int64).max)
        source = graph.add("Slice", SOURCE, graph.axes(self.sizes.tags), end, graph.axes(1))
        shorter = graph.add("Sub", LENGTHS, graph.constant(self.sizes.tags, np.int32))
        return source, graph.add("Max", shorter, graph.constant(0, np.int32))

    def _pool(self, graph: Graph, sequence: str, of: tuple[str, str], maximum: bool) -> str:
        """Pool float [batch, time, width] to [batch, width]; see `rnncli.layers.Pooling`.

        Args:
            graph: The graph.
            sequence: The outputs.
            of: Ids, and lengths, of what was read.
            maximum: True for the maximum, False for the mean.
        """
        source, lengths = of
        lengths = graph.add("Max", lengths, graph.constant(1, np.int32))
        read = graph.add("Unsqueeze", not_padding(graph, source, lengths), graph.axes(2))
        other = graph.constant(float("-inf") if maximum else 0, np.float32)
        kept = graph.add("Where", read, sequence, other)
        if maximum:
            return graph.add("ReduceMax", kept, graph.axes(1), keepdims=0)
        total = graph.add("ReduceSum", kept, graph.axes(1), keepdims=0)
        return graph.add("Div", total, graph.add("Unsqueeze", graph.add("Cast", lengths, to=FLOAT), graph.axes(1)))

    def _predictions(self, graph: Graph, logits: str) -> list[tuple[Port, str]]:
        """Return ids, scores, and the probabilities of a model with one step; see `argmax_per_step`."""
        symbols = self.sizes.target_symbols
        log_probability = graph.add("LogSoftmax", logits, axis=2)
        if self.sizes.per_step:  # id 0 is padding
            barred = np.zeros(symbols, np.float32)
            barred[0] = float("-inf")
            log_probability = graph.add("Add", log_probability, graph.constant(barred, np.float32, "never_predicted"))
        best, ids = graph.add_many("TopK", 2, log_probability, graph.axes(1), axis=2)
        best, ids = (graph.add("Squeeze", value, graph.axes(2)) for value in (best, ids))
        if self.sizes.per_step:
            counted = not_padding(graph, SOURCE, LENGTHS)
            best = graph.add("Where", counted, best, graph.constant(0, np.float32))
            ids = graph.add("Where", counted, ids, graph.constant(0, np.int64))
        score = graph.add("ReduceSum", best, graph.axes(1), keepdims=0)
        steps = "source_steps" if self.sizes.per_step else self._steps
        found = [
            (Port(IDS, INT32, ("batch", steps)), graph.add("Cast", ids, to=INT32)),
            (Port(SCORE, FLOAT, ("batch",)), score),
        ]
        if self._steps == 1:
            chosen = graph.add("Squeeze", graph.add("Softmax", logits, axis=2), graph.axes(1))
            found.append((Port(PROBABILITIES, FLOAT, ("batch", symbols)), chosen))
        return found

    def _embed(self, graph: Graph, ids: str) -> str:
        """Return the vectors of ids; of a source of numbers these themselves."""
        if self.sizes.features is not None:
            return ids
        if self.sizes.first_symbols:
            return embed(graph, self.parameters, "second", ids, self.sizes.second_symbols)
        as_number = not isinstance(self.config, RepeatVectorModel) and self.config.symbols == "number"
        return embed(graph, self.parameters, "source", ids, self.sizes.source_symbols, as_number)

    def _source_port(self) -> Port:
        if self.sizes.features is None:
            return Port(SOURCE, INT32, ("batch", "source_steps"))
        return Port(SOURCE, FLOAT, ("batch", "source_steps", self.sizes.features))

    def _state_port(self, name: str) -> Port:
        return Port(name, FLOAT, ("batch", self._reader.state_widths[name.removeprefix(NEXT)]))

    def _next(self, final: States) -> list[tuple[Port, str]]:
        return [(self._state_port(NEXT + name), final[name]) for name in self._reader.state_names]
