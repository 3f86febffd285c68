"""Lines of a file or of stdin."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rnncli.errors import InputError

STDIN = "<stdin>"
TEXT: dict[str, Any] = {"encoding": "utf-8-sig", "errors": "replace", "newline": "\n"}


@contextmanager
def open_lines(path: str) -> Iterator[tuple[str, Iterator[str]]]:
    """The name for messages and the lines, without their ends, of a UTF-8 file; `-` is stdin.

    A byte order mark is passed over; bytes that are not UTF-8 become U+FFFD, which no vocabulary has.

    Raises:
        InputError: The file cannot be opened.
    """
    if path == "-":
        stream = io.TextIOWrapper(sys.stdin.buffer, **TEXT)
        try:
            yield STDIN, _without_ends(stream)
        finally:
            stream.detach()
        return
    try:
        file = open(path, **TEXT)  # noqa: SIM115, PTH123 (closed below; errors while it is read are others)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    with file:
        yield path, _without_ends(file)


def _without_ends(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line.removesuffix("\n").removesuffix("\r")
