"""Base classes of the models.

Model
├── AutoregressiveModel   predicts a target symbol by symbol: EncoderDecoder, Ensemble
└── TrainableModel        has a network with parameters: EncoderDecoder
    └── SinglePassModel   predicts all target steps at once: RepeatVector, ManyToOne, PairClassifier
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli.layers import Memory, Recurrent, RecurrentStack, State, StateSpec, Tensor, TokenEmbedding
from rnncli.states.named_arrays import ArraySpec, check_arrays


class Model(ABC):
    """A model that predicts targets from sources.

    Attributes:
        steps: Maximum number of target steps, the end-of-sequence symbol included.
        state_spec: Name and shape of the states that prediction can start from and ends with.
        per_step: True if the target has a symbol for each source step, and so the source's length.
        has_attention: True if the model attends to the encoder outputs.
        has_memory: True if prediction reads more of the source than the states that it starts from.
        features: Ids that each source begins with and an encoder of their own reads; see `Sizes.tags`.
    """

    steps: int
    state_spec: StateSpec
    per_step: bool = False
    has_attention: bool = False
    has_memory: bool = False
    features: int = 0

    @property
    @abstractmethod
    def source_steps(self) -> int:
        """Return the maximum number of source steps."""

    @property
    @abstractmethod
    def source_dtype(self) -> str:
        """Return the dtype of sources: int32 for ids, float32 for numbers."""

    @property
    @abstractmethod
    def target_symbols(self) -> int:
        """Return the size of the target vocabulary."""

    @property
    @abstractmethod
    def recurrent_layers(self) -> list[Recurrent]:
        """Return the recurrent layers in the order in which they run."""

    @property
    def kernels(self) -> dict[str, str]:
        """Return the kernel of each recurrent layer, by the prefix of its states."""
        return {layer.prefix: layer.choice.kernel for layer in self.recurrent_layers}


class AutoregressiveModel(Model):
    """A model that predicts a target symbol by symbol, each from the symbols before it.

    Attributes:
        begin: Id of the begin-of-sequence symbol, the first input of the decoder.
        end: Id of the end-of-sequence symbol.
    """

    begin: int
    end: int

    @property
    def step_size(self) -> int:
        """Return about how many numbers a step computes for a row, which bounds the rows of a batch."""
        return self.target_symbols

    @abstractmethod
    def encode(self, source: tf.Tensor, lengths: tf.Tensor) -> tuple[State, Memory]:
        """Encode sources.

        Args:
            source: int32 [batch, source steps].
            lengths: int32 [batch].

        Returns:
            The decoder's initial states, and the attention memory, which is empty without attention.
        """

    @abstractmethod
    def step(self, ids: tf.Tensor, state: State, memory: Memory) -> tuple[tf.Tensor, State]:
        """Run a decoding step.

        Args:
            ids: The previous symbols, int32 [batch].
            state: States of the decoder.
            memory: The attention memory of `encode`.

        Returns:
            Logits of the next symbols, float [batch, symbols], and the new states.
        """

    @abstractmethod
    def target_logits(self, target: tf.Tensor, state: State, memory: Memory) -> tf.Tensor:
        """Return the logits of all steps of given targets, with teacher forcing: those of `step`, for all at once.

        Args:
            target: int32 [batch, target steps]; a step depends on the symbols before it only.
            state: Initial states of the decoder.
            memory: The attention memory of `encode`.

        Returns:
            float [batch, target steps, symbols].
        """

    @abstractmethod
    def attention_weights(self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Return the attention weights of given targets; for models with attention only.

        Args:
            source: int32 [batch, source steps].
            lengths: int32 [batch].
            target: int32 [batch, target steps], given or predicted.

        Returns:
            float [batch, target steps, source steps]. The weights of a target step sum to 1; padding has 0.
        """


Side = Literal["source", "target", "first", "second"]
"""The symbols of a parameter's rows: of a side, or of one of the two texts of sources; see `Vocabularies.of`."""


class SourceReader(NamedTuple):
    """The part of a model that reads the source step by step.

    Attributes:
        embedding: Maps ids to vectors; None if steps are numbers.
        stack: The recurrent layers.
        head: The output layer, if it reads each output of the stack by itself; else None.
    """

    embedding: TokenEmbedding | None
    stack: RecurrentStack
    head: keras.layers.Dense | None


class TrainableModel(Model):
    """A model with a network.

    Attributes:
        network: The layers as a functional Keras model, for its summary, its variables and Keras's callbacks.
    """

    network: keras.Model

    @property
    @abstractmethod
    def reader(self) -> SourceReader:
        """Return the part that reads the source."""

    @abstractmethod
    def logits(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Return the logits of all target steps, with teacher forcing.

        Args:
            source: int32 [batch, source steps].
            lengths: int32 [batch].
            target: int32 [batch, target steps]; a step depends on the symbols before it only.
            seed: int32 [2], for dropout; None is no dropout.

        Returns:
            float [batch, target steps, symbols].
        """

    @abstractmethod
    def trace(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Return every state of every recurrent layer, with teacher forcing.

        Args:
            source: int32 [batch, source steps].
            lengths: int32 [batch].
            target: int32 [batch, target steps], given or predicted.
            target_lengths: int32 [batch]; the decoder's final states are those after so many steps.

        Returns:
            Arrays by name; see `Recurrent.trace`.
        """

    def unroll(self, inputs: tf.Tensor, initial: State | None) -> tuple[tf.Tensor, State]:
        """Run the recurrent layers that read the source, over whole sequences or single steps.

        Args:
            inputs: A source with any number of steps, int32 [batch, steps] or float32 [batch, steps, features].
            initial: Initial states by name, float [batch, units] each; None is the cells' own, mostly zeros.

        Returns:
            The last layer's outputs, float [batch, steps, width], and the states after the last step.
        """
        embedding, stack, _ = self.reader
        return stack(inputs if embedding is None else embedding.read(inputs), None, initial)

    @property
    def source_steps(self) -> int:
        """See `Model.source_steps`."""
        return int(self.network.inputs[0].shape[1])

    @property
    def source_dtype(self) -> str:
        """See `Model.source_dtype`."""
        return str(self.network.inputs[0].dtype)

    @property
    def target_symbols(self) -> int:
        """See `Model.target_symbols`."""
        return int(self.network.outputs[0].shape[-1])

    @property
    def recurrent_layers(self) -> list[Recurrent]:
        """See `Model.recurrent_layers`."""
        return [layer for layer in self.network.layers if isinstance(layer, Recurrent)]

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return a copy of every parameter by name."""
        return {variable.path: np.array(variable.numpy()) for variable in self.network.weights}

    @property
    @abstractmethod
    def symbol_axes(self) -> dict[str, tuple[int, Side]]:
        """Return the axis of each parameter that begins with a row for each symbol, and the side of these symbols."""

    def _source_axes(self) -> dict[str, tuple[int, Side]]:
        """Return the `symbol_axes` of the part that reads the source."""
        embedding, stack, _ = self.reader
        return {} if embedding is None else embedded_axes(embedding, stack, "source")

    def assign(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Set every parameter, after checking all names, shapes and values.

        Raises:
            InputError: An array does not fit; no parameter was changed.
        """
        variables = {variable.path: variable for variable in self.network.weights}
        specs = {name: ArraySpec(tuple(variable.shape)) for name, variable in variables.items()}
        check_arrays(arrays, specs, "the weights are not those of this config")
        for name, variable in variables.items():
            variable.assign(arrays[name])


class SinglePassModel(TrainableModel):
    """A model that predicts all target steps at once."""

    @property
    def symbol_axes(self) -> dict[str, tuple[int, Side]]:
        """See `TrainableModel.symbol_axes`."""
        return self._source_axes() | output_axes(self.network)

    @abstractmethod
    def read_from(
        self, initial: State | None, source: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, State]:
        """Predict from initial states.

        Args:
            initial: States by the names of `state_spec`; None is the cells' own, mostly zeros.
            source: int32 [batch, source steps], or float32 [batch, source steps, features].
            lengths: int32 [batch].
            seed: int32 [2], for dropout; None is no dropout.

        Returns:
            Logits, float [batch, target steps, symbols], and the states after the last source step.
        """

    def read(self, source: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Return the logits of `read_from` without initial states."""
        return self.read_from(None, source, lengths, seed)[0]

    def logits(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """See `TrainableModel.logits`; the target is not used."""
        del target
        return self.read(source, lengths, seed)


def embedded_axes(embedding: TokenEmbedding, stack: RecurrentStack, side: Side) -> dict[str, tuple[int, Side]]:
    """Return the `symbol_axes` of an embedding, or of the first layer where symbols are one-hot vectors."""
    if embedding.as_number:
        return {}
    if embedding.table is not None:
        return {embedding.table.embeddings.path: (0, side)}
    cells = [layer.cell for layer in stack.layers[0].directions.values()]
    return {cell.kernel.path: (0, side) for cell in cells if hasattr(cell, "kernel")}


def output_axes(network: keras.Model) -> dict[str, tuple[int, Side]]:
    """Return the `symbol_axes` of the output layer of a network."""
    return {weight.path: (len(weight.shape) - 1, "target") for weight in network.get_layer("output").weights}


def source_input(steps: int, name: str, features: int | None = None) -> Tensor:
    """Return a symbolic input of ids, int32 [batch, steps], or of numbers, float32 [batch, steps, features]."""
    if features is not None:
        return keras.Input((steps, features), dtype="float32", name=name)
    return keras.Input((steps,), dtype="int32", name=name)


def lengths_input() -> Tensor:
    """Return a symbolic input of source lengths, int32 [batch]."""
    return keras.Input((), dtype="int32", name="source_lengths")
