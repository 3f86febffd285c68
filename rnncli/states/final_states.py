"""Files of final states alone, which prediction writes at its end and starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.config.named_objects import import_named
from rnncli.errors import InputError, RunFailedError, explain_os_errors
from rnncli.states.batch import Spec, check_spec
from rnncli.states.formats import FORMATS, final_states_format
from rnncli.states.named_arrays import ArraySpec, check_arrays, check_finite
from rnncli.states.reader import StateFile
from rnncli.states.staging import atomic_output
from rnncli.states.writer import ExportPlan, format_manifest
from rnncli.text import shorten

IDENTITY = {
    "cell": "cell",
    "weights_digest": "weights digest",
    "vocabulary_digest": "vocabulary digest",
}


def write_final_states(
    path: str | Path,
    states: Mapping[str, NDArray[Any]],
    manifest: Mapping[str, Any],
    overwrite: bool = False,
    name: str | None = None,
) -> None:
    """Write final states alone, atomically.

    Args:
        path: The file.
        states: Float [rows, *shape] by name, as in the state dictionary (`decoder/0/forward/h`); written as float32.
        manifest: Description of the run, with `cell`, `weights_digest` and `vocabulary_digest` at least.
        overwrite: Whether an existing file may be replaced.
        name: The format, of `final_state_formats`; None tells it by the file extension.

    Raises:
        InputError: The path exists or cannot be written, or its extension is of no format.
        RunFailedError: A state is not finite, or the file cannot be written.
        ValueError: The states have different numbers of rows.
    """
    path = Path(path)
    arrays = {name: np.asarray(value, np.float32, order="C") for name, value in states.items()}
    spec = {name: array.shape[1:] for name, array in arrays.items()}
    rows = {len(array) for array in arrays.values()}
    check_spec(spec)
    if len(rows) != 1:
        raise ValueError("the states have different numbers of rows")
    check_finite(arrays, str(path), RunFailedError)
    name = name or final_states_format(path)
    text = format_manifest(ExportPlan(path, name, manifest, spec, np.dtype(np.float32)), rows.pop(), spec)
    write = import_named(FORMATS[name].states_writer)
    with (
        atomic_output(path, False, overwrite) as output,
        explain_os_errors(path, "written", also=(RuntimeError,)),  # which HDF5 raises when the disk is full
    ):
        write(output, arrays, text)


def check_states(
    file: StateFile,
    spec: Spec,
    identity: Mapping[str, Any],
    allow_other_weights: bool = False,
    rows: int | None = None,
) -> None:
    """Refuse final states that a model cannot start from.

    Args:
        file: The file.
        spec: Shape of each state of the model, without the examples.
        identity: Values of the model that the manifest must have too, by the keys of `IDENTITY`.
        allow_other_weights: Whether the weights digest may differ.
        rows: Required number of rows; None is any.

    Raises:
        InputError: The states are of another model, or have other shapes; names the first difference.
    """
    check_arrays(
        file.final, {name: ArraySpec((file.rows, *shape)) for name, shape in spec.items()}, f"{file.path}: states"
    )
    for key, what in IDENTITY.items():
        if key in identity and not (allow_other_weights and key == "weights_digest"):
            _check_identity(file, key, what, identity[key])
    if rows is not None and file.rows != rows:
        raise InputError(f"{file.path}: {file.rows} rows of states for {rows} rows of input")


def _check_identity(file: StateFile, key: str, what: str, expected: str) -> None:
    if key not in file.manifest:
        raise InputError(f"{file.path}: has no {what} in its manifest")
    found = file.manifest[key]
    if found != expected:
        hint = "--allow-other-weights uses another run's states" if key == "weights_digest" else ""
        raise InputError(
            f"{file.path}: states of another {what}: {shorten(str(found), 15)}, not {shorten(expected, 15)}", hint
        )
