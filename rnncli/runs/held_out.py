"""The held-out and the test examples of a run, as its config names them and its manifest records them."""

from __future__ import annotations

from pathlib import Path

from rnncli.data.examples import Examples
from rnncli.data.task import HasTest
from rnncli.data.text_files import MissingFileError
from rnncli.errors import InputError, RunDirError
from rnncli.files import PIPE
from rnncli.runs.directory import SavedRun
from rnncli.runs.provenance import SPLITS, TEST, is_recorded

GIVE_FILE = "give a file with --input"


def recorded_examples(saved: SavedRun, test: bool = False) -> Examples:
    """Return the held-out examples of a run.

    Args:
        saved: The run.
        test: True for those of task.test in their place.

    Raises:
        InputError: There are no such examples, or they cannot be used.
        RunDirError: They have changed since training.
    """
    refuse_pipes(saved)
    task = saved.task
    try:
        if not test:
            examples, split = task.splits()[1], SPLITS[1]
        elif isinstance(task, HasTest):
            examples, split = task.test_split(), TEST
        else:
            raise InputError(f"--test: task {saved.config.task.type} has no task.test", GIVE_FILE)
    except MissingFileError as error:
        raise InputError(f"{saved.path}: the data of its config is gone: {error.message}", GIVE_FILE) from error
    refuse_other(saved.path, split, examples)
    return examples


def refuse_pipes(saved: SavedRun) -> None:
    """Refuse a config whose data was a pipe, which cannot be read again.

    Raises:
        InputError: It was.
    """
    named = saved.config.task.model_dump().values()
    names = [name for value in named for name in (value.values() if isinstance(value, dict) else [value])]
    if pipes := [name for name in names if isinstance(name, str) and PIPE.fullmatch(name)]:
        raise InputError(f"{saved.path}: its data was a pipe, {pipes[0]}", GIVE_FILE)


def refuse_other(run: Path, split: str, examples: Examples) -> None:
    """Refuse examples of the config that have changed since training.

    Raises:
        RunDirError: They have, or the run has no digest of them.
    """
    if not is_recorded(run, split, examples):
        what = f"{run}: the {split.replace('_', ' ')} data of its config has changed since training"
        raise RunDirError(what, GIVE_FILE)
