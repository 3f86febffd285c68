"""Predict from given initial states, or carry states from batch to batch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from rnncli.cli.input_lines import files_of
from rnncli.cli.options import show_message, start_predictor
from rnncli.errors import DataError
from rnncli.inference.initial_states import InitialStates

if TYPE_CHECKING:
    from rnncli.inference.backends import Request
    from rnncli.inference.decoding import States
    from rnncli.inference.prediction import Prediction, Predictor


def check_state_out(path: Path, overwrite: bool, input_path: str | None) -> None:
    """Check that final states can be written to a file, which is not that of the input.

    Raises:
        InputError: They cannot.
    """
    from rnncli.states.export import check_option_output
    from rnncli.states.formats import final_state_formats

    check_option_output("--state-out", path, final_state_formats(), overwrite, files_of(input_path))


def predict_from_states(
    request: Request,
    backend: str,
    start: InitialStates,
    out: tuple[Path | None, bool],
    source: tuple[str, Iterable[str]],
    show: Callable[[Prediction], str],
    quiet: bool,
) -> None:
    """Print predictions, batch by batch, and write the states of every row at the end.

    Args:
        request: The run.
        backend: The backend.
        start: The initial states.
        out: The file for the final states or None, and whether to replace an existing one.
        source: The name and the lines of the input.
        show: Returns a prediction as a line of output.
        quiet: Do not print the initial states' origin.

    Raises:
        InputError: The states do not fit.
        DataError: A line is invalid.
    """
    from rnncli.cli.unknown_symbols import UnknownSymbolNotes
    from rnncli.runs.provenance import describe
    from rnncli.states.final_states import write_final_states

    path, overwrite = out
    run = start_predictor(request, backend, quiet)
    name, lines = source
    states: States | None = None
    unknown = UnknownSymbolNotes(request.saved.task, name, quiet)
    for predictions, after in _predict(run, start, name, lines, quiet):
        states = after
        for prediction in predictions:
            unknown.tell(prediction)
        sys.stdout.writelines(show(prediction) + "\n" for prediction in predictions)
        sys.stdout.flush()
    unknown.tell_total()
    if path is not None:
        if states is None:
            raise DataError(f"{name}: no lines, so no states to write")
        manifest = describe(request.saved, run.kernels, "free-running")
        write_final_states(path, states, manifest, overwrite)


def _predict(
    run: Predictor, start: InitialStates, name: str, lines: Iterable[str], quiet: bool
) -> Iterator[tuple[list[Prediction], States]]:
    """Yield predictions and the states after them; of a model that is not stateful, of all lines at once."""
    rest = iter(lines)
    first = list(islice(rest, start.batch_rows))
    if not first:
        return
    states = start.load(run.decoder.state_spec, len(first))
    if start.name and not quiet:
        show_message(start.describe(run.is_autoregressive))
    if start.batch_rows is None or states is None:
        yield run.predict_from(first, name, 1, states)
    else:
        yield from run.predict_carrying(chain(first, rest), name, states)
