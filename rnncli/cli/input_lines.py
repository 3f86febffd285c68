"""Read lines of a file or of stdin."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from rnncli.cli.options import show_message
from rnncli.data.text_files import MAX_TEXT, read_given_texts, refuse_binary, text_in, text_names
from rnncli.errors import InputError, explain_os_errors
from rnncli.files import GZIP, NamedFile
from rnncli.text import shorten

if TYPE_CHECKING:
    from rnncli.data.examples import Examples
    from rnncli.data.task import Task

STDIN, ARGUMENT = "<stdin>", "argument"
CHUNK_BYTES = 65536
MAX_LINE_CHARACTERS = 1_000_000
"""Longer lines are cut, so that a file without line ends takes no more memory than one with them."""


def read_input(tasks: Sequence[Task], path: str | None) -> tuple[str, list[Examples]]:
    """Return the name of the input for messages, and the examples in it as each task reads them, to be measured.

    Args:
        tasks: At least one.
        path: As for `open_lines`; tasks that cut a text read all that is named as for `task.train`.

    Raises:
        InputError: They cannot be read, or some tasks cut a text and others do not.
    """
    from rnncli.data.parsing import read_examples
    from rnncli.data.task import CutsText

    cutting = [task for task in tasks if isinstance(task, CutsText)]
    if 0 < len(cutting) < len(tasks):
        raise InputError("--input: some of the runs read a text, others lines", "give runs of one kind")
    if cutting:
        name = STDIN if path is None or path == "-" else path
        text = text_in(_all_of_stdin(), STDIN) if name is STDIN else read_given_texts(name)
        return name, [task.windows_of(text, name) for task in cutting]
    with open_lines(path) as (name, lines):
        kept = lines if len(tasks) == 1 else list(lines)
        return name, [read_examples(task, kept, name, leave_out=True) for task in tasks]


def files_of(path: str | Path | None) -> list[str]:
    """Return the files that the input of `open_lines` or `read_input` may be, as far as they exist."""
    with suppress(InputError, OSError):
        return [] if path in (None, "-") else [str(path), *text_names(str(path))]
    return []


def _all_of_stdin() -> bytes:
    """Return what is left of stdin, up to `MAX_TEXT` bytes."""
    file, data = _stdin(), bytearray()
    while chunk := file.read(CHUNK_BYTES):
        data += chunk
        if len(data) > MAX_TEXT:
            raise InputError(f"{STDIN}: more than {MAX_TEXT:,} bytes", "give less of the text")
    return bytes(data)


@contextmanager
def open_lines(path: str | None, given: Sequence[str] = ()) -> Iterator[tuple[str, Iterable[str]]]:
    """Yield the name of the input for messages, and its lines without line ends.

    Args:
        path: A UTF-8 file, which may be gzip-compressed; `-` or None is stdin. A byte order mark is skipped, bytes
            that are not UTF-8 become lone surrogates, which `rnncli.data.parsing.check_text` finds.
        given: Lines given as arguments, in place of a file.

    Raises:
        click.UsageError: There are both.
        InputError: The file cannot be opened.
    """
    if given and path is not None:
        raise click.UsageError("SOURCE and --input exclude each other")
    if given:
        for each in given:
            with suppress(OSError, ValueError):
                if not Path(each).is_file():
                    continue
                show_message(f"note: {shorten(each)} is read as it stands; --input reads the lines of a file")
        yield ARGUMENT, list(map(_as_utf8, given))
    elif path in (None, "-"):
        yield STDIN, split_lines(_stdin())
    else:
        with explain_os_errors(str(path), "read", InputError):
            file = NamedFile(str(path), str(path))  # closed below; reading has errors of its own
        with file:
            yield path, _lines_of(path, file)


def _as_utf8(argument: str) -> str:
    """Return an argument as UTF-8 text, whatever the encoding of the locale, with which Python has decoded it."""
    try:
        return os.fsencode(argument).decode()
    except UnicodeError:
        return argument


def _stdin() -> BinaryIO | io.RawIOBase:
    """Return stdin unbuffered: a thread that waits for input would hold a buffer's lock, and abort Python's exit."""
    if sys.stdin is None:
        raise InputError("stdin is closed", "give sources as arguments or with --input")
    try:
        return NamedFile(sys.stdin.fileno(), STDIN, closefd=False)
    except io.UnsupportedOperation:  # a stream that is no file
        return sys.stdin.buffer


def _lines_of(path: str, file: io.FileIO) -> Iterator[str]:
    """Yield the lines of a file, decompressed if it is gzip; a pipe is read as it is."""
    packed = False
    if file.seekable():
        begin = file.read(16)
        refuse_binary(begin, path)
        packed = begin.startswith(GZIP)
        file.seek(0)
    try:
        yield from split_lines(gzip.GzipFile(fileobj=file) if packed else file)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: incomplete gzip file: {error}") from error


def split_lines(file: BinaryIO | io.RawIOBase | gzip.GzipFile) -> Iterator[str]:
    """Yield lines as they arrive, without their line ends.

    Carriage returns alone end lines if what arrives first has some and no line feed.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")  # which tasks refuse by line
    rest, line_end = "", ""
    while chunk := file.read(CHUNK_BYTES):
        text = rest + decoder.decode(chunk)
        line_end = line_end or ("\r" if "\r" in text[:-1] and "\n" not in text else "\n")
        *lines, rest = text.split(line_end)
        for line in lines:
            yield line[:MAX_LINE_CHARACTERS].removesuffix("\r")
        rest = rest[: MAX_LINE_CHARACTERS + 1]
    if rest := rest + decoder.decode(b"", final=True):
        yield rest[:MAX_LINE_CHARACTERS].removesuffix("\r")
