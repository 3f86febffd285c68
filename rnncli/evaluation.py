"""How good a trained model is on examples whose answers are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli import metrics
from rnncli.decoder import predict_examples
from rnncli.prediction import TrainedRun
from rnncli.tasks import Examples
from rnncli.vocabulary import EOS, EOS_ID, PAD, Vocabulary


@dataclass(frozen=True)
class Evaluation:
    """Figures over a set of examples.

    Attributes:
        examples: How many.
        exact: How many were right in every symbol.
        exact_match: The share of these.
        symbol_accuracy: Share of target symbols, the end included, that stand in their place in the prediction.
        symbol_error_rate: Edits that turn the predictions into the targets, over the targets' symbols.
        groups: For each kind of group (digits, carries), each group's examples and exact matches.
    """

    examples: int
    exact: int
    exact_match: float
    symbol_accuracy: float
    symbol_error_rate: float
    groups: dict[str, dict[int, tuple[int, int]]]

    def as_json(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        groups = {
            kind: {
                str(value): {"examples": count, "exact": right, "exact_match": right / count}
                for value, (count, right) in sorted(members.items())
            }
            for kind, members in self.groups.items()
        }
        return {**self.__dict__, "groups": groups}


def evaluate(run: TrainedRun, examples: Examples) -> Evaluation:
    """Predict all sources and compare with the targets."""
    predicted = predict_examples(run.decoder, examples, run.carried)
    exact = metrics.exact_match(predicted, examples.target)
    symbols = metrics.symbols_right(predicted, examples.target, examples.target_lengths)
    lengths = _content_lengths(examples.target, run.task.target_vocabulary)
    predicted_lengths = _content_lengths(predicted, run.task.target_vocabulary)
    edits = metrics.edit_distances(predicted, predicted_lengths, examples.target, lengths)
    return Evaluation(
        examples=len(examples),
        exact=int(exact.sum()),
        exact_match=float(exact.mean()),
        symbol_accuracy=float(symbols.sum() / examples.target_lengths.sum()),
        symbol_error_rate=float(edits.sum() / lengths.sum()),
        groups=_grouped(run, examples, exact),
    )


def _content_lengths(ids: NDArray[np.integer], vocabulary: Vocabulary) -> NDArray[np.int64]:
    if PAD not in vocabulary.ids:  # then 0 is a symbol like any other
        return np.full(len(ids), ids.shape[1], np.int64)
    return metrics.content_lengths(ids, EOS_ID if EOS in vocabulary.ids else None)


def _grouped(run: TrainedRun, examples: Examples, exact: NDArray[np.bool_]) -> dict[str, dict[int, tuple[int, int]]]:
    groups: dict[str, dict[int, tuple[int, int]]] = {}
    for ids, length, right in zip(examples.source, examples.source_lengths, exact.tolist(), strict=True):
        for kind, value in run.task.groups(run.task.show_source(ids[:length].tolist())).items():
            count, so_far = groups.setdefault(kind, {}).get(value, (0, 0))
            groups[kind][value] = (count + 1, so_far + right)
    return groups
