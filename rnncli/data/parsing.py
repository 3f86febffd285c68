"""Lines of text as examples, for every task."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns
from rnncli.data.examples import Examples, Ids, Sizes, Steps, Text
from rnncli.data.task import Task
from rnncli.data.vocabulary import UNKNOWN_ID, Vocabulary
from rnncli.errors import DataError, LeftOutError
from rnncli.text import quote, shorten

_SURROGATE = re.compile("[\ud800-\udfff]")


def bad_line(message: str, text: str, hint: str = "") -> DataError:
    """A text that is no source or target; shows its beginning."""
    return DataError(f"{message}: {quote(text)}", hint)


def check_text(line: str) -> None:
    """Refuse a line that was no text: bytes that are not UTF-8, which were read as lone surrogates, and NUL.

    Raises:
        DataError: It is one.
    """
    if "\0" in line:
        raise bad_line("a NUL character; this is no text", line)
    if not line.isascii() and (found := _SURROGATE.search(line)):
        place = len(line[: found.start()].encode(errors="surrogateescape")) + 1
        what = f"not UTF-8 text: byte 0x{ord(found[0]) & 0xFF:02x} at byte {place} of the line"
        raise DataError(what, "save it as UTF-8: iconv -f latin1 -t utf-8, or whatever it is in")


def read_numbers(text: str, what: str) -> list[float]:
    """Numbers with commas or spaces between them.

    Args:
        text: As a person writes them.
        what: What they are, for the message.

    Raises:
        DataError: They are none.
    """
    try:
        return [float(word) for word in re.split(r"\s*,\s*|\s+", text.strip())]
    except ValueError:
        raise bad_line("not numbers", text, f"write the {what} with commas or spaces between them") from None


def read_class(text: str, vocabulary: Vocabulary) -> list[int]:
    """The id of a class.

    Raises:
        DataError: The training data does not have it.
    """
    label = text.strip()
    if label not in vocabulary.ids:
        known = shorten(", ".join(vocabulary.symbols[:10]), 200)
        raise bad_line("a label that the training data does not have", label, f"it has {known}")
    return [vocabulary.ids[label]]


def read_sources(task: Task, lines: Iterable[str], name: str, first: int = 1) -> tuple[NDArray[Any], Ids]:
    """The sources that lines hold, as in `Examples`, and their lengths, int32 [lines].

    Args:
        task: Reads the sources.
        lines: One source each.
        name: Of the file, for messages.
        first: The number of the first line.

    Raises:
        DataError: A line is not a source.
    """
    sources = []
    for number, line in enumerate(lines, start=first):
        try:
            check_text(line)
            sources.append(task.read_source(line))
        except DataError as error:
            raise DataError(f"{name}:{number}: {error.message}", error.hint) from error
    return padded_sources(task.sizes, sources)


def read_examples(task: Task, lines: Iterable[str], name: str, first: int = 1, leave_out: bool = False) -> Examples:
    """Examples from lines with the columns of `task.columns`.

    The target may be missing where the task knows it.

    Args:
        task: Reads the sources and targets.
        lines: The lines; blank ones are passed over.
        name: Of the file, for messages.
        first: The number of the first line.
        leave_out: Whether examples that the config wants left out are passed over; a note counts them.

    Raises:
        DataError: A line is not an example, or there is none.
    """
    sources: list[Steps] = []
    targets: list[list[int]] = []
    texts: list[Text] = []
    left_out = 0
    for number, line in enumerate(lines, start=first):
        if not line.strip():
            continue
        try:
            source, target, text = _read_example(task, line)
        except LeftOutError as error:
            if not leave_out:
                raise DataError(f"{name}:{number}: {error.message}", error.hint) from error
            left_out += 1
            continue
        except DataError as error:
            raise DataError(f"{name}:{number}: {error.message}", error.hint) from error
        sources.append(source)
        targets.append(target)
        texts.append(Text(number, *text))
    if not sources:
        raise DataError(
            f"{name}: no examples {'left; all are too long' if left_out else 'in it'}",
            f"write one a line: {described(task.columns)}",
        )
    notes = (f"{name}: {left_out} of {left_out + len(sources)} examples left out, too long",) if left_out else ()
    arrays = (*padded_sources(task.sizes, sources), *_padded(targets, task.sizes.target_steps))
    return Examples(*arrays, notes=notes, left_out=left_out, texts=texts)


def padded_ids(
    rows: Sequence[Sequence[int]], symbols: int, steps: int | None = None
) -> tuple[Ids, NDArray[np.int32]]:
    """Ids as one array in the smallest type that holds them, and the rows' lengths.

    Args:
        rows: The ids.
        symbols: Ids are smaller.
        steps: Of the array; None is those of the longest row.
    """
    lengths = np.array([len(row) for row in rows], np.int32)
    kind = np.uint8 if symbols <= 2**8 else np.uint16 if symbols <= 2**16 else np.int32
    array: Ids = np.zeros((len(rows), int(lengths.max(initial=1)) if steps is None else steps), kind)
    filled = np.arange(array.shape[1]) < lengths[:, None]
    array[filled] = np.fromiter(chain.from_iterable(rows), kind, int(lengths.sum()))
    return array, lengths


def shared_sources(examples: Examples, train: Examples) -> int:
    """How many of the examples have sources that training has; one with an unknown symbol might be any other."""
    kind = train.source.dtype
    seen = {row[:length].tobytes() for row, length in zip(train.source, train.source_lengths, strict=True)}
    rows = zip(examples.source.astype(kind), examples.source_lengths, strict=True)
    return sum(UNKNOWN_ID not in row[:length] and row[:length].tobytes() in seen for row, length in rows)


def padded_sources(sizes: Sizes, sources: Sequence[Steps]) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """Sources as one array, as in `Examples`, and their lengths."""
    return _padded(sources, sizes.source_steps, sizes.features)


def source_and_target(columns: Columns, line: str) -> tuple[str, str | None]:
    """The source of a line, as `Task.read_source` reads it, and the target; a line may be a source alone.

    Features, where there are any, stand behind the source and a tab.

    Raises:
        DataError: The line has another number of columns.
    """
    cells = line.split("\t")
    if len(cells) == 1 and columns.features is None and columns.width == 2:
        return line, None
    if len(cells) != columns.width:
        counted = f"{len(cells)} column{'' if len(cells) == 1 else 's'}"
        raise DataError(counted, f"write {described(columns)}")
    source = cells[columns.source - 1]
    if columns.features is not None:
        source += "\t" + cells[columns.features - 1]
    return source, cells[columns.target - 1]


def described(columns: Columns) -> str:
    """A line of data in words."""
    if columns.width == len(columns.named):
        return ", tab, ".join(columns.named)
    listed = ", ".join(f"{name} in column {column}" for name, column in columns.named.items())
    return f"{columns.width} columns, {listed}"


def _read_example(task: Task, line: str) -> tuple[Steps, list[int], tuple[str, str]]:
    check_text(line)
    source, target = source_and_target(task.columns, line)
    steps = task.read_source(source)
    if target is None:
        target = task.answer(source)
    if target is None:
        raise DataError("no target", f"write {described(task.columns)}")
    try:
        return steps, task.read_target(target), (source, target)
    except LeftOutError:
        raise
    except DataError as error:
        raise DataError(error.message, error.hint or f"write {described(task.columns)}") from error


def _padded(rows: Sequence[Steps], steps: int, features: int | None = None) -> tuple[NDArray[Any], NDArray[np.int32]]:
    array: NDArray[Any] = np.zeros((len(rows), steps), np.int32)
    if features is not None:
        array = np.zeros((len(rows), steps, features), np.float32)
    for number, row in enumerate(rows):
        array[number, : len(row)] = row
    return array, np.array([len(row) for row in rows], np.int32)
