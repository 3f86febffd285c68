"""What all models have in common, and the two kinds that prediction knows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli.config import EncoderDecoderModel, RepeatVectorModel, name_of
from rnncli.layers import KernelChoice, Memory, Recurrent, RecurrentStack, State, UserCell
from rnncli.states.named_arrays import ArraySpec, check_arrays


class Model(ABC):
    """A network with its weights.

    Attributes:
        network: The layers as a functional Keras model, for its summary, its variables and Keras's callbacks.
        steps: Longest target.
        state_spec: Name to shape, without the batch, of the states that prediction can start from and ends with.
    """

    network: keras.Model
    steps: int
    state_spec: dict[str, tuple[int, ...]]

    @abstractmethod
    def logits(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """What training compares with the target.

        Args:
            source: int [batch, source steps].
            lengths: int [batch].
            target: int [batch, target steps]; only what stands before a step may influence the step.
            seed: int32 [2], for dropout; None drops nothing.

        Returns:
            float [batch, target steps, symbols].
        """

    @property
    def source_dtype(self) -> str:
        """Of the sources that it reads: int32 of ids, float32 of numbers."""
        dtype: str = self.network.inputs[0].dtype
        return dtype

    @abstractmethod
    def trace(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Every state of every recurrent layer while the model reads sources and writes these targets.

        Args:
            source: int [batch, source steps].
            lengths: int [batch].
            target: int [batch, target steps], given or written by the model itself.
            target_lengths: int [batch]; the final states are those after so many steps.

        Returns:
            Arrays by name, as `Recurrent.trace` gives them.
        """

    @abstractmethod
    def unroll(self, inputs: tf.Tensor, initial: State | None) -> tuple[tf.Tensor, State]:
        """Run the layers that read, whole sequences or single steps of them.

        Args:
            inputs: As a source, with any number of steps.
            initial: States of the reading layers, float [batch, units] by name; None is as the cells start.

        Returns:
            The last layer's outputs, float [batch, steps, width], and the states after the last step.
        """

    @property
    def recurrent_layers(self) -> list[Recurrent]:
        """The recurrent layers, in the order in which they run."""
        return [layer for layer in self.network.layers if isinstance(layer, Recurrent)]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """A copy of every weight, by name."""
        return {variable.path: np.array(variable.numpy()) for variable in self.network.weights}

    def assign(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Set every weight, after checking all names, shapes and values.

        Raises:
            InputError: Something does not fit; no weight was changed.
        """
        variables = {variable.path: variable for variable in self.network.weights}
        specs = {name: ArraySpec(tuple(variable.shape)) for name, variable in variables.items()}
        check_arrays(arrays, specs, "the weights are not those of this config")
        for name, variable in variables.items():
            variable.assign(arrays[name])


@runtime_checkable
class Stepper(Protocol):
    """A model that writes its answer symbol by symbol.

    Attributes:
        steps: Most symbols that it writes, the end included.
        state_spec: As in `Model`.
        remembers: Whether `step` needs more of a source than the state that it began with: a memory, which is empty
            for models without attention.
        begin: Id that is read first.
        end: Id that is written last.
    """

    steps: int
    state_spec: dict[str, tuple[int, ...]]
    remembers: bool
    begin: int
    end: int

    def encode(self, source: tf.Tensor, lengths: tf.Tensor) -> tuple[State, Memory]:
        """Read sources, int [batch, steps]; gives the state before the first symbol is written, and the memory."""

    def step(self, ids: tf.Tensor, state: State, memory: Memory) -> tuple[tf.Tensor, State]:
        """Symbols written last, int [batch], to logits of the next, float [batch, symbols], and the new state."""


class Readout(Model):
    """A model that gives its whole answer at once.

    Attributes:
        per_step: Whether the answer has a symbol for each step of the source, and so the source's length.
    """

    per_step = False

    @abstractmethod
    def read_from(
        self, initial: State | None, source: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, State]:
        """Read sources, int [batch, steps], from states by the names of `state_spec`; None is as cells start.

        Returns:
            Logits, float [batch, target steps, symbols], and the states after the last step read.
        """

    def read(self, source: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """Logits as `read_from` gives them, from where cells start."""
        return self.read_from(None, source, lengths, seed)[0]

    def logits(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tf.Tensor:
        """See `Model.logits`; the target plays no part."""
        del target
        return self.read(source, lengths, seed)


def inputs(steps: int, name: str, features: int | None = None) -> Any:
    """A symbolic input of ids or, where a step has features, of numbers."""
    if features is not None:
        return keras.Input((steps, features), dtype="float32", name=name)
    return keras.Input((steps,), dtype="int32", name=name)


def lengths_input() -> Any:
    """A symbolic input of lengths."""
    return keras.Input((), dtype="int32", name="source_lengths")


def encoder_stack(
    config: EncoderDecoderModel | RepeatVectorModel, choice: KernelChoice, user: UserCell | None
) -> RecurrentStack:
    """The layers that a model's `encoder` section asks for, of a cell of the user's own if there is one."""
    encoder = config.encoder
    return RecurrentStack(
        "encoder",
        user or name_of(config.cell),
        encoder.units,
        encoder.layers,
        choice,
        encoder.bidirectional,
        encoder.dropout,
        encoder.merge,
        recurrent_dropout=encoder.recurrent_dropout,
    )


def decoder_stack(
    config: EncoderDecoderModel | RepeatVectorModel, choice: KernelChoice, user: UserCell | None
) -> RecurrentStack:
    """The layers that a model's `decoder` section asks for, of a cell of the user's own if there is one."""
    decoder = config.decoder
    return RecurrentStack(
        "decoder",
        user or name_of(config.cell),
        decoder.units,
        decoder.layers,
        choice,
        dropout=decoder.dropout,
        recurrent_dropout=decoder.recurrent_dropout,
    )
