"""Predictions, and probabilities of the targets, of whole sets of examples; states are carried where they must be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Examples
from rnncli.data.length_bucketing import stateful_order
from rnncli.inference.decoder import Decoder
from rnncli.inference.decoding import GREEDY, States
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.models import SinglePassModel


def predict_examples(
    decoder: Decoder, examples: Examples, initial: States, options: DecodingOptions = GREEDY
) -> NDArray[np.int32]:
    """Predict the targets of examples; returns the best hypothesis of each, int32 [examples, target steps].

    Args:
        decoder: Runs the model.
        examples: Their sources are read, not their targets.
        initial: Initial states of a stateful model, float32 [batch size, units] by name, which are carried on from
            batch to batch; empty for other models.
        options: Options of decoding; stateful models decode greedily.
    """
    if not initial:
        return decoder(examples.source, examples.source_lengths, options=options).ids
    return _carry_through(decoder, examples, initial, scores=False)[0]


def score_examples(decoder: Decoder, examples: Examples, initial: States) -> NDArray[np.float32]:
    """Return the log probability of each symbol of the targets of examples, 0 at padding.

    Args:
        decoder: Runs the model.
        examples: The examples.
        initial: As for `predict_examples`.

    Returns:
        float32 [examples, target steps].
    """
    if initial:
        return _carry_through(decoder, examples, initial)[1]
    scored, _ = decoder.score(examples.source, examples.source_lengths, examples.target)
    return _of_targets(examples, scored)


def predict_and_score(
    decoder: Decoder, examples: Examples, initial: States, options: DecodingOptions = GREEDY
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Return what `predict_examples` and `score_examples` do; models that predict all at once read once for both."""
    if initial:
        return _carry_through(decoder, examples, initial)
    if isinstance(decoder.model, SinglePassModel):
        decoded = decoder(examples.source, examples.source_lengths, options=options, target=examples.target)
        assert decoded.target_log_probabilities is not None or not len(examples)
        return decoded.ids, _of_targets(examples, decoded.target_log_probabilities)
    return predict_examples(decoder, examples, initial, options), score_examples(decoder, examples, initial)


def _of_targets(examples: Examples, scored: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Return log probabilities with 0 at padding."""
    if scored is None:
        return np.zeros(examples.target.shape, np.float32)
    counted = np.arange(examples.target.shape[1]) < examples.target_lengths[:, None]
    return np.where(counted, scored, np.float32(0))


def _carry_through(
    decoder: Decoder, examples: Examples, initial: States, scores: bool = True
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Predict, and score, the targets of examples with a stateful model, batch by batch."""
    size, states = len(next(iter(initial.values()))), initial
    predicted = np.zeros((len(examples), decoder.model.steps), np.int32)
    scored = np.zeros(examples.target.shape, np.float32)
    for batch in stateful_order(len(examples), size, examples.continuing):
        rows = np.maximum(batch, 0)  # a place without an example, which no example follows in its row, repeats one
        targets = examples.target[rows] if scores else None
        decoded = decoder(examples.source[rows], examples.source_lengths[rows], states, target=targets)
        states, real = decoded.state, batch >= 0
        predicted[batch[real]] = decoded.ids[real]
        if decoded.target_log_probabilities is not None:
            scored[batch[real]] = decoded.target_log_probabilities[real]
    return predicted, _of_targets(examples, scored)
