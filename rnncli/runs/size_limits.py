"""How large the files of a run may be, judged by its config before they are read, and before a model is built."""

from __future__ import annotations

from rnncli.config import Config
from rnncli.data.task import Task
from rnncli.errors import RunDirError
from rnncli.runs.arrays import Arrays
from rnncli.runs.checkpoints import MAX_ARRAYS

ROOM = 64 * 2**20
"""Bytes that every file of arrays may have."""


def max_checkpoint_bytes(config: Config, task: Task) -> int:
    """Bytes that a checkpoint's file of arrays has at most, whatever size it is; of a cell that is code, any."""
    model, sizes = config.model, task.sizes
    parameters = model.max_parameters(sizes.source_symbols + sizes.target_symbols + (sizes.features or 0))
    states = model.max_states()
    if parameters is None or states is None:
        return MAX_ARRAYS
    optimizer = 4 * parameters  # two moments and an average, and numbers that are few
    return 4 * (optimizer + config.training.batch_size * states) + ROOM


def check_size(config: Config, task: Task, weights: Arrays, place: str) -> None:
    """Refuse a config that asks for more weights than there are, before as much memory is taken as it asks for.

    Raises:
        RunDirError: It does.
    """
    count = sum(array.size for array in weights.values())
    least = config.model.min_parameters(task.sizes.source_symbols, task.sizes.target_symbols)
    if count < least:
        raise RunDirError(
            f"{place}: the weights are not those of this config: {count:,} numbers, not {least:,} or more"
        )
