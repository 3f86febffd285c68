"""Text files that a config names."""

from __future__ import annotations

import gzip
import io
import zlib
from glob import glob, iglob
from itertools import islice
from pathlib import Path

from rnncli.errors import DataError, InputError, explain_os_errors
from rnncli.files import GZIP, read_plain

RELATIVE_PATHS = "a relative path in a config starts from the config's directory, elsewhere from the current one"

MAX_TEXT = 4 * 2**30
"""Bytes of a text; all of it is held in memory."""
_SHRINKS, _SMALL = 100, 64 * 2**20
MOST_FOLDERS = 100_000
"""That a glob goes through at most."""


def most_unpacked(packed: int) -> int:
    """How many bytes so many may be once they are unpacked: only bombs shrink to less than a hundredth."""
    return min(MAX_TEXT, max(_SMALL, _SHRINKS * packed))


def read_text(path: str) -> str:
    """The text of a file, with plain line ends and without a byte order mark; a gzip file is unpacked.

    Args:
        path: The file, UTF-8, no FIFO or device; a relative path starts from the current directory.

    Raises:
        InputError: The file cannot be read.
        DataError: It is not UTF-8, or has a NUL byte, which text has none of; says in which line.
    """
    with explain_os_errors(path, "read", InputError, also=(ValueError, MemoryError)):
        try:
            data = read_plain(Path(path), MAX_TEXT)
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file", RELATIVE_PATHS) from error
    if data.startswith(GZIP) or path.endswith(".gz"):
        data = _unpacked(data, path)
    if (nul := data.find(0)) >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise DataError(f"{path}:{line}: a NUL byte; this is no UTF-8 text", "save the file as UTF-8")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        text = error.object  # without the byte order mark
        line = text.count(b"\n", 0, error.start) + 1
        column = error.start - text.rfind(b"\n", 0, error.start)
        what = f"not UTF-8 text: byte 0x{text[error.start]:02x} at byte {column} of the line"
        raise DataError(f"{path}:{line}: {what}", "save the file as UTF-8") from error


def _unpacked(data: bytes, path: str) -> bytes:
    most = most_unpacked(len(data))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            text = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not a whole gzip file: {error}") from error
    if len(text) > most:
        raise InputError(
            f"{path}: {len(data):,} bytes that unpack to more than {most:,}", "if it is no bomb, unpack it first"
        )
    return text


def matching_files(pattern: str) -> list[str]:
    """The files that a path names, more than one where it is a glob such as `data/*.tsv`, in sorted order.

    Raises:
        InputError: No file matches a glob, or it would go through half the disk.
    """
    with explain_os_errors(pattern, "read", InputError, also=(ValueError,)):
        return _matching(pattern)


def _matching(pattern: str) -> list[str]:
    if not set(pattern) & set("*?[") or Path(pattern).exists():
        return [pattern]
    for part in (*reversed(Path(pattern).parents), pattern):  # each folder that is looked into has the next ones
        folders = iglob(f"{part}/", recursive=True)  # noqa: PTH207 (one by one)
        if next(islice(folders, MOST_FOLDERS, None), None) is not None:
            raise InputError(f"{pattern}: goes through more than {MOST_FOLDERS:,} folders", "name the files' folder")
    found = sorted(path for path in glob(pattern, recursive=True) if Path(path).is_file())  # noqa: PTH207 (** too)
    if not found:
        raise InputError(f"{pattern}: no file matches", RELATIVE_PATHS)
    return found
