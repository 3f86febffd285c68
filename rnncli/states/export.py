"""Opening writers of states: checks before any work, and atomic output."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from rnncli.config.named_objects import import_named
from rnncli.errors import InputError, explain_os_errors
from rnncli.states.batch import Spec, check_spec
from rnncli.states.formats import FORMATS, format_of
from rnncli.states.staging import atomic_output, check_export_path
from rnncli.states.writer import ExportPlan, StateWriter


def check_output(
    path: str | Path, name: str | None = None, overwrite: bool = False, inputs: Iterable[str | Path] = ()
) -> str:
    """Refuse an export that cannot be written, before any work; return the name of its format.

    Args:
        path: The path of the export.
        name: The format; None tells it by the file extension.
        overwrite: Whether an existing export may be replaced.
        inputs: Files that the command reads, which are never replaced.

    Raises:
        InputError: The format is unknown, or the path exists or cannot be written.
    """
    name = format_of(path, name)
    if not Path(path).name.endswith(FORMATS[name].required_extension):
        raise InputError(f"{path}: {name} reads only files that end in {FORMATS[name].required_extension}")
    check_export_path(Path(path), FORMATS[name].is_directory, overwrite, inputs=inputs)
    return name


def check_option_output(
    option: str, path: Path, names: Sequence[str], overwrite: bool, inputs: Iterable[str | Path] = ()
) -> None:
    """Refuse an option's output that cannot be written, or whose extension is none of some formats'.

    Args:
        option: The option, for messages.
        path: The path of the output.
        names: The formats that the option writes.
        overwrite: Whether an existing export may be replaced.
        inputs: Files that the command reads, which are never replaced.

    Raises:
        InputError: The extension is of no such format, or the path exists or cannot be written.
    """
    check_extension(option, path, names)
    try:
        check_output(path, overwrite=overwrite, inputs=inputs)
    except InputError as error:
        raise InputError(f"{option}: {error.message}", error.hint) from error


def check_extension(option: str, path: Path, names: Sequence[str]) -> None:
    """Refuse an output with the extension of none of some formats; the arguments are those of `check_option_output`.

    Raises:
        InputError: It has.
    """
    extensions = [extension for name in names for extension in FORMATS[name].extensions]
    if path.suffix.lower() not in extensions:
        raise InputError(f"{path}: {option} writes {' or '.join(extensions)} files", "change the file extension")


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
    """Return a context manager that yields a writer of states and writes atomically.

    The export is at its path, complete, when the context ends; after an exception nothing of it is left.

    Args:
        path: The path of the export, a file or a directory depending on the format.
        format: The format; None tells it by the file extension.
        manifest: Description of the run: digests, config, kernel, decoding mode; JSON values.
        spec: Shape of each array without the examples: [steps, units], or [units] for final states.
        dtype: `float32` or `float16`.
        overwrite: Whether an existing export may be replaced.
        embeddings: Final states that the projector shows; None is the final h of the last encoder layer.

    Raises:
        InputError: At once, if the format is unknown or the path exists or cannot be written; on entering, if the
            format cannot store any of these arrays.
        RunFailedError: On entering or leaving, if the export cannot be written.
        ValueError: The spec, the dtype or the manifest is invalid.
    """
    name = check_output(path, format, overwrite)
    check_spec(spec)
    json.dumps(manifest, allow_nan=False)
    if (dtype := np.dtype(dtype)) not in (np.float32, np.float16):
        raise ValueError(f"states are float32 or float16, not {dtype}")
    return _writing(ExportPlan(Path(path), name, manifest, spec, dtype, embeddings), overwrite)


@contextlib.contextmanager
def _writing(plan: ExportPlan, overwrite: bool) -> Iterator[StateWriter]:
    if not plan.spec:
        raise InputError(f"{plan.path}: no states were chosen; nothing was written")
    form = FORMATS[plan.format]
    with atomic_output(plan.path, form.is_directory, overwrite) as output:
        with explain_os_errors(plan.path, "written"):
            writer = import_named(form.writer)(output, plan)
        try:
            yield writer
            writer.finish()
        finally:
            with contextlib.suppress(OSError, RuntimeError):  # its cause was raised before
                writer.close()
