"""Limits on the size of a run's files, which follow from its config before a file is read or a model is built."""

from __future__ import annotations

from rnncli.config import Config
from rnncli.data.task import Task
from rnncli.errors import RunDirError
from rnncli.runs.arrays import Arrays
from rnncli.runs.checkpoints import MAX_ARRAYS

SIZE_SLACK = 64 * 2**20
"""Bytes that every file of arrays may have beyond its arrays."""


def max_checkpoint_bytes(config: Config, task: Task) -> int:
    """Return the most bytes that a checkpoint's largest file of arrays may have; custom cells may have any number."""
    model, sizes = config.model, task.sizes
    parameters = model.max_parameters(sizes.source_symbols + sizes.target_symbols + (sizes.features or 0))
    states = model.max_states()
    if parameters is None or states is None:
        return MAX_ARRAYS
    optimizer = 4 * parameters  # two moments and an average, or the parameters, and numbers that are few
    return 4 * (optimizer + config.training.batch_size * states) + SIZE_SLACK


def check_size(config: Config, task: Task, weights: Arrays, place: str) -> None:
    """Refuse weights that are too few for a config, before a model of the config's size takes memory.

    Raises:
        RunDirError: There are too few.
    """
    count = sum(array.size for array in weights.values())
    least = config.model.min_parameters(task.sizes.source_symbols, task.sizes.target_symbols)
    if count < least:
        raise RunDirError(
            f"{place}: the weights are not those of this config: {count:,} numbers, not {least:,} or more"
        )
