"""The formats that states are exported in, and the one way to open a writer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rnncli.errors import InputError, explain_os_errors
from rnncli.states.batch import Spec, check_spec
from rnncli.states.hdf5 import Hdf5Writer
from rnncli.states.lstmvis import LstmvisWriter
from rnncli.states.neurox import NeuroxWriter
from rnncli.states.npz import NpzWriter
from rnncli.states.projector import ProjectorWriter
from rnncli.states.safetensors_file import SafetensorsWriter
from rnncli.states.staging import check_place, replacing
from rnncli.states.writer import Plan, StateWriter


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        writer: Makes the writer, from a place to write to.
        what: One line about it.
        endings: The endings of names that mean it.
        must_end: The ending without which the tool does not read it.
        directory: Whether it is a directory of files.
    """

    writer: Callable[[Path, Plan], StateWriter]
    what: str
    endings: tuple[str, ...] = ()
    must_end: str = ""
    directory: bool = False


FORMATS: dict[str, Format] = {
    "npz": Format(NpzWriter, "NumPy's arrays, uncompressed", (".npz",)),
    "hdf5": Format(Hdf5Writer, "HDF5, written as it comes, for any number of examples", (".h5", ".hdf5")),
    "safetensors": Format(SafetensorsWriter, "arrays of safetensors, text as JSON", (".safetensors",)),
    "projector": Format(ProjectorWriter, "a directory for TensorBoard's projector", directory=True),
    "lstmvis": Format(LstmvisWriter, "a directory for LSTMVis", directory=True),
    "neurox": Format(NeuroxWriter, "HDF5 for NeuroX", must_end=".hdf5"),
}


def format_of(path: str | Path, name: str | None = None) -> str:
    """The format by its name, or else by the ending of the path.

    Raises:
        InputError: There is no such format, or the ending means none.
    """
    known = ", ".join(
        f"{key} ({', '.join(value.endings)})" if value.endings else key for key, value in FORMATS.items()
    )
    if name is not None:
        if name not in FORMATS:
            raise InputError(f"unknown format of states {name!r}", f"known are {known}")
        return name
    for key, value in FORMATS.items():
        if Path(path).suffix.lower() in value.endings:
            return key
    raise InputError(f"{path}: its ending tells no format of states", f"choose one with --format: {known}")


def check_output(path: str | Path, name: str | None = None, overwrite: bool = False) -> str:
    """Refuse an output that cannot be written, before any work; returns the format's name.

    Args:
        path: Where the output is to be.
        name: The format; None tells it by the path's ending.
        overwrite: Whether an earlier export may be replaced.

    Raises:
        InputError: The format is unknown, something is there, or the place is none.
    """
    name = format_of(path, name)
    if not Path(path).name.endswith(FORMATS[name].must_end):
        raise InputError(f"{path}: {name} reads only names that end in {FORMATS[name].must_end}")
    check_place(Path(path), FORMATS[name].directory, overwrite)
    return name


def open_writer(
    path: str | Path,
    format: str | None,  # noqa: A002 (the option's name)
    manifest: Mapping[str, Any],
    spec: Spec,
    dtype: Any = "float32",
    *,
    overwrite: bool = False,
    embeddings: Sequence[str] | None = None,
) -> AbstractContextManager[StateWriter]:
    """A writer of states, as a context: batches go to its `write`.

    The output is at its place, whole, when the context ends; after an exception nothing is left of it.

    Args:
        path: Where the output is to be, a file or a directory as the format has it.
        format: The format; None tells it by the path's ending.
        manifest: What is to be known of the run: its digests, config, kernel, decoding mode; JSON values.
        spec: The shape of each array without the examples: [steps, units] or, of final states, [units].
        dtype: `float32` or `float16`.
        overwrite: Whether an earlier export may be replaced.
        embeddings: The final states that the projector is to show; None is the final h of the last encoder layer.

    Raises:
        InputError: At once where the format is unknown, something is there, or the place is none; on entering where
            the format cannot hold any of these arrays.
        RunFailedError: On entering or leaving, where the output cannot be written.
        ValueError: The spec, the dtype or the manifest is none.
    """
    name = check_output(path, format, overwrite)
    check_spec(spec)
    json.dumps(manifest, allow_nan=False)
    if (dtype := np.dtype(dtype)) not in (np.float32, np.float16):
        raise ValueError(f"states are float32 or float16, not {dtype}")
    return _writing(Plan(Path(path), name, manifest, spec, dtype, embeddings), overwrite)


@contextlib.contextmanager
def _writing(plan: Plan, overwrite: bool) -> Iterator[StateWriter]:
    if not plan.spec:
        raise InputError(f"{plan.path}: no states were chosen; nothing was written")
    form = FORMATS[plan.format]
    with replacing(plan.path, form.directory, overwrite) as output:
        with explain_os_errors(plan.path, "written"):
            writer = form.writer(output, plan)
        try:
            yield writer
            writer.finish()
        finally:
            with contextlib.suppress(OSError, RuntimeError):  # what was to be said was raised before
                writer.close()
