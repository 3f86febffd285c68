"""The one way to open a writer of states."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from rnncli.errors import InputError, explain_os_errors
from rnncli.states.batch import Spec, check_spec
from rnncli.states.formats import FORMATS, format_of, load_class
from rnncli.states.staging import check_place, replacing
from rnncli.states.writer import Plan, StateWriter


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
    if not Path(path).name.endswith(FORMATS[name].required_extension):
        raise InputError(f"{path}: {name} reads only names that end in {FORMATS[name].required_extension}")
    check_place(Path(path), FORMATS[name].is_directory, overwrite)
    return name


def check_option_output(option: str, path: Path, names: Sequence[str], overwrite: bool) -> None:
    """Refuse an option's output that cannot be written, or whose extension is none of some formats'.

    Args:
        option: The option, for messages.
        path: Where the output is to be.
        names: The formats that the option writes.
        overwrite: Whether an earlier export may be replaced.

    Raises:
        InputError: Another extension, something is there, or the place is none.
    """
    extensions = [extension for name in names for extension in FORMATS[name].extensions]
    if path.suffix.lower() not in extensions:
        raise InputError(f"{path}: {option} writes {' or '.join(extensions)} files", "change the file extension")
    check_output(path, overwrite=overwrite)


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
    with replacing(plan.path, form.is_directory, overwrite) as output:
        with explain_os_errors(plan.path, "written"):
            writer = load_class(form.writer)(output, plan)
        try:
            yield writer
            writer.finish()
        finally:
            with contextlib.suppress(OSError, RuntimeError):  # what was to be said was raised before
                writer.close()
