"""Lines of a file or of stdin."""

from __future__ import annotations

import codecs
import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import BinaryIO

import click

from rnncli.errors import InputError, explain_os_errors
from rnncli.files import GZIP

STDIN, ARGUMENT = "<stdin>", "argument"
CHUNK_BYTES = 65536
LONGEST_LINE = 1_000_000
"""A line is cut after so many characters: a file without line ends takes no more memory than one with them."""


@contextmanager
def open_lines(path: str | None, given: Sequence[str] = ()) -> Iterator[tuple[str, Iterable[str]]]:
    """Lines, without their ends, and the name that messages put before `:` and a line's number.

    Args:
        path: A UTF-8 file, which may be packed by gzip; `-` or None is stdin. A byte order mark is passed over, bytes
            that are not UTF-8 become lone surrogates, which `rnncli.tasks.check_text` finds.
        given: Lines given as arguments, in place of a file.

    Raises:
        click.UsageError: There are both.
        InputError: The file cannot be opened.
    """
    if given and path is not None:
        raise click.UsageError("give sources as arguments or by --input, not both")
    if given:
        yield ARGUMENT, given
    elif path in (None, "-"):
        yield STDIN, split_lines(_stdin())
    else:
        with explain_os_errors(str(path), "read", InputError):
            file = open(path, "rb", buffering=0)  # noqa: SIM115, PTH123 (closed below; reading has errors of its own)
        with file:
            yield path, _lines_of(path, file)


def _stdin() -> BinaryIO | io.RawIOBase:
    """Stdin without a buffer: its lock, held by a thread that waits for input, would abort the interpreter's exit."""
    if sys.stdin is None:
        raise InputError("stdin is closed", "give sources as arguments or by --input")
    try:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    except io.UnsupportedOperation:  # a stream that is no file
        return sys.stdin.buffer


def _lines_of(path: str, file: io.FileIO) -> Iterator[str]:
    """Lines of a file, unpacked if it is packed; a pipe is taken as it is."""
    packed = False
    if file.seekable():
        packed = file.read(len(GZIP)) == GZIP
        file.seek(0)
    try:
        yield from split_lines(gzip.GzipFile(fileobj=file) if packed else file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: not a whole gzip file: {error}") from error


def split_lines(file: BinaryIO | io.RawIOBase | gzip.GzipFile) -> Iterator[str]:
    """Lines as they come, without their ends of either kind."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")  # which tasks refuse by line
    rest = ""
    while chunk := file.read(CHUNK_BYTES):
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        for line in lines:
            yield line[:LONGEST_LINE].removesuffix("\r")
        rest = rest[: LONGEST_LINE + 1]
    if rest := rest + decoder.decode(b"", final=True):
        yield rest[:LONGEST_LINE].removesuffix("\r")
