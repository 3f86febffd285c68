"""A model in NumPy that reads one source and shows everything: states, gates, attention, probabilities.

It is for looking at, one source at a time, with units held at values: nothing is compiled, so that a change shows at
once. The numbers are those of the model in TensorFlow, up to rounding. Imports no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.config import CELLS, Config, EncoderDecoderModel, RepeatVectorModel, Stack
from rnncli.config.cells import names_of
from rnncli.config.named_objects import import_named
from rnncli.data.examples import Sizes
from rnncli.data.vocabulary import BOS_ID, EOS, EOS_ID, PAD_ID, UNKNOWN_ID
from rnncli.errors import InputError
from rnncli.inference.gated_steps import GatedStep, Vector
from rnncli.inference.numpy_alignment import NumpyAlignment
from rnncli.inference.numpy_pointer import NumpyPointer
from rnncli.states.named_arrays import FED

Matrix = NDArray[np.float32]
Held = Mapping[str, Mapping[int, float]]
"""The value of units after every step, by the name of the state, such as `encoder/0/forward/h`, and by unit."""
Vectors = dict[str, Vector]


@dataclass(frozen=True)
class Trace:
    """All that a model did with a source.

    Attributes:
        ids: The ids that it wrote, or was made to write.
        probabilities: Of every symbol at each of these steps, float32 [steps, symbols]; where the model copies,
            [steps, symbols + source steps].
        attention: Attention weights, float32 [steps, source steps], features left out; None without attention.
        arrays: States and gates after every step by name, `encoder/0/forward/h`, float32 [steps, units].
        final: The states after the last step by name, float32 [units].
        generates: The probability of each step to write from the vocabulary and not to copy; None where the model
            does not copy.
    """

    ids: list[int]
    probabilities: Matrix
    attention: Matrix | None
    arrays: dict[str, Matrix]
    final: Vectors
    generates: list[float] | None = None

    @property
    def score(self) -> float:
        """The sum of the natural-log probabilities of the ids."""
        chosen = self.probabilities[np.arange(len(self.ids)), self.ids]
        return float(np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).sum())


@dataclass(frozen=True)
class NumpyNetwork:
    """A model with built-in cells.

    Attributes:
        config: Its config.
        sizes: Sizes of vocabularies and lengths of sequences.
        weights: float32 arrays by the names of the variables.
        steps: Run a step of each of its cells, by their names.

    Raises:
        InputError: A cell is none that can be shown, or the model reads two texts.
    """

    config: Config
    sizes: Sizes
    weights: Mapping[str, NDArray[Any]]
    steps: dict[str, GatedStep] = field(init=False)

    def __post_init__(self) -> None:
        if self.sizes.first_symbols:
            raise InputError(
                "model.encoder: a classifier of two texts cannot be looked into",
                "export-states writes its states after every step, and plot states shows them",
            )
        found: dict[str, GatedStep] = {}
        for cell in names_of(self.config.model.cell):
            entry = CELLS.get(cell)
            if entry is None or entry.gated_step is None:
                able = ", ".join(name for name, each in CELLS.items() if each.gated_step)
                raise InputError(f"model.cell: {cell} cannot be looked into; the cells {able} can")
            found[cell] = import_named(entry.gated_step)
        object.__setattr__(self, "steps", found)

    @property
    def units(self) -> dict[str, int]:
        """The number of units of each state, by the name that `Held` has."""
        model: Any = self.config.model
        has_encoder = isinstance(model, EncoderDecoderModel | RepeatVectorModel)
        stacks = {"encoder": model.encoder, "decoder": model.decoder} if has_encoder else {"rnn": model}
        return {
            f"{prefix}/{layer}/{direction}/{state}": units
            for prefix, stack in stacks.items()
            for layer, (units, cell) in enumerate(zip(stack.layer_units, model.layer_cells(stack), strict=True))
            for direction in _directions(stack)
            for state in CELLS[cell].states
        }

    def read(
        self,
        source: Sequence[Any],
        prefix: Sequence[int] = (),
        held: Held | None = None,
        initial: Vectors | None = None,
    ) -> Trace:
        """Read a source and predict greedily.

        Args:
            source: The ids of its steps, or a vector for each.
            prefix: Ids that an encoder-decoder is made to write first.
            held: Units that keep a value.
            initial: The states that a stateful model starts from, float32 [units] by name; None is zeros.

        Raises:
            InputError: There are no such units, the source is empty, a prefix is given to another model, or the model
                cannot write it.
        """
        reading = _Reading(self, self._checked(held or {}))
        if not len(source):
            raise InputError("the source is empty")
        if isinstance(self.config.model, EncoderDecoderModel):
            if len(prefix) > self.sizes.target_steps:
                raise InputError(f"prefix: {len(prefix)} symbols, and the model writes {self.sizes.target_steps}")
            if EOS_ID in prefix[:-1]:
                raise InputError(f"prefix: nothing follows {EOS}")
            return reading.encode_and_decode(self.config.model, source, prefix)
        if prefix:
            raise InputError("prefix: only models that predict symbol by symbol go on from one")
        return reading.read_once(source, initial)

    def write(
        self,
        prime: Sequence[int],
        length: int,
        temperature: float,
        seed: int,
        possible: NDArray[np.bool_],
        held: Held | None = None,
        initial: Vectors | None = None,
    ) -> tuple[list[int], list[float]]:
        """Go on with a text by a next-step model.

        Args:
            prime: The ids of the text.
            length: Symbols to write.
            temperature: Softmax temperature; 0 always takes the most probable symbol.
            seed: Of the random numbers.
            possible: True for the symbols that may be written, bool [symbols].
            held: Units that keep a value.
            initial: As for `read`.

        Returns:
            The ids, and the probability that the model gave each.

        Raises:
            InputError: There are no such units, or the prime is empty.
        """
        reading, model = _Reading(self, self._checked(held or {})), self.config.model
        if not len(prime):
            raise InputError("there is no text to go on from")
        random = np.random.default_rng(seed)
        _, states = reading.read("rnn", model, reading.embed("source", prime), initial)
        ids: list[int] = []
        found: list[float] = []
        for _ in range(length):
            logits = reading.dense("output", reading.last_output("rnn", model, states))
            logits = np.where(possible, logits, -np.inf).astype(np.float32)
            chosen = _sampled(logits, temperature, random) if temperature else int(logits.argmax())
            ids.append(chosen)
            found.append(float(_softmax(logits)[chosen]))
            reading.arrays.clear()  # which nobody sees
            _, states = reading.read("rnn", model, reading.embed("source", [chosen]), states)
        return ids, found

    def _checked(self, held: Held) -> Held:
        known = self.units
        for name, units in held.items():
            if name not in known:
                raise InputError(f"hold: {name[:100]} is no state", f"the states are {', '.join(known)}")
            if units and not 0 <= min(units) <= max(units) < known[name]:
                raise InputError(f"hold: {name} has units 0 to {known[name] - 1}")
        return {name: units for name, units in held.items() if units}


def _directions(stack: Any) -> list[str]:
    return ["forward", "backward"][: stack.directions]


class _Reading:
    """One pass over a source, which collects the arrays."""

    def __init__(self, network: NumpyNetwork, held: Held) -> None:
        self.network, self.weights, self.held = network, network.weights, held
        self.arrays: dict[str, list[Vector]] = {}

    def read_once(self, source: Sequence[Any], initial: Vectors | None) -> Trace:
        """Run a model that predicts all steps at once."""
        model, sizes = self.network.config.model, self.network.sizes
        if isinstance(model, RepeatVectorModel):
            _, final = self.read("encoder", model.encoder, self.embed("source", source), initial)
            vector = self.last_output("encoder", model.encoder, final)
            outputs, _ = self.read("decoder", model.decoder, [vector] * sizes.target_steps)
            logits = self.dense("output/dense", np.stack(outputs))
        else:
            assert isinstance(model, Stack)  # next_step and classifier are
            outputs, final = self.read("rnn", model, self.embed("source", source), initial)
            if sizes.per_step:
                logits = self.dense("output", np.stack(outputs))
            else:
                last = self.last_output("rnn", model, final) if model.pooling == "last" else None
                logits = self.dense("output", _pool(model.pooling, outputs) if last is None else last)[None]
        probabilities = _softmax(logits)
        first = PAD_ID + 1 if sizes.per_step else 0  # padding is never predicted there
        ids = (first + probabilities[:, first:].argmax(axis=1)).tolist()
        return Trace(ids, probabilities, None, self.stacked(), final)

    def encode_and_decode(self, model: EncoderDecoderModel, source: Sequence[int], prefix: Sequence[int]) -> Trace:
        """Run a model that predicts symbol by symbol."""
        features = [each for each in source[: self.network.sizes.tags] if each != PAD_ID]
        text = source[self.network.sizes.tags :]
        sequence = self.embed("source", text)
        if self.network.sizes.tags:
            sequence = [np.concatenate([each, self.feature_vector(features)]) for each in sequence]
        outputs, final = self.read("encoder", model.encoder, sequence)
        values = np.stack(outputs)
        keys = values @ self.weights["attention/key/kernel"] if "attention/key/kernel" in self.weights else values
        state = self.bridge(model, final)
        if model.input_feeding:
            state[FED] = np.zeros(model.decoder.output_layer_width, np.float32)
        ids: list[int] = []
        rows: list[Vector] = []
        attended: list[Vector] = []
        aligned = None
        if model.attention == "monotonic":
            aligned = NumpyAlignment(model, self.weights, values, partial(self.output_layer, model))
        pointer = NumpyPointer(self.network.sizes, self.weights, source) if model.copies_source else None
        while len(ids) < self.network.sizes.target_steps and EOS_ID not in ids[-1:]:
            (before,) = self.embed("target", [self.known(ids[-1]) if ids else BOS_ID])
            read = np.concatenate([before, state[FED]]) if model.input_feeding else before
            if self.network.sizes.tags:
                read = np.concatenate([read, self.feature_vector(features)])
            (output,), state = self.read("decoder", model.decoder, [read], state)
            vector = output
            if aligned is None and model.attention != "none":
                vector, weights = self.attend(model.attention, output, values, keys)
                attended.append(weights)
            if model.input_feeding:
                state[FED] = vector
            logits = self.output_layer(model, vector) if aligned is None else aligned.read(vector)
            if pointer is not None:
                logits = pointer.read(logits, [before, attended[-1] @ values, output], attended[-1])
            rows.append(self.probabilities(logits))
            ids.append(prefix[len(ids)] if len(ids) < len(prefix) else _best(rows[-1]))
            if aligned is not None:
                aligned.write(ids[-1])
        attention = np.stack(attended) if attended else None if aligned is None else aligned.posterior()
        generates = None if pointer is None else pointer.generates
        return Trace(ids, np.stack(rows), attention, self.stacked(), state, generates)

    def known(self, symbol: int) -> int:
        """Return the id that a decoder reads: a symbol that was copied by its place is unknown."""
        return symbol if symbol < self.network.sizes.target_symbols else UNKNOWN_ID

    def feature_vector(self, features: Sequence[int]) -> Vector:
        """Return the vector of features; see `rnncli.layers.FeatureEncoder`."""
        kernel = self.weights["feature_encoder/dense/kernel"]
        total = sum(self.embed("source", features), np.zeros(len(kernel), np.float32))
        found: Vector = np.tanh(self.dense("feature_encoder/dense", total))
        return found

    def embed(self, side: str, steps: Sequence[Any]) -> list[Vector]:
        """Return the vectors of ids; those of numbers are given."""
        sizes, model = self.network.sizes, self.network.config.model
        if side == "source" and sizes.features is not None:
            return list(np.asarray(steps, np.float32))
        symbols = sizes.source_symbols if side == "source" else sizes.target_symbols
        if getattr(model, "symbols", "") == "number":
            return [np.array([each / symbols], np.float32) for each in steps]
        table = self.weights.get(model.embedding_name(side))
        return list((np.eye(symbols, dtype=np.float32) if table is None else table)[list(steps)])

    def read(
        self, prefix: str, stack: Any, sequence: list[Vector], initial: Vectors | None = None
    ) -> tuple[list[Vector], Vectors]:
        """Run stacked layers; return the last one's outputs, and the final states."""
        final: Vectors = {}
        for layer, cell in enumerate(self.network.config.model.layer_cells(stack)):
            both = []
            for direction in _directions(stack):
                name = f"{prefix}/{layer}/{direction}"
                outputs, states = self.read_layer(name, cell, stack.layer_units[layer], sequence, initial)
                both.append(outputs)
                final |= states
            sequence = (
                both[0] if len(both) == 1 else [_merge(stack.merge_mode, *pair) for pair in zip(*both, strict=True)]
            )
        return sequence, final

    def read_layer(
        self, name: str, cell: str, units: int, sequence: list[Vector], initial: Vectors | None
    ) -> tuple[list[Vector], Vectors]:
        """Run a direction of a layer, and keep its states and gates in the order of the sequence."""
        variables = f"{name.replace('/', '_', 1)}/{cell}_cell"
        kernel, recurrent, bias = (
            self.weights[f"{variables}/{each}"] for each in ("kernel", "recurrent_kernel", "bias")
        )
        of_input, of_state = bias if bias.ndim == 2 else (bias, np.float32(0))
        names = [f"{name}/{state}" for state in CELLS[cell].states]
        states = [np.zeros(units, np.float32) if initial is None else initial[each] for each in names]
        states = [self.hold(*each) for each in zip(names, states, strict=True)]
        backward = name.endswith("/backward")
        found: list[Vectors] = []
        for vector in reversed(sequence) if backward else sequence:
            new, gates = self.network.steps[cell](
                vector @ kernel + of_input, states[0] @ recurrent + of_state, states
            )
            states = [self.hold(*each) for each in zip(names, new, strict=True)]
            found.append(
                {**dict(zip(names, states, strict=True)), **{f"{name}/{gate}": v for gate, v in gates.items()}}
            )
        for each in reversed(found) if backward else found:
            for array, value in each.items():
                self.arrays.setdefault(array, []).append(value)
        outputs = [each[names[0]] for each in (reversed(found) if backward else found)]
        return outputs, dict(zip(names, states, strict=True))

    def hold(self, name: str, state: Vector) -> Vector:
        """Return a state in which held units have their values."""
        if name in self.held:
            state = state.copy()
            for unit, value in self.held[name].items():
                state[unit] = value
        return state

    def last_output(self, prefix: str, stack: Any, final: Vectors) -> Vector:
        """Return the last layer's output after it has read everything."""
        cells = self.network.config.model.layer_cells(stack)
        first = CELLS[cells[-1]].states[0]
        last = [final[f"{prefix}/{len(cells) - 1}/{direction}/{first}"] for direction in _directions(stack)]
        return last[0] if len(last) == 1 else _merge(stack.merge_mode, *last)

    def bridge(self, model: EncoderDecoderModel, final: Vectors) -> Vectors:
        """Return the decoder's initial states; see `rnncli.layers.Bridge`."""
        names = [name for name in self.network.units if name.startswith("decoder/")]
        layers = {name: f"bridge/{name.replace('/', '_')}" for name in names}
        if model.bridge == "zero":
            return {name: np.zeros(self.network.units[name], np.float32) for name in names}
        if f"{layers[names[0]]}/kernel" in self.weights:
            everything = np.concatenate(list(final.values()))
            return {name: self.dense(layer, everything) for name, layer in layers.items()}
        pairs: dict[str, list[Vector]] = {}
        for name, value in final.items():
            pairs.setdefault(name.replace("/backward/", "/forward/"), []).append(value)
        return dict(zip(names, (np.concatenate(each) for each in pairs.values()), strict=True))

    def attend(self, kind: str, query: Vector, values: Matrix, keys: Matrix) -> tuple[Vector, Vector]:
        """Return the output of attention, and the weights; see `rnncli.layers.Attention`."""
        if kind == "additive":
            projected = np.tanh(query @ self.weights["attention/query/kernel"] + keys)
            scores = (projected * self.weights["attention/attend/scale"]).sum(axis=-1)
        else:
            scores = keys @ query
        weights = _softmax(scores)
        both = np.concatenate([weights @ values, query])
        return np.tanh(both @ self.weights["attention/combine/kernel"]), weights

    def output_layer(self, model: EncoderDecoderModel, vectors: NDArray[Any]) -> NDArray[np.float32]:
        """Return logits, float32 [..., symbols], of vectors, float32 [..., width]."""
        if model.decoder.tied:
            logits = vectors @ self.weights[model.embedding_name("target")].T + self.weights["output/bias"]
        else:
            logits = self.dense("output", vectors)
        return np.asarray(logits, np.float32)

    def probabilities(self, logits: Vector) -> Vector:
        """Return the probabilities of a decoder's next symbol, which is never the unknown one."""
        if self.network.sizes.unknown:
            logits[UNKNOWN_ID] = -np.inf
        return _softmax(logits)

    def dense(self, name: str, vectors: NDArray[Any]) -> NDArray[Any]:
        """Apply a dense layer."""
        found: NDArray[Any] = vectors @ self.weights[f"{name}/kernel"] + self.weights[f"{name}/bias"]
        return found

    def stacked(self) -> dict[str, Matrix]:
        """Return the arrays that were collected."""
        return {name: np.stack(values) for name, values in self.arrays.items()}


def _pool(mode: str, outputs: list[Vector]) -> Vector:
    pooled: Vector = np.stack(outputs).max(axis=0) if mode == "max" else np.stack(outputs).mean(axis=0)
    return pooled


def _merge(mode: str, forward: Vector, backward: Vector) -> Vector:
    if mode == "concat":
        return np.concatenate([forward, backward])
    merged: Vector = {"sum": forward + backward, "mul": forward * backward, "ave": (forward + backward) / 2}[mode]
    return merged


def _softmax(logits: NDArray[Any]) -> Any:
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (odds / odds.sum(axis=-1, keepdims=True)).astype(np.float32)


def _sampled(logits: Vector, temperature: float, random: np.random.Generator) -> int:
    with np.errstate(over="ignore"):  # of a temperature near 0, which leaves the best alone
        odds = np.exp((logits.astype(np.float64) - logits.max()) / temperature)
    return int(random.choice(len(odds), p=odds / odds.sum()))


def _best(probabilities: Vector) -> int:
    """Return the most probable symbol that a decoder may write."""
    possible = probabilities.copy()
    possible[[PAD_ID, BOS_ID]] = -1
    return int(possible.argmax())
