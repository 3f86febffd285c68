"""A classifier of two texts: the layers that read the second one start from the final states of those of the first.

So it is in the guide to recurrent layers of the Keras documentation, "Working with RNNs"; for pairs of sentences see
Rocktaeschel et al. 2016, "Reasoning about Entailment with Neural Attention", section 2.2 (conditional encoding).
"""

from __future__ import annotations

import keras
import tensorflow as tf

from rnncli.config import ClassifierModel
from rnncli.data.examples import Sizes
from rnncli.layers import (
    AnyCell,
    Bridge,
    KernelChoice,
    Pooling,
    RecurrentStack,
    State,
    StateSpec,
    TextPair,
    TokenEmbedding,
    fits,
)
from rnncli.models.base import (
    Side,
    SinglePassModel,
    SourceReader,
    embedded_axes,
    lengths_input,
    output_axes,
    source_input,
)


class PairClassifier(SinglePassModel):
    """An encoder for the first text, a decoder for the second, and a Dense layer on the decoder's outputs.

    The states that prediction can start from are the decoder's; the first text is not read then.
    """

    steps = 1

    def __init__(self, config: ClassifierModel, sizes: Sizes, cell: AnyCell, choice: KernelChoice) -> None:
        if config.encoder is None or not sizes.first_symbols:
            raise ValueError("a classifier of two texts needs an encoder and sources of two texts")
        self.features = sizes.tags
        self.split = TextPair(sizes.tags, sizes.second_symbols, name="text_pair")
        self.first_embedding = TokenEmbedding(sizes.first_symbols, config.encoder.embedding, name="first_symbols")
        self.second_embedding = TokenEmbedding(sizes.second_symbols, config.embedding, name="second_symbols")
        self.encoder = RecurrentStack("encoder", cell, config.encoder, choice)
        self.decoder = RecurrentStack("decoder", cell, config, choice)
        self.state_spec = self.decoder.state_spec
        self.bridge = _bridge(config, self.encoder.state_spec, self.state_spec)
        self.pooling = None if config.pooling == "last" else Pooling(config.pooling == "max", name="pooling")
        self.output = keras.layers.Dense(sizes.target_symbols, name="output", dtype="float32")

        source, lengths = source_input(sizes.source_steps, "source"), lengths_input()
        self.network = keras.Model([source, lengths], self.read(source, lengths))

    @property
    def reader(self) -> SourceReader:
        """See `TrainableModel.reader`; of the second text."""
        return SourceReader(self.second_embedding, self.decoder, self.output if self.pooling is None else None)

    @property
    def symbol_axes(self) -> dict[str, tuple[int, Side]]:
        """See `TrainableModel.symbol_axes`."""
        first = embedded_axes(self.first_embedding, self.encoder, "first")
        second = embedded_axes(self.second_embedding, self.decoder, "second")
        return first | second | output_axes(self.network)

    def read_from(
        self, initial: State | None, source: tf.Tensor, lengths: tf.Tensor, seed: tf.Tensor | None = None
    ) -> tuple[tf.Tensor, State]:
        """See `SinglePassModel.read_from`; the states are the decoder's."""
        first, first_lengths, second, second_lengths = self.split(source, lengths)
        if initial is None:
            _, final = self.encoder(self.first_embedding.read(first), first_lengths, seed=seed)
            initial = self.bridge(final)
        sequence, state = self.decoder(self.second_embedding.read(second), second_lengths, initial, seed)
        if self.pooling is None:
            pooled = self.decoder.final_output(sequence, state)
        else:
            pooled = self.pooling(sequence, second_lengths)
        return self.output(pooled)[:, None, :], state

    def unroll(self, inputs: tf.Tensor, initial: State | None) -> tuple[tf.Tensor, State]:
        """See `TrainableModel.unroll`; each source begins with its first text, whose states the second is read from.

        Args:
            inputs: int32 [batch, steps].
            initial: Initial states of the decoder, in place of those that the first text gives.
        """
        lengths = tf.fill([tf.shape(inputs)[0]], inputs.shape[1])
        first, first_lengths, second, _ = self.split(inputs, lengths)
        if initial is None:
            initial = self.bridge(self.encoder(self.first_embedding.read(first), first_lengths)[1])
        return self.decoder(self.second_embedding.read(second), None, initial)

    def trace(
        self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor, target_lengths: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """See `TrainableModel.trace`; the target is not used.

        The encoder's arrays have a step for each symbol of the first text, the decoder's for each of the second.
        """
        del target, target_lengths
        first, first_lengths, second, second_lengths = self.split(source, lengths)
        _, final, of_first = self.encoder.trace(self.first_embedding.read(first), first_lengths)
        _, _, of_second = self.decoder.trace(self.second_embedding.read(second), second_lengths, self.bridge(final))
        return of_first | of_second


def _bridge(config: ClassifierModel, source: StateSpec, target: StateSpec) -> Bridge:
    """Return the bridge that `model.encoder` describes; states of a custom cell may not fit though the units do."""
    able = (config.states_fit or config.states_join) and fits(source, target)
    return Bridge(source, target, "copy" if able else "dense")
