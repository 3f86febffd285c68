"""Text files that a config names."""

from __future__ import annotations

from pathlib import Path

from rnncli.errors import DataError, InputError


def read_text(path: str) -> str:
    """The text of a file, with plain line ends and without a byte order mark.

    Args:
        path: The file, UTF-8; a relative path starts from the current directory.

    Raises:
        InputError: The file cannot be read.
        DataError: It is not UTF-8; says in which line.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError as error:
        hint = f"a relative path starts from the current directory, {Path.cwd()}"
        raise InputError(f"{path}: no such file", hint) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: not UTF-8 text", "save the file as UTF-8") from error
