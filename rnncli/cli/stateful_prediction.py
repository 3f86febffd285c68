"""Predict from given initial states, or carry states from batch to batch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnncli.cli.options import start_run
from rnncli.errors import DataError
from rnncli.inference.initial_states import InitialStates

if TYPE_CHECKING:
    from rnncli.inference.predictor import Prediction
    from rnncli.runs.directory import SavedRun


def predict_from_states(
    saved: SavedRun,
    start: InitialStates,
    out: tuple[Path | None, bool],
    source: tuple[str, Iterable[str]],
    show: Callable[[Prediction], str],
    quiet: bool,
) -> None:
    """Print predictions, batch by batch, and write the final states of the last batch.

    Args:
        saved: The run.
        start: The initial states.
        out: The file for the final states or None, and whether to replace an existing one.
        source: The name and the lines of the input.
        show: Returns a prediction as a line of output.
        quiet: Do not print the initial states' origin.

    Raises:
        InputError: The states do not fit.
        DataError: A line is invalid, or the last lines do not fill a batch.
    """
    from rnncli.runs.provenance import describe, kernels_of
    from rnncli.states.export import check_option_output
    from rnncli.states.final_states import write_final_states
    from rnncli.states.formats import FINAL_STATES_FORMAT

    path, overwrite = out
    if path is not None:
        check_option_output("--state-out", path, [FINAL_STATES_FORMAT], overwrite)
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
            states = start.load(run.model.state_spec, len(batch))
            if start.name and not quiet:
                click.echo(start.describe(run.is_autoregressive), err=True)
        predictions, states = run.predict_from(batch, name, done + 1, states)
        done += len(batch)
        sys.stdout.writelines(show(prediction) + "\n" for prediction in predictions)
        sys.stdout.flush()
    if path is not None:
        if states is None:
            raise DataError(f"{name}: no lines, so no states to write")
        manifest = describe(saved, kernels_of(run.model), "free-running")
        write_final_states(path, states, manifest, overwrite)


def batches(lines: Iterable[str], size: int | None) -> Iterator[list[str]]:
    """Yield lists of `size` lines, the last perhaps shorter; None yields one list of all."""
    rest = iter(lines)
    while batch := list(islice(rest, size)):
        yield batch
