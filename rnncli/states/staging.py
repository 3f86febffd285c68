"""Atomic exports: a file or a directory that is made in a temporary directory and then moved to its path.

The temporary directory, `.NAME-` and 16 hexadecimal digits beside the path, is locked while it is written to. One
that nobody has locked was left by a process that was killed; the next export to the same path removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from rnncli.errors import InputError, explain_os_errors
from rnncli.files import check_output_path, exchange, is_temporary_of, sync, temporary_path

MANIFEST = "manifest.json"
OUTPUT, OLD = "output", "old"
"""Names in the temporary directory: what is written, and what it replaces; formats may add others."""


def is_export_of_states(path: Path) -> bool:
    """Return True if a directory is an export of states."""
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and {"format", "rnncli", "arrays"} <= manifest.keys()


def check_export_path(
    path: Path,
    is_directory: bool,
    overwrite: bool,
    is_export: Callable[[Path], bool] = is_export_of_states,
    inputs: Iterable[str | Path] = (),
) -> None:
    """Refuse an export's path that exists or cannot be written.

    Args:
        path: The path.
        is_directory: Whether the export is a directory.
        overwrite: Whether an existing export may be replaced; a directory that is none is kept.
        is_export: Returns whether a directory is such an export.
        inputs: Files that the command reads, which are never replaced.

    Raises:
        InputError: The path exists, has another kind, is an input, or its directory does not exist.
    """
    check_output_path(path, overwrite, is_directory, inputs)
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
    with contextlib.suppress(OSError):  # writing is what may fail, and says so
        _remove_leftovers(path)
    check_export_path(path, is_directory, overwrite, is_export)
    with contextlib.ExitStack() as stack:
        with explain_os_errors(path, "written"):
            folder = _locked_folder(path, stack)
            output = folder / OUTPUT
            if is_directory:
                output.mkdir()
        yield output
        with explain_os_errors(path, "written"):
            _sync(output)
            check_export_path(path, is_directory, overwrite, is_export)  # another process may have made it meanwhile
            _move(output, path, folder / OLD)
            sync(path.parent)


def _locked_folder(path: Path, stack: contextlib.ExitStack) -> Path:
    """Return a new temporary directory, which is locked, and removed when the stack is closed."""
    while True:
        folder = temporary_path(path)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.mkdir(0o700)
        if stack.enter_context(_locked(folder, wait=True)):
            return folder
        # another export took it for a leftover before it was locked


@contextlib.contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Lock a directory; yield False if it is gone, or if it is locked already and `wait` is False."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # a file system without locks: nobody knows what is a leftover
            locked = wait
        else:
            locked = folder.exists()
        yield locked
    finally:
        os.close(descriptor)


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary directories of exports to a path that were killed.

    Raises:
        OSError: One cannot be looked at.
    """
    for folder in path.parent.iterdir():
        if is_temporary_of(folder, path) and folder.is_dir() and not folder.is_symlink():
            with _locked(folder, wait=False) as locked:
                if locked:
                    if (folder / OLD).exists() and not os.path.lexists(path):
                        (folder / OLD).rename(path)  # it was killed between two renames
                    shutil.rmtree(folder, ignore_errors=True)


def _move(output: Path, path: Path, old: Path) -> None:
    if not (output.is_dir() and path.exists()):
        output.replace(path)
        return
    if exchange(output, path):
        return
    path.rename(old)  # a directory that is not empty cannot be replaced in one call
    try:
        output.rename(path)
    except BaseException:
        old.rename(path)
        raise


def _sync(output: Path) -> None:
    for path in [*(output.rglob("*") if output.is_dir() else ()), output]:
        sync(path)
