"""Text files that a config names."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from glob import glob, iglob
from itertools import chain, islice
from pathlib import Path

from rnncli.config.example_data import keys_naming
from rnncli.config.file_names import RELATIVE_PATHS
from rnncli.errors import DataError, InputError, explain_os_errors, override_words
from rnncli.files import GZIP, open_plain, read_plain
from rnncli.text import similar_name

MAX_TEXT = 4 * 2**30
"""Bytes of a text, all of which is held in memory."""
_MAX_COMPRESSION, _ALWAYS_UNPACKED = 100, 64 * 2**20
BINARY_FILES = {
    b"PK\x03\x04": "a workbook or another zip file",
    b"\xd0\xcf\x11\xe0": "an old workbook or document",
    b"%PDF-": "a PDF document",
    b"PAR1": "a Parquet file",
}
"""Kinds of files that are given in place of text, by their first bytes."""
MANY_BYTES = 10_000_000
"""Bytes that take some seconds to read, so that a message says what is being done."""
MAX_ENTRIES = 10_000
"""Entries of a folder among which the file is looked for that may be meant."""
GZIP_END = ".gz"
"""End of the names of files that are decompressed, whatever their first bytes are."""
TEXT_ENDS = (".txt", f".txt{GZIP_END}")
"""Ends of the names of files that are read of a directory of texts."""
MAX_FOLDERS = 20_000
"""Folders that a glob may search."""
PIECE_BYTES = 2**22
"""Bytes of a file that are read at a time where not all of it is to be held in memory."""

Pieces = Callable[[], Iterator[str]]
"""A function that yields the text of a file, in order: all of it, or pieces that end with a line."""


class MissingFileError(InputError):
    """A text file does not exist."""


def missing_file(path: str, in_config: bool = True) -> MissingFileError:
    """Return the error for a file that does not exist, and that a config names, or the user."""
    if keys := keys_naming(path):
        hint = " ".join(override_words(f"{key}=FILE") for key in keys)
        return MissingFileError(f"{Path(path).name}: not shipped; this example needs data of your own", f"use {hint}")
    if (close := similar_file(path)) is not None:
        return MissingFileError(f"{path}: no such file", f"did you mean {close}?")
    moved = f"if it was moved, name it: {override_words('task.train=FILE')}, or with the key that names it"
    hint = moved if Path(path).is_absolute() else RELATIVE_PATHS
    return MissingFileError(f"{path}: no such file", hint if in_config else "")


def similar_file(path: str) -> Path | None:
    """Return the file beside a missing one whose name is most like its name; None if none is like it."""
    folder = Path(path).parent
    with contextlib.suppress(OSError, ValueError):
        close = similar_name(Path(path).name, (entry.name for entry in islice(folder.iterdir(), MAX_ENTRIES)))
        return None if close is None else folder / close
    return None


def max_unpacked_bytes(packed: int) -> int:
    """Return the bytes that so many compressed bytes may unpack to; a decompression bomb has more."""
    return min(MAX_TEXT, max(_ALWAYS_UNPACKED, _MAX_COMPRESSION * packed))


def read_text(path: str) -> str:
    """Return the text of a file, with line feeds as line ends and without byte order marks; gzip is decompressed.

    Args:
        path: The file, UTF-8, not a device; a relative path starts from the current directory.

    Raises:
        InputError: The file cannot be read.
        DataError: It is not UTF-8 or has a NUL byte; names the line.
    """
    with explain_os_errors(path, "read", InputError, also=(ValueError, MemoryError)):
        try:
            data = read_plain(Path(path), MAX_TEXT)
        except FileNotFoundError as error:
            raise missing_file(path) from error
    return text_in(data, path)


def text_in(data: bytes, path: str) -> str:
    """Return the text of the bytes of a file; `read_text` says how."""
    if data.startswith(GZIP) or path.endswith(GZIP_END):
        data = _decompress(data, path)
    refuse_binary(data, path)
    return unify_line_ends(_decode(data, path))


def _decode(data: bytes, path: str, first: int = 1) -> str:
    """Return the text of some bytes of a file, the first of which are those of a line, without a byte order mark."""
    if (nul := data.find(0)) >= 0:
        line = data.count(b"\n", 0, nul) + first
        raise DataError(f"{path}:{line}: a NUL byte; this is not UTF-8 text", "save the file as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = error.object  # without the byte order mark
        line = text.count(b"\n", 0, error.start) + first
        column = error.start - text.rfind(b"\n", 0, error.start)
        what = f"not UTF-8 text: byte 0x{text[error.start]:02x} at byte {column} of the line"
        raise DataError(f"{path}:{line}: {what}", "save the file as UTF-8") from error


def whole_text(path: str) -> Pieces:
    """Return the text of a file, which is read at once, as one piece; see `read_text`."""
    text = read_text(path)
    return lambda: iter((text,))


def text_in_pieces(path: str, read: Callable[[int], object] = int) -> Pieces:
    """Return the text of a file in pieces that end with a line, so that little of it is held in memory.

    Together they are what `read_text` returns; the file may be larger than `MAX_TEXT`. Without line feeds it is one
    piece.

    Args:
        path: As for `read_text`, but no pipe.
        read: Is told how many bytes more of the file were read.

    Raises:
        InputError: The file cannot be read, when pieces are asked for.
        DataError: It is not UTF-8 or has a NUL byte.
    """
    return lambda: _pieces(path, read)


def _pieces(path: str, read: Callable[[int], object]) -> Iterator[str]:
    line = 1
    for data in _whole_lines(path, read):
        if line == 1:
            refuse_binary(data, path)
        text, ends = _decode(data, path, line), data.count(b"\n")
        if text:
            yield unify_line_ends(text) if ends or line == 1 else text  # what is left of a file that has line feeds
        line += ends


def _whole_lines(path: str, read: Callable[[int], object]) -> Iterator[bytes]:
    """Yield the bytes of a file, cut behind line feeds."""
    rest: list[bytes] = []
    for block in _blocks(path, read):
        whole, feed, begin = block.rpartition(b"\n")
        if feed:
            yield b"".join((*rest, whole, feed))
            rest.clear()
        rest.append(begin)
    if last := b"".join(rest):
        yield last


def _blocks(path: str, read: Callable[[int], object]) -> Iterator[bytes]:
    """Yield the bytes of a file, decompressed."""
    size, before = 0, 0
    with explain_os_errors(path, "read", InputError, also=(ValueError, MemoryError)), open_text(path) as file:
        packed = os.fstat(file.fileno()).st_size
        compressed = file.peek(2)[:2] == GZIP or path.endswith(GZIP_END)
        unpacked = gzip.GzipFile(fileobj=file) if compressed else file
        while block := _next_block(unpacked, path):
            size += len(block)
            if compressed and size > max(_ALWAYS_UNPACKED, _MAX_COMPRESSION * packed):
                raise _bomb(path, packed, _MAX_COMPRESSION * packed)
            yield block
            at = file.tell()
            read(at - before)
            before = at


def _next_block(file: gzip.GzipFile | io.BufferedReader, path: str) -> bytes:
    try:
        return file.read(PIECE_BYTES)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: incomplete gzip file: {error}") from error


def open_text(path: str) -> io.BufferedReader:
    """Open a text file that a config names.

    Raises:
        InputError: It is missing, or not a regular file.
        OSError: It cannot be opened.
    """
    try:
        return open_plain(Path(path))
    except FileNotFoundError as error:
        raise missing_file(path) from error


def file_digest(path: str) -> str:
    """Return the SHA-256 of a file, which is read in pieces, as hexadecimal digits.

    Raises:
        InputError: It cannot be read.
    """
    with explain_os_errors(path, "read", InputError, also=(ValueError,)), open_text(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_lines(path: str) -> Iterator[str]:
    """Yield the lines of a file one by one, which takes less memory than a list; see `read_text`.

    The file is read when the first line is asked for.
    """
    yield from lines_of(read_text(path))


def lines_in(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text in pieces one by one, without line ends; only the last piece may end within one."""
    return chain.from_iterable(map(lines_of, pieces))


def lines_of(text: str) -> Iterator[str]:
    """Yield the lines of a text one by one, without line ends."""
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        yield text[begin:end]
        begin = end + 1


def unify_line_ends(text: str) -> str:
    """Return text with line feeds as line ends, and without the byte order marks that joined files have in between.

    Carriage returns alone end lines where there is no line feed, as spreadsheets for old Macintosh computers write.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n") if "\n" in text else text.replace("\r", "\n")
    return text.replace("\n\ufeff", "\n") if "\ufeff" in text else text


def refuse_binary(data: bytes, path: str) -> None:
    """Refuse the bytes of well-known files that are not text, by their first ones.

    Raises:
        DataError: They are such a file's.
    """
    for start, kind in BINARY_FILES.items():
        if data.startswith(start):
            raise DataError(f"{path}: {kind}, not text", "save it as tab-separated text or CSV, in UTF-8")


def _decompress(data: bytes, path: str) -> bytes:
    max_bytes = max_unpacked_bytes(len(data))
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            text = file.read(max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: incomplete gzip file: {error}") from error
    if len(text) > max_bytes:
        raise _bomb(path, len(data), max_bytes)
    return text


def _bomb(path: str, packed: int, max_bytes: int) -> InputError:
    return InputError(
        f"{path}: {packed:,} bytes that decompress to more than {max_bytes:,}",
        "if you trust the file, decompress it first",
    )


def matching_files(pattern: str, max_folders: int = MAX_FOLDERS) -> list[str]:
    """Return the files that a path or a glob such as `data/*.tsv` names, sorted.

    Args:
        pattern: The path or the glob.
        max_folders: A glob that would search more folders is refused.

    Raises:
        InputError: No file matches the glob, or it would search too many folders.
    """
    with explain_os_errors(pattern, "read", InputError, also=(ValueError,)):
        return _matching(pattern, max_folders)


def read_texts(name: str, max_bytes: int = MAX_TEXT, max_folders: int = MAX_FOLDERS) -> str:
    """Return the text of a file, of the files that match a glob, or of those in a directory, one after the other.

    Args:
        name: The file, the glob, or a directory, whose `.txt` and `.txt.gz` files are read, also in folders below it.
        max_bytes: Maximum size of all, decompressed, in bytes.
        max_folders: As for `matching_files`; of a directory too.

    Raises:
        InputError: A file cannot be read, there is none, there is too much text, or there are too many folders.
        DataError: A file is not text.
    """
    parts: list[str] = []
    left = max_bytes
    for each in text_names(name, max_folders):
        if parts and not parts[-1].endswith("\n"):
            parts.append("\n")
        parts.append(text := read_text(each))
        left -= len(text) if text.isascii() else len(text.encode())
        if left < 0:
            raise InputError(f"{name}: texts of more than {max_bytes:,} bytes in all", "name fewer files")
    return "".join(parts)


def read_given_texts(name: str) -> str:
    """Return the text that `read_texts` reads, named by the user rather than by a config.

    Raises:
        InputError: As there; a missing file is compared with those beside it.
    """
    try:
        return read_texts(name)
    except MissingFileError as error:
        raise missing_file(name, in_config=False) from error


def text_names(name: str, max_folders: int = MAX_FOLDERS) -> list[str]:
    """Return the files that `read_texts` reads; see there for the arguments and errors."""
    if not Path(name).is_dir():
        return matching_files(name, max_folders)
    with explain_os_errors(name, "read", InputError):
        names = _texts_below(name, max_folders)
    if not names:
        raise InputError(f"{name}: no .txt files", "name files of other kinds by a glob, such as 'books/*.md'")
    return names


def texts_in_pieces(names: Sequence[str], read: Callable[[int], object] = int) -> Iterator[str]:
    """Yield the text of files as `read_texts` joins them, in pieces; see `text_in_pieces`."""
    before: str | None = None
    for name in names:
        if before is not None and not before.endswith("\n"):
            yield "\n"
        before = ""
        for piece in text_in_pieces(name, read)():
            yield piece
            before = piece


def _texts_below(folder: str, max_folders: int) -> list[str]:
    """Return the texts in a folder and the folders in it, sorted; links to folders are not followed."""
    found: list[str] = []
    for number, (path, _, names) in enumerate(os.walk(folder)):
        if number >= max_folders:
            raise _too_many_folders(folder, max_folders)
        found += (str(Path(path, name)) for name in names if name.endswith(TEXT_ENDS))
    return sorted(found)


def _too_many_folders(place: str, max_folders: int) -> InputError:
    return InputError(f"{place}: would search more than {max_folders:,} folders", "name the folder of the files")


def describe_large(patterns: Iterable[str]) -> str:
    """Return a message on files that take some seconds to read; empty if they are small.

    Args:
        patterns: Paths and globs; what cannot be read counts nothing.
    """
    size = 0
    for pattern in patterns:
        with contextlib.suppress(OSError, ValueError, InputError):
            size += sum(Path(path).stat().st_size for path in matching_files(pattern))
    return f"reading {size / 1e6:,.0f} MB of data" if size >= MANY_BYTES else ""


def _matching(pattern: str, max_folders: int) -> list[str]:
    if not set(pattern) & set("*?[") or Path(pattern).exists():
        return [pattern]
    for part in (*reversed(Path(pattern).parents), pattern):  # each level of folders has the next one
        folders = iglob(f"{part}/", recursive=True)  # noqa: PTH207 (one by one)
        if next(islice(folders, max_folders, None), None) is not None:
            raise _too_many_folders(pattern, max_folders)
    found = sorted(path for path in glob(pattern, recursive=True) if Path(path).is_file())  # noqa: PTH207 (** too)
    if not found:
        raise MissingFileError(f"{pattern}: no file matches", RELATIVE_PATHS)
    return found
