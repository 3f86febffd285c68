"""Checks of the runs of an ensemble, and of runs whose attention is wanted. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

from rnncli.errors import InputError
from rnncli.runs.directory import SavedRun

MAY_DIFFER = {
    "examples",
    "held_out",
    "seed",
    "train",
    "validation",
    "test",
    "min_frequency",
    "too_long",
    "vocabulary",
    "shared_vocabulary",
    "columns",
    "data",
    "cache_limit",
}
"""Keys of a task that choose the data, not how sources are read and targets written."""


def check_ensemble_compatible(run: SavedRun, others: Sequence[SavedRun]) -> None:
    """Refuse models whose symbol probabilities cannot be averaged.

    Args:
        run: The first run of the ensemble.
        others: The other runs.

    Raises:
        InputError: A run predicts all symbols at once, or differs from the first in vocabulary, tokenization or
            lengths.
    """
    for other in others:
        for each in (run, other):
            if each.config.model.type != "encoder_decoder":
                raise InputError(
                    f"{each.path}: an ensemble needs models that predict symbol by symbol, not model.type: "
                    f"{each.config.model.type}",
                    "train one with model.type: encoder_decoder",
                )
        if difference := _difference(run, other):
            raise InputError(f"{other.path}: no ensemble with {run.path}: {difference}")


def check_attention(runs: Sequence[SavedRun]) -> None:
    """Refuse runs without attention.

    Raises:
        InputError: A run has none.
    """
    for saved in runs:
        if getattr(saved.config.model, "attention", "none") == "none":
            raise InputError(f"{saved.path}: the model has no attention", "train one with model.attention: general")


def _difference(run: SavedRun, other: SavedRun) -> str:
    """Return the first difference that rules out an ensemble; empty if there is none."""
    first, second = (saved.config.task.model_dump(by_alias=True) for saved in (run, other))
    if first["type"] != second["type"]:
        return f"its task is {second['type']}, not {first['type']}"
    if (run.task.columns.features is None) != (other.task.columns.features is None):
        return "only one of them reads features"
    for key in first:
        if key not in MAY_DIFFER and first[key] != second[key]:
            return f"its task.{key} is {second[key]!s:.60}, not {first[key]!s:.60}"
    for side in ("source", "target"):
        ours, theirs = (getattr(saved.task, f"{side}_vocabulary").symbols for saved in (run, other))
        if ours != theirs:
            odd = sorted(set(theirs) ^ set(ours))
            shown = ", ".join(map(repr, odd[:3])) + (", ..." if len(odd) > 3 else "")
            return f"the {side} vocabularies differ ({shown})" if odd else f"the {side} vocabularies differ in order"
    if (run.task.sizes.copies is None) != (other.task.sizes.copies is None):
        return "only one of them copies from its source"
    return "" if run.task.sizes == other.task.sizes else "the maximum lengths of sources or targets differ"
