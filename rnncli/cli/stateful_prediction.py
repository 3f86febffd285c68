"""Prediction that starts from given states, or carries them from batch to batch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnncli.cli.options import start_run
from rnncli.errors import DataError, InputError

if TYPE_CHECKING:
    from rnncli.decoder import States
    from rnncli.prediction import Prediction
    from rnncli.rundir import SavedRun
    from rnncli.states import StateFile


class Start:
    """Where prediction starts, read and checked as far as that needs no model.

    Args:
        saved: The run.
        source: A file, `zeros`, `carried`, or None: the states that training left, where it left any; else the model
            starts by itself.
        row: Every row starts from this row of the states; None is each from its own.
        allow_other_weights: Whether the states may come from another run of equal shape.

    Raises:
        InputError: There are no such states.
    """

    def __init__(self, saved: SavedRun, source: str | None, row: int | None, allow_other_weights: bool) -> None:
        from rnncli.states import read_states

        self.saved, self.row, self.allow_other_weights = saved, row, allow_other_weights
        self.name = source or ("carried" if saved.carried else "")
        if self.name == "carried" and not saved.carried:
            raise InputError(f"{saved.path}: --state-in carried: the model is not stateful, training left no states")
        self.file: StateFile | None = None
        if self.name not in ("", "zeros", "carried"):
            self.file = read_states(self.name)
        if row is not None and source is None and not saved.carried:
            raise InputError("--state-row goes with --state-in")

    def shown(self, decoder_only: bool) -> str:
        """What people are told of it; of a model whose decoder starts here, that nothing is read."""
        attends = getattr(self.saved.config.model, "attention", "none") != "none"
        read = "only attention reads the sources" if attends else "sources are not read"
        unread = f"; the decoder goes on from there, and {read}" if decoder_only else ""
        return f"starting from {START_NAMES.get(self.name, f'the states in {self.name}')}{unread}"

    def states(self, spec: dict[str, tuple[int, ...]], rows: int) -> States | None:
        """The states of the first batch, float32 [rows, units] by name; None is as the model starts by itself.

        Raises:
            InputError: They do not fit the model or the rows; says what differs.
        """
        from rnncli.states import check_states

        if not self.name:
            return None
        found = self.saved.carried
        if self.file is not None:
            wanted = None if self.row is not None else rows
            check_states(self.file, spec, self.saved.identity(), self.allow_other_weights, wanted)
            found = self.file.final
        elif self.name == "zeros":
            return zeros(spec, rows)
        if self.row is None:
            return dict(found)
        count = len(next(iter(found.values())))
        if self.row >= count:
            raise InputError(f"--state-row {self.row}: {self.name} has rows 0 to {count - 1}")
        return {name: value[self.row : self.row + 1].repeat(rows, axis=0) for name, value in found.items()}


def zeros(spec: dict[str, tuple[int, ...]], rows: int) -> States:
    """States of nothing read."""
    import numpy as np

    return {name: np.zeros((rows, *shape), np.float32) for name, shape in spec.items()}


def answer_from_states(
    saved: SavedRun,
    start: Start,
    out: tuple[Path | None, bool],
    source: tuple[str, Iterable[str]],
    show: Callable[[Prediction], str],
    quiet: bool,
) -> None:
    """Print predictions, batch by batch, and write the states that the last one ends with.

    Args:
        saved: The run.
        start: The states to start from.
        out: Where the last states go, None is nowhere; and whether a file there may be replaced.
        source: The name and the lines of the input.
        show: A prediction as a line of output.
        quiet: Say nothing of the start.

    Raises:
        InputError: The states do not fit.
        DataError: A line is bad, or lines are left over that do not make a batch.
    """
    from rnncli.cli.export_states import describe, kernels_of
    from rnncli.states import check_output, write_final_states

    path, overwrite = out
    if path is not None and check_output(path, overwrite=overwrite) != "safetensors":
        raise InputError(f"{path}: --state-out writes a .safetensors file")
    run = start_run(saved)
    name, lines = source
    size = len(next(iter(saved.carried.values()))) if saved.carried else None
    states: Any = None
    done = 0
    for batch in batches(lines, size):
        if size is not None and len(batch) != size:
            raise DataError(
                f"{name}:{done + 1}: {len(batch)} line{'s' * (len(batch) > 1)} left, but a stateful model takes "
                f"batches of {size}",
                f"give a multiple of {size} lines",
            )
        if done == 0:
            states = start.states(run.model.state_spec, len(batch))
            if start.name and not quiet:
                click.echo(start.shown(run.reads_before_it_writes), err=True)
        predictions, states = run.predict_from(batch, name, done + 1, states)
        done += len(batch)
        sys.stdout.writelines(show(prediction) + "\n" for prediction in predictions)
        sys.stdout.flush()
    if path is not None:
        if states is None:
            raise DataError(f"{name}: no lines, so there are no states to write")
        manifest = describe(saved, kernels_of(run.model), "free-running")
        write_final_states(path, states, manifest, overwrite)


START_NAMES = {"carried": "the states that training left", "zeros": "zeros"}


def batches(lines: Iterable[str], size: int | None) -> Iterator[list[str]]:
    """Lists of so many lines, the last perhaps shorter; None is one list of all."""
    rest = iter(lines)
    while batch := list(islice(rest, size)):
        yield batch
