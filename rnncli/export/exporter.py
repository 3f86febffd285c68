"""Write a trained run in a format of other runtimes, whole or not at all."""

from __future__ import annotations

import contextlib
from importlib.util import find_spec
from pathlib import Path

from rnncli.config.named_objects import import_named
from rnncli.errors import InputError, RunDirError, explain_os_errors, install_command
from rnncli.export.formats import EXPORTS, ExportFormat, Writer
from rnncli.runs.directory import SavedRun
from rnncli.runs.export_record import own_export
from rnncli.states.staging import atomic_output, check_export_path

FILES = (".onnx", *(entry.extension for entry in EXPORTS.values() if entry.extension))
"""Extensions of files, which the name of a folder must not have."""

FLOAT32 = "float32"


def require_packages(form: str) -> None:
    """Refuse a format whose packages are not installed.

    Raises:
        InputError: A package is missing.
    """
    entry = EXPORTS[form]
    if missing := [package for package in entry.packages if find_spec(package) is None]:
        hint = install_command(f"rnncli[{entry.extra}]")
        raise InputError(f"export format {form}: the package {missing[0]} is not installed", hint)


def check_export(form: str, path: Path, overwrite: bool, weights: str = FLOAT32) -> None:
    """Refuse an export that cannot be written, before any work.

    Args:
        form: A key of `EXPORTS`.
        path: The path of the export.
        overwrite: True if an existing export in this format may be replaced.
        weights: The type that weights are stored in.

    Raises:
        InputError: A package is missing, or the path exists or cannot be written.
    """
    require_packages(form)
    entry = EXPORTS[form]
    if weights not in entry.weights:
        able = ", ".join(name for name, each in EXPORTS.items() if weights in each.weights)
        raise InputError(f"format {form} stores weights as float32, not {weights}", f"{weights} is for {able}")
    if path.suffix != entry.extension and not entry.is_directory:
        raise InputError(f"{path}: format {form} is a file {entry.extension}", f"name it {path}{entry.extension}")
    if entry.is_directory and path.suffix in FILES and not path.exists():
        hint = f"name a folder: {path.with_suffix('')}"
        raise InputError(f"{path}: format {form} is a folder of files, of which {entry.marker} is one", hint)
    check_export_path(path, entry.is_directory, overwrite, entry.is_export)


def refuse_model(saved: SavedRun, form: str) -> None:
    """Refuse a model that no format or only onnx has a place for.

    Raises:
        InputError: The model has monotonic attention; or for other formats than onnx it copies from its source, reads
            two texts, or has an encoder of features.
    """
    if getattr(saved.config.model, "attention", "none") == "monotonic":
        raise InputError(
            f"{saved.path}: format {form} cannot hold model.attention: monotonic",
            "predict with the run itself, or train with another attention",
        )
    if form == "onnx":
        return
    sizes = saved.task.sizes
    reading = {
        "model.copy": saved.config.model.copies_source,
        "task.texts: 2": sizes.first_symbols,
        "task.features: encoder": sizes.tags,
    }
    for key, found in reading.items():
        if found:
            raise InputError(
                f"{saved.path}: format {form} cannot hold {key}", "use --format onnx, or predict with the run itself"
            )


def export(saved: SavedRun, form: str, path: Path, overwrite: bool = False, weights: str = FLOAT32) -> None:
    """Write a run in a format.

    Args:
        saved: The run.
        form: A key of `EXPORTS`.
        path: The path of the export.
        overwrite: True if an existing export in this format may be replaced.
        weights: The type that weights are stored in.

    Raises:
        InputError: The format cannot hold the model, or the path must not be written.
        RunFailedError: The path cannot be written.
    """
    check_export(form, path, overwrite, weights)
    refuse_model(saved, form)
    entry: ExportFormat = EXPORTS[form]
    more = [weights] if len(entry.weights) > 1 else []
    write: Writer = import_named(entry.writer)
    with (
        atomic_output(path, entry.is_directory, overwrite, entry.is_export) as output,
        explain_os_errors(path, "written"),
    ):
        write(saved, output, *more)


def export_into_run(saved: SavedRun, form: str) -> Path:
    """Write a run in a format into its own directory, in place of an earlier export there, and return the path.

    Raises:
        InputError: The format cannot hold the model, a package is missing, or a link leads out of the run.
        RunFailedError: It cannot be written.
    """
    path = own_export(saved.path, form)
    for place in (path.parent, path):
        if place.is_symlink():
            raise RunDirError(
                f"{place}: a link; nothing is written into a run with links", "name another place with --output"
            )
    require_packages(form)
    with explain_os_errors(path, "written"):
        path.parent.mkdir(exist_ok=True)
    try:
        export(saved, form, path, overwrite=True)
    finally:
        with contextlib.suppress(OSError):  # of a folder that is not empty
            path.parent.rmdir()
    return path
