"""Final states alone: a small file that prediction ends with and starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from rnncli.errors import InputError, RunFailedError, explain_os_errors
from rnncli.files import write_synced
from rnncli.states.batch import Spec, check_spec
from rnncli.states.named_arrays import ArraySpec, check_arrays, check_finite
from rnncli.states.reader import StateFile
from rnncli.states.staging import replacing
from rnncli.states.writer import Plan, describe
from rnncli.text import shorten

IDENTITY = {
    "cell": "cell",
    "weights_digest": "weights digest",
    "vocabulary_digest": "vocabulary digest",
}


def write_final_states(
    path: str | Path, states: Mapping[str, NDArray[Any]], manifest: Mapping[str, Any], overwrite: bool = False
) -> None:
    """Write final states as a safetensors file, whole or not at all.

    Args:
        path: Where.
        states: Float [rows, *shape] by name, as in the state dictionary (`decoder/0/forward/h`); written as float32.
        manifest: What is to be known of the run: `cell`, `weights_digest`, `vocabulary_digest` at least.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        InputError: Something is there, or the place is none.
        RunFailedError: A state is not finite, or the file cannot be written.
        ValueError: The states do not fit together.
    """
    path = Path(path)
    arrays = {name: np.asarray(value, np.float32, order="C") for name, value in states.items()}
    spec = {name: array.shape[1:] for name, array in arrays.items()}
    rows = {len(array) for array in arrays.values()}
    check_spec(spec)
    if len(rows) != 1:
        raise ValueError("not final states of some examples")
    check_finite(arrays, str(path), RunFailedError)
    plan = Plan(path, "safetensors", manifest, spec, np.dtype(np.float32))
    data = save(arrays, {"manifest": describe(plan, rows.pop(), spec)})
    with replacing(path, False, overwrite) as output, explain_os_errors(path, "written"):
        write_synced(output, data)


def check_states(
    file: StateFile,
    spec: Spec,
    identity: Mapping[str, Any],
    allow_other_weights: bool = False,
    rows: int | None = None,
) -> None:
    """Refuse final states that a model cannot start from.

    Args:
        file: As read.
        spec: The states that the model has: name to shape, without the examples.
        identity: What the file's manifest must say alike, by the keys of `IDENTITY`.
        allow_other_weights: Whether the weights digest may differ.
        rows: How many rows the batch has; None is any.

    Raises:
        InputError: Says which leaf differs, and how.
    """
    check_arrays(
        file.final, {name: ArraySpec((file.rows, *shape)) for name, shape in spec.items()}, f"{file.path}: states"
    )
    for key, what in IDENTITY.items():
        if key in identity and not (allow_other_weights and key == "weights_digest"):
            _check_identity(file, key, what, identity[key])
    if rows is not None and file.rows != rows:
        raise InputError(f"{file.path}: {file.rows} rows of states for {rows} rows of input")


def _check_identity(file: StateFile, key: str, what: str, wanted: Any) -> None:
    if key not in file.manifest:
        raise InputError(f"{file.path}: does not say of which {what} its states are")
    found = file.manifest[key]
    if found != wanted:
        hint = "--allow-other-weights uses another run's states" if key == "weights_digest" else ""
        raise InputError(
            f"{file.path}: states of another {what}: {shorten(str(found), 15)}, not {shorten(str(wanted), 15)}", hint
        )
