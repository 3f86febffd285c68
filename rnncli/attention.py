"""Attention in files: an export of states whose one array is attention."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnncli.prediction import Attention, Prediction
from rnncli.states import ATTENTION, StateBatch


def attention_batch(predictions: Sequence[Prediction], shape: tuple[int, int]) -> StateBatch:
    """The attention of predictions, a row each, as writers of `rnncli.states` take it; of bad lines a row of nothing.

    Args:
        predictions: With attention.
        shape: Steps of the longest target and of the longest source.
    """
    weights = np.zeros((len(predictions), *shape), np.float32)
    nothing = Attention(weights[0, :0, :0], [], []) if predictions else None
    attended = [prediction.attention or nothing for prediction in predictions]
    found = [each for each in attended if each is not None]
    for row, each in zip(weights, found, strict=True):
        row[: len(each.target), : len(each.source)] = each.weights
    return StateBatch(
        sources=[prediction.source for prediction in predictions],
        predictions=[prediction.text for prediction in predictions],
        source_tokens=[each.source for each in found],
        target_tokens=[each.target for each in found],
        source_lengths=np.array([len(each.source) for each in found], np.int32),
        target_lengths=np.array([len(each.target) for each in found], np.int32),
        arrays={ATTENTION: weights},
    )
