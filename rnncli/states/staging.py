"""Atomic exports: a file or a directory that is made in a temporary directory and then moved to its path."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from rnncli.errors import InputError, explain_os_errors
from rnncli.files import check_output_path, sync

MANIFEST = "manifest.json"


def is_export_of_states(path: Path) -> bool:
    """Return whether a directory is an export of states."""
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and {"format", "rnncli", "arrays"} <= manifest.keys()


def check_export_path(
    path: Path, is_directory: bool, overwrite: bool, is_export: Callable[[Path], bool] = is_export_of_states
) -> None:
    """Refuse an export's path that exists or cannot be written.

    Args:
        path: The path.
        is_directory: Whether the export is a directory.
        overwrite: Whether an existing export may be replaced; a directory that is none is kept.
        is_export: Returns whether a directory is such an export.

    Raises:
        InputError: The path exists, has another kind, or its directory does not exist.
    """
    check_output_path(path, overwrite, is_directory)
    if path.is_dir() and any(path.iterdir()) and not is_export(path):
        raise InputError(f"{path}: not an export of this kind, so it is not overwritten")


@contextlib.contextmanager
def atomic_output(
    path: Path, is_directory: bool, overwrite: bool, is_export: Callable[[Path], bool] = is_export_of_states
) -> Iterator[Path]:
    """Yield a temporary path to write to, which moves to `path` at the end; after an exception, `path` is as before.

    Args:
        path: As for `check_export_path`, and so are the others.
        is_directory: Whether the export is a directory.
        overwrite: Whether an existing export may be replaced.
        is_export: Returns whether a directory is such an export.

    Raises:
        InputError: `path` must not be written.
        RunFailedError: `path` cannot be written.
    """
    check_export_path(path, is_directory, overwrite, is_export)
    with explain_os_errors(path, "written"):
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name[:100]}-", dir=path.parent))
    try:
        output = folder / "output"
        if is_directory:
            output.mkdir()
        yield output
        with explain_os_errors(path, "written"):
            _sync(output)
            check_export_path(path, is_directory, overwrite, is_export)  # another process may have made it meanwhile
            _move(output, path, folder / "old")
            sync(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(output: Path, path: Path, old: Path) -> None:
    if not (output.is_dir() and path.exists()):
        output.replace(path)
        return
    path.rename(old)  # a directory that is not empty cannot be replaced in one call
    try:
        output.rename(path)
    except BaseException:
        old.rename(path)
        raise


def _sync(output: Path) -> None:
    for file in sorted(output.rglob("*")) if output.is_dir() else [output]:
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())
    if output.is_dir():
        sync(output)
