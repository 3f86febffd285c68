"""Lines of text as examples, for every task."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from rnncli.data.columns import describe_columns, split_columns
from rnncli.data.examples import Examples, ExampleText, Ids, Steps
from rnncli.data.padding import pad_sources, pad_steps
from rnncli.data.tables import TAB_SEPARATED, read_rows
from rnncli.data.task import CountsUnknown, ReadsTables, Task, read_target, text_of
from rnncli.data.vocabulary import Vocabulary
from rnncli.errors import DataError, SkippedError
from rnncli.text import quote, shorten

OTHER_WIDTH = "of another number of columns"
"""The reason for which a line is skipped that is no example."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def bad_line(message: str, text: str, hint: str = "") -> DataError:
    """Return the error of a text that is no source or target, with the beginning of the text."""
    return DataError(f"{message}: {quote(text)}", hint)


def check_text(line: str) -> None:
    """Refuse a line that is not text: with NUL, or with bytes that are not UTF-8, which are read as lone surrogates.

    Raises:
        DataError: It is such a line.
    """
    if "\0" in line:
        raise bad_line("a NUL character; this is not text", line)
    if not line.isascii() and (found := _SURROGATE.search(line)):
        place = len(line[: found.start()].encode(errors="surrogateescape")) + 1
        what = f"not UTF-8 text: byte 0x{ord(found[0]) & 0xFF:02x} at byte {place} of the line"
        raise DataError(what, "save it as UTF-8, for example: iconv -f latin1 -t utf-8")


def read_numbers(text: str, name: str) -> list[float]:
    """Return numbers that are separated by commas or spaces.

    Args:
        text: The numbers as text.
        name: The kind of number in messages, such as "pixels".

    Raises:
        DataError: The text is something else.
    """
    try:
        return [float(word) for word in re.split(r"\s*,\s*|\s+", text.strip())]
    except ValueError:
        raise bad_line("not numbers", text, f"separate the {name} by commas or spaces") from None


def read_class(text: str, vocabulary: Vocabulary) -> list[int]:
    """Return the id of a class, as a target of length 1.

    Raises:
        DataError: The training data has no such class.
    """
    label = text.strip()
    if label not in vocabulary.ids:
        known = shorten(", ".join(vocabulary.symbols[:10]), 200)
        raise bad_line("a label that the training data does not have", label, f"it has {known}")
    return [vocabulary.ids[label]]


def read_sources(
    task: Task, lines: Iterable[str], name: str, first: int = 1, after: Callable[[], None] = lambda: None
) -> tuple[NDArray[Any], Ids]:
    """Return the sources in lines as an array, as in `Examples`, and their lengths, int32 [lines].

    Args:
        task: The task.
        lines: One source each.
        name: Name of the file in messages.
        first: Number of the first line.
        after: Called after each line.

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
        after()
    return pad_sources(task.sizes, sources)


def read_examples(task: Task, lines: Iterable[str], name: str, first: int = 1, leave_out: bool = False) -> Examples:
    """Return the examples in lines with the columns of `task.columns`; blank lines are skipped.

    The target may be missing where the task can compute it.

    Args:
        task: The task.
        lines: The lines.
        name: Name of the file in messages.
        first: Number of the first line.
        leave_out: Whether to skip, and count in a note, a header line, and where the config says so examples that are
            too long, have no target, or another number of columns.

    Raises:
        DataError: A line is not an example, or there is none.
    """
    sources: list[Steps] = []
    targets: list[list[int]] = []
    texts: list[ExampleText] = []
    skipped: Counter[str] = Counter()
    reading = task.reading if isinstance(task, ReadsTables) else TAB_SEPARATED
    if not leave_out:
        reading = replace(reading, header=False)
    rows, notes = read_rows(lines, name, reading, task.columns, first)
    for number, line in rows:
        try:
            with task.unknown.not_of_skipped() if isinstance(task, CountsUnknown) else nullcontext():
                source, target, text = read_example(task, line)
        except SkippedError as error:
            if not leave_out:
                raise DataError(f"{name}:{number}: {error.message}", error.hint) from error
            skipped[error.reason] += 1
            continue
        except DataError as error:
            raise DataError(f"{name}:{number}: {error.message}", error.hint) from error
        sources.append(source)
        targets.append(target)
        texts.append(ExampleText(number, *text))
    left_out = skipped.total()
    if not sources:
        reason = f"every example is {' or '.join(skipped)}" if left_out else "no examples in it"
        raise DataError(f"{name}: {reason}", f"write one a line: {describe_columns(task.columns)}")
    total = left_out + len(sources)
    more = (f"{name}: skipped {count} of {total} examples: {reason}" for reason, count in skipped.items())
    arrays = (*pad_sources(task.sizes, sources), *pad_steps(targets, task.sizes.target_steps))
    return Examples(*arrays, notes=(*notes, *more), left_out=left_out, texts=texts)


def read_example(task: Task, line: str) -> tuple[Steps, list[int], tuple[str, str]]:
    """Return the source and the target of a line with the columns of `task.columns`, as ids and as text.

    Raises:
        DataError: The line is not an example.
    """
    check_text(line)
    reading = task.reading if isinstance(task, ReadsTables) else TAB_SEPARATED
    try:
        parsed, target = split_columns(task.columns, line)
    except DataError as error:
        if reading.ragged_rows == "skip":
            raise SkippedError(error.message, error.hint, OTHER_WIDTH) from error
        raise
    source = text_of(task, str(parsed))
    steps = task.read_source(source)
    target = task.answer(source) if target is None else text_of(task, target)
    if target is None:
        hint = f"write {describe_columns(task.columns)}"
        if reading.ragged_rows == "skip":
            raise SkippedError("no target", hint, OTHER_WIDTH)
        raise DataError("no target", hint)
    try:
        return steps, read_target(task, source, target), (source, target)
    except SkippedError:
        raise
    except DataError as error:
        raise DataError(error.message, error.hint or f"write {describe_columns(task.columns)}") from error
