"""Lines of a file or of stdin."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from rnncli.errors import InputError

STDIN = "<stdin>"


@contextmanager
def open_lines(path: str) -> Iterator[tuple[str, Iterator[str]]]:
    """The name for messages and the lines, without their ends, of a UTF-8 file; `-` is stdin.

    A byte order mark is passed over; bytes that are not UTF-8 become U+FFFD, which no vocabulary has.

    Raises:
        InputError: The file cannot be opened.
    """
    if path == "-":
        yield STDIN, text_lines(sys.stdin.buffer)
        return
    try:
        file = open(path, "rb")  # noqa: SIM115, PTH123 (closed below, errors of reading are others)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        yield path, text_lines(file)


def text_lines(file: BinaryIO) -> Iterator[str]:
    """Lines as they come, without their ends, of either kind."""
    for line in io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="\n"):
        yield line.removesuffix("\n").removesuffix("\r")
