"""Lines of a file or of stdin."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rnncli.errors import InputError

STDIN, ARGUMENT = "<stdin>", "argument"
TEXT: dict[str, Any] = {"encoding": "utf-8-sig", "errors": "replace", "newline": "\n"}


@contextmanager
def open_lines(path: str, given: Sequence[str] = ()) -> Iterator[tuple[str, Iterable[str]]]:
    """Lines, without their ends, and the name that messages put before `:` and a line's number.

    Args:
        path: A UTF-8 file; `-` is stdin.
        given: Lines given as arguments; where there are any, they are taken.

    A byte order mark is passed over; bytes that are not UTF-8 become U+FFFD, which no vocabulary has.

    Raises:
        InputError: The file cannot be opened.
    """
    if given:
        yield ARGUMENT, given
        return
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
