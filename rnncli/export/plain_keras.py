"""A trained model as plain Keras: layers and operations of Keras alone, so that loading it needs no rnncli.

Every layer holds copies of the weights of a model of rnncli. Names of states have `_` for `/`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from rnncli.config import Config, NextStepModel
from rnncli.data.vocabulary import UNKNOWN_ID
from rnncli.export.functions import identifier
from rnncli.layers import Attention, Bridge, RecurrentStack, Tensor, TokenEmbedding
from rnncli.layers.recurrent import MERGES
from rnncli.models import EncoderDecoder, NetworkModel
from rnncli.models.many_to_one import ManyToOne
from rnncli.models.repeat_vector import RepeatVector
from rnncli.runs.export_record import ENCODE, IDS, LENGTHS, LOGITS, NEXT, PREDICT, PROBABILITIES, SCORE, SOURCE, STEP
from rnncli.states.named_arrays import FED

NEVER = -1e9
"""Added to what is never predicted; files hold no infinite numbers."""

Tensors = dict[str, Tensor]


def plain_model(model: NetworkModel, config: Config) -> keras.Model:
    """Return a model from `source` and `lengths` to `ids` and `score`, with the weights of a model of rnncli.

    That of an encoder-decoder has the layers `encode` and `step`, to be taken out as models by `get_layer`.
    """
    if isinstance(model, EncoderDecoder):
        return PlainEncoderDecoder(model).predict()
    assert isinstance(model, RepeatVector | ManyToOne)  # all others
    return PlainSinglePass(model, config).predict()


class Copies:
    """Plain layers, whose weights are set when all are built."""

    def __init__(self) -> None:
        self._pairs: list[tuple[keras.layers.Layer, Callable[[], list[Any]]]] = []

    def add(self, plain: keras.layers.Layer, weights: Callable[[], list[Any]]) -> keras.layers.Layer:
        """Return a plain layer, which will get these weights."""
        self._pairs.append((plain, weights))
        return plain

    def dense(self, layer: keras.layers.Dense, name: str) -> keras.layers.Layer:
        """Return a dense layer with the weights of another."""
        options = {"use_bias": layer.use_bias, "activation": keras.activations.serialize(layer.activation)}
        return self.add(layers.Dense(layer.units, name=name, **options), layer.get_weights)

    def set_weights(self) -> None:
        """Copy the weights."""
        for plain, weights in self._pairs:
            plain.set_weights(weights())


class PlainStack:
    """Recurrent layers, one above the other."""

    def __init__(self, stack: RecurrentStack, copies: Copies) -> None:
        self._stack = stack
        self._twins = {
            (layer.prefix, direction): copies.add(
                _twin(inner, identifier(f"{layer.prefix}/{direction}")), inner.get_weights
            )
            for layer in stack.layers
            for direction, inner in layer.directions.items()
        }

    def __call__(
        self, sequence: Tensor, mask: Tensor | None = None, initial: Tensors | None = None
    ) -> tuple[Tensor, Tensors]:
        """Return the last layer's outputs and the final states of all layers; see `RecurrentStack.__call__`."""
        final: Tensors = {}
        for layer in self._stack.layers:
            outputs = []
            for direction in layer.directions:
                names = [identifier(f"{layer.prefix}/{direction}/{state}") for state in layer.states]
                twin = self._twins[layer.prefix, direction]
                start = None if initial is None else [initial[name] for name in names]
                output, *last = twin(sequence, initial_state=start, mask=mask)
                outputs.append(ops.flip(output, axis=1) if twin.go_backwards else output)
                final |= dict(zip(names, last, strict=True))
            sequence = MERGES[layer.merge](*outputs) if len(outputs) > 1 else outputs[0]
        return sequence, final

    def final_output(self, final: Tensors) -> Tensor:
        """Return the last layer's output after the last step without padding."""
        layer = self._stack.layers[-1]
        last = [final[identifier(f"{layer.prefix}/{each}/{layer.states[0]}")] for each in layer.directions]
        return MERGES[layer.merge](*last) if len(last) > 1 else last[0]


def _twin(layer: keras.layers.RNN, name: str) -> keras.layers.Layer:
    """Return the plain Keras layer of a direction of a layer of rnncli."""
    kinds = {"LSTMCell": layers.LSTM, "GRUCell": layers.GRU, "SimpleRNNCell": layers.SimpleRNN}
    make = kinds[type(layer.cell).__name__]
    options = {"go_backwards": layer.go_backwards, "return_sequences": True, "return_state": True}
    return make(layer.cell.units, name=name, **options)


def _embed(embedding: TokenEmbedding, copies: Copies, name: str) -> Callable[[Tensor], Tensor]:
    if embedding.as_number:
        return lambda ids: ops.expand_dims(ops.divide(ops.cast(ids, "float32"), float(embedding.symbols)), -1)
    if embedding.table is None:
        return lambda ids: ops.one_hot(ids, embedding.symbols)
    table: Callable[[Tensor], Tensor] = copies.add(
        layers.Embedding(embedding.symbols, embedding.width, name=name), embedding.table.get_weights
    )
    return table


def _mask(lengths: Tensor, steps: int) -> Tensor:
    return ops.less(ops.expand_dims(ops.arange(steps, dtype="int32"), 0), ops.expand_dims(lengths, 1))


def _inputs(model: NetworkModel) -> tuple[Tensor, Tensor]:
    shape, dtype = model.network.inputs[0].shape[1:], model.source_dtype
    return keras.Input(shape, dtype=dtype, name=SOURCE), keras.Input((), dtype="int32", name=LENGTHS)


class PlainEncoderDecoder:
    """The plain models of an encoder-decoder.

    Attributes:
        encode: `source` and `lengths` to the decoder's initial states and the memory.
        step: `ids`, states and memory to `logits` and new states.
    """

    def __init__(self, model: EncoderDecoder) -> None:
        self.model, self.copies = model, Copies()
        self.encode = self._encode()
        self.step = self._step()
        self.copies.set_weights()

    def _encode(self) -> keras.Model:
        model, copies = self.model, self.copies
        source, lengths = _inputs(model)
        mask = _mask(lengths, source.shape[1])
        read = _embed(model.source_embedding, copies, "source_symbols")
        outputs, final = PlainStack(model.encoder, copies)(read(source), mask)
        start = self._bridge(model.bridge, final)
        if model.feeds:
            width = model.state_spec[FED][0]
            start[identifier(FED)] = ops.repeat(ops.zeros_like(outputs[:, 0, :1]), width, axis=1)
        return keras.Model([source, lengths], {**start, **self._memory(outputs, mask)}, name=ENCODE)

    def _memory(self, outputs: Tensor, mask: Tensor) -> Tensors:
        attention = self.model.attention
        if attention is None:
            return {}
        keys = outputs if attention.key is None else self.copies.dense(attention.key, "attention_key")(outputs)
        return {"memory_values": outputs, "memory_keys": keys, "memory_mask": ops.cast(mask, "float32")}

    def _bridge(self, bridge: Bridge, final: Tensors) -> Tensors:
        state = {name: final[identifier(name)] for name in bridge.source}
        if bridge.kind == "copy":
            joined = [[state[name] for name in names] for names in bridge.joined.values()]
            values = [each[0] if len(each) == 1 else ops.concatenate(each, axis=-1) for each in joined]
        elif bridge.kind == "zero":
            zero = ops.zeros_like(next(iter(state.values()))[:, :1])
            values = [ops.repeat(zero, shape[0], axis=1) for shape in bridge.target.values()]
        else:
            every = list(state.values())
            together = every[0] if len(every) == 1 else ops.concatenate(every, axis=-1)
            values = [self.copies.dense(dense, f"bridge_{dense.name}")(together) for dense in bridge.dense]
        return dict(zip(map(identifier, bridge.target), values, strict=True))

    def _step(self) -> keras.Model:
        model, copies = self.model, self.copies
        ids = keras.Input((), dtype="int32", name=IDS)
        given = {name: keras.Input(value.shape[1:], name=name) for name, value in self.encode.output.items()}
        vectors = _embed(model.target_embedding, copies, "target_symbols")(ops.expand_dims(ids, 1))
        if model.feeds:
            vectors = ops.concatenate([vectors, ops.expand_dims(given[identifier(FED)], 1)], axis=-1)
        sequence, new = PlainStack(model.decoder, copies)(vectors, initial=given)
        more: Tensors = {}
        if model.attention is not None:
            sequence, more["attention"] = self._attend(model.attention, sequence, given)
            if model.feeds:
                new[identifier(FED)] = ops.squeeze(sequence, 1)
        symbols = int(model.network.output.shape[-1])
        logits = ops.squeeze(copies.add(layers.Dense(symbols, name="output"), self._output_weights)(sequence), 1)
        if model.unknown:
            logits = ops.add(logits, _never(symbols, [UNKNOWN_ID]))
        outputs = {LOGITS: logits, **{identifier(NEXT + name): value for name, value in new.items()}, **more}
        return keras.Model({IDS: ids, **given}, outputs, name=STEP)

    def _output_weights(self) -> list[Any]:
        output = self.model.output
        if hasattr(output, "table"):  # tied
            return [np.asarray(output.table.embeddings).T, np.asarray(output.bias)]
        return list(output.get_weights())

    def _attend(self, attention: Attention, query: Tensor, given: Tensors) -> tuple[Tensor, Tensor]:
        copies, additive = self.copies, attention.query is not None
        projected = copies.dense(attention.query, "attention_query")(query) if additive else query
        make = layers.AdditiveAttention if additive else layers.Attention
        attend = copies.add(make(name="attend"), attention.attend.get_weights)
        mask = ops.greater(given["memory_mask"], 0.5)
        memory = [projected, given["memory_values"], given["memory_keys"]]
        context, weights = attend(memory, mask=[None, mask], return_attention_scores=True)
        combine = copies.dense(attention.combine, "attention_combine")
        return combine(ops.concatenate([context, query], axis=-1)), ops.squeeze(weights, 1)

    def predict(self) -> keras.Model:
        """Return the greedy search: every step stands in its graph."""
        model, state_names = self.model, [identifier(name) for name in self.model.state_spec]
        source, lengths = _inputs(model)
        first = self.encode([source, lengths])
        state = {name: first[name] for name in state_names}
        memory = {name: value for name, value in first.items() if name not in state}
        barred = _never(int(model.network.output.shape[-1]), [0, model.begin])
        zero = ops.multiply(lengths, 0)
        ids, ended, score, written = ops.add(zero, model.begin), ops.not_equal(zero, 0), ops.cast(zero, "float32"), []
        for _ in range(model.steps):
            found = self.step({IDS: ids, **state, **memory})
            state = {name: found[identifier(NEXT + name)] for name in state_names}
            # not ops.argmax, which looks at bits; other runtimes have no operation for that
            gain, chosen = ops.top_k(ops.add(ops.log_softmax(found[LOGITS], axis=-1), barred), 1)
            going = ops.logical_not(ended)
            ids = ops.multiply(ops.cast(ops.squeeze(chosen, 1), "int32"), ops.cast(going, "int32"))
            score = ops.add(score, ops.multiply(ops.squeeze(gain, 1), ops.cast(going, "float32")))
            ended = ops.logical_or(ended, ops.equal(ids, model.end))
            written.append(ids)
        return keras.Model([source, lengths], {IDS: ops.stack(written, axis=1), SCORE: score}, name=PREDICT)


class PlainSinglePass:
    """The plain model of a single-pass model."""

    def __init__(self, model: RepeatVector | ManyToOne, config: Config) -> None:
        self.model, self.config, self.copies = model, config, Copies()

    def predict(self) -> keras.Model:
        """Return a model from `source`, `lengths`, and of a next-step model states, to predictions and states."""
        source, lengths = _inputs(self.model)
        states: Tensors = {}
        if isinstance(self.config.model, NextStepModel):
            spec = self.model.state_spec
            states = {identifier(name): keras.Input(shape, name=identifier(name)) for name, shape in spec.items()}
        mask = _mask(lengths, source.shape[1])
        if isinstance(self.model, RepeatVector):
            logits, final = self._repeat_vector(self.model, source, mask)
        else:
            logits, final = self._many_to_one(self.model, source, lengths, mask, states or None)
        outputs = self._predictions(logits, mask)
        outputs |= {identifier(NEXT + name): value for name, value in final.items()}
        predict = keras.Model({SOURCE: source, LENGTHS: lengths, **states}, outputs, name=PREDICT)
        self.copies.set_weights()
        return predict

    def _repeat_vector(self, model: RepeatVector, source: Tensor, mask: Tensor) -> tuple[Tensor, Tensors]:
        read = _embed(model.source_embedding, self.copies, "source_symbols")
        encoder = PlainStack(model.encoder, self.copies)
        _, final = encoder(read(source), mask)
        repeated = layers.RepeatVector(model.steps, name="repeat_vector")(encoder.final_output(final))
        sequence, _ = PlainStack(model.decoder, self.copies)(repeated)
        return self.copies.dense(model.output.layer, "output")(sequence), final

    def _many_to_one(
        self, model: ManyToOne, source: Tensor, lengths: Tensor, mask: Tensor, initial: Tensors | None
    ) -> tuple[Tensor, Tensors]:
        vectors = source
        if model.source_embedding is not None:
            vectors = _embed(model.source_embedding, self.copies, "source_symbols")(source)
        stack = PlainStack(model.stack, self.copies)
        sequence, final = stack(vectors, mask, initial)
        output = self.copies.dense(model.output, "output")
        if model.per_step:
            return output(sequence), final
        if model.pooling is None:
            return ops.expand_dims(output(stack.final_output(final)), 1), final
        read = ops.expand_dims(ops.cast(mask, "float32"), 2)
        if model.pooling.maximum:
            pooled = ops.max(ops.add(sequence, ops.multiply(ops.subtract(1.0, read), NEVER)), axis=1)
        else:
            count = ops.expand_dims(ops.cast(ops.maximum(lengths, 1), "float32"), 1)
            pooled = ops.divide(ops.sum(ops.multiply(sequence, read), axis=1), count)
        return ops.expand_dims(output(pooled), 1), final

    def _predictions(self, logits: Tensor, mask: Tensor) -> Tensors:
        """Return ids, scores, and the probabilities of one step; see `argmax_per_step`."""
        log_probability = ops.log_softmax(logits, axis=-1)
        if self.model.per_step:  # id 0 is padding
            log_probability = ops.add(log_probability, _never(int(logits.shape[-1]), [0]))
        gain, ids = ops.top_k(log_probability, 1)
        gain, ids = ops.squeeze(gain, -1), ops.cast(ops.squeeze(ids, -1), "int32")
        if self.model.per_step:
            gain = ops.multiply(gain, ops.cast(mask, "float32"))
            ids = ops.multiply(ids, ops.cast(mask, "int32"))
        outputs = {IDS: ids, SCORE: ops.sum(gain, axis=-1)}
        return outputs | ({PROBABILITIES: ops.softmax(logits[:, 0])} if self.model.steps == 1 else {})


def _never(symbols: int, barred: list[int]) -> Any:
    """Return what to add to logits so that some symbols are never predicted, float32 [symbols]."""
    values = np.zeros(symbols, np.float32)
    values[barred] = NEVER
    return values
