"""A check before training: examples that are far longer than the others."""

from __future__ import annotations

import math

import numpy as np

from rnncli.config.base import TaskSection
from rnncli.data.examples import Examples

USUAL_PERCENTILE = 99
"""Percentile of the lengths that counts as a usual length."""
MIN_SLOWER = 1.5
"""Times as many time steps of an epoch that are worth a message."""


def describe_far_longer(examples: Examples, task: TaskSection, batch_size: int) -> str:
    """Return a message on a few examples that make every epoch much slower; empty if there are none.

    Args:
        examples: The training examples.
        task: The section of their task, whose keys limit the lengths.
        batch_size: Examples of a mini-batch.
    """
    sides = {"source": examples.source_lengths - task.leading_features, "target": examples.target_lengths}
    usual = {side: math.ceil(np.percentile(lengths, USUAL_PERCENTILE)) for side, lengths in sides.items()}
    steps = math.ceil(len(examples) / batch_size) * sum(usual.values())
    for side, lengths in sides.items():
        key = next((key for key in (f"max_{side}_length", "max_length") if hasattr(task, key)), None)
        longest, longer = int(lengths.max()), int((lengths > usual[side]).sum())
        slower = 1 + (longest - usual[side]) * math.ceil(longer / batch_size) / steps
        if key is not None and slower >= MIN_SLOWER and longest > 2 * usual[side]:
            return (
                f"{longer} of {len(examples)} training {side}s are longer than {usual[side]} symbols, "
                f"the longest has {longest}: an epoch has about {slower:.1f} times as many time steps; "
                f"to leave them out, set task.too_long: skip and task.{key}: {usual[side]}"
            )
    return ""
