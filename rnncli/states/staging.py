"""Outputs that are there whole or not at all: a file or a directory, made beside its place and moved there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rnncli.errors import InputError, explain_os_errors
from rnncli.files import sync

MANIFEST = "manifest.json"


def check_place(path: Path, directory: bool, overwrite: bool) -> None:
    """Refuse a place that must not be written to.

    Args:
        path: Where the output is to be.
        directory: Whether it is a directory.
        overwrite: Whether an earlier output may be replaced. A directory is, only if it is an export of states.

    Raises:
        InputError: Something is there, or the place is none.
    """
    if not path.name:
        raise InputError(f"{path}: not a name for an output")
    if not path.parent.is_dir():
        raise InputError(f"{path}: {path.parent} is not a directory")
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise InputError(f"{path}: exists already; nothing was written", "choose another path, or use --overwrite")
    if path.is_dir() != directory or not (path.is_dir() or path.is_file()):
        raise InputError(f"{path}: exists and is {'no' if directory else 'not a plain'} {_kind(directory)}")
    if directory and any(path.iterdir()) and not _is_export(path):
        raise InputError(f"{path}: not an export of states, so it is not overwritten")


def _kind(directory: bool) -> str:
    return "directory" if directory else "file"


def _is_export(path: Path) -> bool:
    try:
        manifest = json.loads((path / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(manifest, dict) and {"format", "rnncli", "arrays"} <= manifest.keys()


@contextlib.contextmanager
def replacing(path: Path, directory: bool, overwrite: bool) -> Iterator[Path]:
    """Yields a place to write to, in a folder of its own beside `path`; moves what is there to `path` at the end.

    After any exception nothing is left of it, and `path` is as it was.

    Raises:
        InputError: `path` must not be written to.
        RunFailedError: It cannot be written to.
    """
    check_place(path, directory, overwrite)
    with explain_os_errors(path, "written"):
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name[:100]}-", dir=path.parent))
    try:
        output = folder / "output"
        if directory:
            output.mkdir()
        yield output
        with explain_os_errors(path, "written"):
            _sync(output)
            check_place(path, directory, overwrite)  # it may have come meanwhile
            _move(output, path, folder / "old")
            sync(path.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(output: Path, path: Path, aside: Path) -> None:
    if not (output.is_dir() and path.exists()):
        output.replace(path)
        return
    path.rename(aside)  # no call replaces a directory that is not empty
    try:
        output.rename(path)
    except BaseException:
        aside.rename(path)
        raise


def _sync(output: Path) -> None:
    for file in sorted(output.rglob("*")) if output.is_dir() else [output]:
        with file.open("rb+") as opened:
            os.fsync(opened.fileno())
    if output.is_dir():
        sync(output)
