"""Files that are written whole or not at all, and on the disk when the call returns; plain files that are read."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import stat
from pathlib import Path
from typing import Any, BinaryIO, Literal

from rnncli.errors import InputError, reason_of

GZIP = b"\x1f\x8b"
"""What a gzip file begins with."""

MAX_JSON = 4 * 2**20
"""Bytes that are read at most: what is parsed takes up to twenty times as much memory."""

_TEMPORARY = re.compile(r"\..+-[0-9a-f]{16}")
PIPE = re.compile(r"/dev/stdin|/dev/fd/[0-9]+")  # the only pipes that a path names and that are read


def write_synced(path: Path, data: bytes, mode: Literal["wb", "ab"] = "wb", name: Path | None = None) -> None:
    """Write a file, or append to it, and wait until it is on the disk; errors call it by its `name`."""
    try:
        with path.open(mode) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # of a full disk it says no name
        raise OSError(error.errno, error.strerror, str(name or path)) from error


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a directory's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_beside(path: Path) -> Path:
    """A hidden name that nothing has, in the same directory; unlike `tempfile` it leaves the mode to the umask."""
    return path.with_name(f".{path.name}-{secrets.token_hex(8)}")


def remove_temporaries(folder: Path) -> None:
    """Remove what has such a name, which only a process that was killed left."""
    for path in folder.iterdir() if folder.exists() else ():
        if _TEMPORARY.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file whole or not at all."""
    temporary = temporary_beside(path)
    try:
        write_synced(temporary, data, name=path)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def check_free(path: Path, overwrite: bool) -> None:
    """Refuse to write over something, or where nothing can be written.

    Raises:
        InputError: There is something, or no directory for it.
    """
    if not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written: there is no directory {path.parent}")
    if path.is_dir():
        raise InputError(f"{path}: is a directory", "name a file in it")
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: exists and is not a plain file")
    if path.exists() and not overwrite:
        raise InputError(f"{path}: exists already; nothing was written", "choose another path, or use --overwrite")


def open_plain(path: Path, root: Path | None = None) -> BinaryIO:
    """Open a plain file for reading: no device, which may never end, and no FIFO, which may never begin.

    Args:
        path: The file.
        root: A directory above it that somebody else may have made: nothing below it may be a link.

    Raises:
        InputError: It is no plain file, or behind a link.
        OSError: It cannot be opened.
    """
    parts = [str(path)] if root is None else [str(root), *path.relative_to(root).parts]
    follow, directory, opened = 0, None, -1
    try:
        for number, part in enumerate(parts, start=1):
            kind = os.O_DIRECTORY if number < len(parts) else os.O_NONBLOCK
            opened = os.open(part, os.O_RDONLY | os.O_CLOEXEC | kind | follow, dir_fd=directory)
            if directory is not None:
                os.close(directory)
            follow, directory = os.O_NOFOLLOW, opened
    except OSError as error:
        if directory is not None:
            os.close(directory)
        if error.errno == errno.ENXIO or (follow and error.errno in (errno.ELOOP, errno.ENOTDIR)):  # a socket, a link
            hint = "" if root is None else "copy the run with files in place of links: cp -rL"
            raise InputError(f"{path}: not a plain file, or behind a link", hint) from error
        raise OSError(error.errno, error.strerror, str(path)) from error
    mode = os.fstat(opened).st_mode
    if not (stat.S_ISREG(mode) or (stat.S_ISFIFO(mode) and root is None and PIPE.fullmatch(str(path)))):
        os.close(opened)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise InputError(f"{path}: not a plain file")
    os.set_blocking(opened, True)
    return os.fdopen(opened, "rb")


def read_plain(path: Path, limit: int, root: Path | None = None) -> bytes:
    """What is in a plain file of at most so many bytes; see `open_plain`.

    Raises:
        InputError: It is no plain file, behind a link, or larger.
        OSError: It cannot be read.
    """
    with open_plain(path, root) as file:
        status = os.fstat(file.fileno())
        # a call with a number sets aside as much memory, so only a pipe, which tells no size, is read by one
        most = limit + 1 if stat.S_ISFIFO(status.st_mode) else -1
        if status.st_size <= limit and len(data := file.read(most)) <= limit:
            return data
    raise InputError(f"{path}: larger than {limit:,} bytes")


def read_json(path: Path, root: Path | None = None, limit: int = MAX_JSON) -> dict[str, Any]:
    """The JSON object in a plain file of at most so many bytes; see `open_plain`.

    Raises:
        InputError: It is missing, cannot be read, or is no JSON object.
    """
    try:
        value = json.loads(read_plain(path, limit, root).decode())
    except FileNotFoundError as error:
        hint = "" if root is None else f"rnncli verify {root} says what else is wrong with the run"
        raise InputError(f"{path}: missing", hint) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason_of(error)}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object")
    return value
