"""What runs must have to answer together, or to show what they look at. Imports no TensorFlow."""

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
    "columns",
}
"""Keys of a task that say what a model learned from, not how it reads and writes."""


def check_members(run: SavedRun, others: Sequence[SavedRun]) -> None:
    """Make sure that models read and write the same, symbol by symbol, so that their probabilities have a mean.

    Args:
        run: The first.
        others: The rest.

    Raises:
        InputError: One does not; says which, and what differs.
    """
    for other in others:
        for each in (run, other):
            if each.config.model.type != "encoder_decoder":
                raise InputError(
                    f"{each.path}: a {each.config.model.type} answers at once; an ensemble writes symbol by symbol",
                    "model.type: encoder_decoder writes symbol by symbol",
                )
        if difference := _difference(run, other):
            raise InputError(f"{other.path}: cannot answer together with {run.path}: {difference}")


def check_attention(runs: Sequence[SavedRun]) -> None:
    """Make sure that every run has attention.

    Raises:
        InputError: One has none.
    """
    for saved in runs:
        if getattr(saved.config.model, "attention", "none") == "none":
            raise InputError(f"{saved.path}: the model has no attention", "train one with model.attention")


def _difference(run: SavedRun, other: SavedRun) -> str:
    """What differs, in words; empty where nothing does."""
    ours, theirs = (saved.config.task.model_dump(by_alias=True) for saved in (run, other))
    if ours["type"] != theirs["type"]:
        return f"its task is {theirs['type']}, not {ours['type']}"
    if (run.task.columns.features is None) != (other.task.columns.features is None):
        return "only one of them reads features"
    for key in ours:
        if key not in MAY_DIFFER and ours[key] != theirs[key]:
            return f"its task.{key} is {theirs[key]!s:.60}, not {ours[key]!s:.60}"
    for side in ("source", "target"):
        mine, its = (getattr(saved.task, f"{side}_vocabulary").symbols for saved in (run, other))
        if mine != its:
            odd = sorted(set(its) ^ set(mine))
            shown = ", ".join(map(repr, odd[:3])) + (", ..." if len(odd) > 3 else "")
            return f"the {side} symbols differ ({shown})" if odd else f"the {side} symbols are in another order"
    return "" if run.task.sizes == other.task.sizes else "its longest sources or targets have other lengths"
