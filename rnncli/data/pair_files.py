"""Pairs of texts from files: lines with columns, or two files whose lines belong together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from rnncli.config import Columns, Files
from rnncli.data.parsing import described, source_and_target
from rnncli.data.text_files import matching_files, read_text
from rnncli.errors import DataError, InputError


class Pair(NamedTuple):
    """A pair of texts and where they stand; features stand behind the source and a tab."""

    source: str
    target: str
    line: int
    source_path: str
    target_path: str

    def place(self, side: Literal["source", "target"]) -> str:
        """Where a side stands, `FILE:LINE`."""
        return f"{self.source_path if side == 'source' else self.target_path}:{self.line}"


def read_pairs(files: Files, columns: Columns, clean: Callable[[str], str]) -> list[Pair]:
    """All pairs of some files; blank lines are passed over.

    Args:
        files: Which.
        columns: What stands where in a line of a file with columns.
        clean: Applied to each text, such as a normal form.

    Raises:
        InputError: A file cannot be read.
        DataError: A line is no pair, or there is none.
    """
    found: Iterator[Pair]
    if files.file is not None:
        found = (pair for path in matching_files(files.file) for pair in _with_columns(path, columns))
    else:
        found = _beside_each_other(*_parallel(files))
    pairs = [_cleaned(pair, clean) for pair in found]
    if not pairs:
        raise DataError(f"{name_of(files)}: no pairs in it", "write one a line")
    return pairs


def _cleaned(pair: Pair, clean: Callable[[str], str]) -> Pair:
    source, tab, features = pair.source.partition("\t")
    source, target = clean(source), clean(pair.target)
    if not source:
        raise DataError(f"{pair.place('source')}: no source", "every pair needs both, source and target")
    if not target:
        raise DataError(f"{pair.place('target')}: no target", "every pair needs both, source and target")
    return pair._replace(source=source + tab + (clean(features) if tab else ""), target=target)


def name_of(files: Files) -> str:
    """What messages call them."""
    return files.file or f"{files.source} and {files.target}"


def _with_columns(path: str, columns: Columns) -> Iterator[Pair]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            source, target = source_and_target(columns, line)
        except DataError as error:
            raise DataError(f"{place}: {error.message}", _hint(error.hint)) from error
        if target is None:
            raise DataError(f"{place}: no target: 1 column", _hint(f"write {described(columns)}"))
        yield Pair(source, target, number, path, path)


def _hint(written: str) -> str:
    return f"{written}; task.columns says which columns are read"


def _parallel(files: Files) -> tuple[list[str], list[str]]:
    sources, targets = (matching_files(side) for side in (files.source or "", files.target or ""))
    if len(sources) != len(targets):
        found = f"{len(sources)} and {len(targets)} files"
        raise InputError(f"{name_of(files)}: {found}; each of one needs one of the other")
    return sources, targets


def _beside_each_other(source_paths: list[str], target_paths: list[str]) -> Iterator[Pair]:
    for source_path, target_path in zip(source_paths, target_paths, strict=True):
        sources, targets = _lines(source_path), _lines(target_path)
        if len(sources) != len(targets):
            counts = f"{len(sources)} lines, but {target_path} has {len(targets)}"
            raise DataError(f"{source_path}: {counts}", "line N of one belongs to line N of the other")
        for number, (source, target) in enumerate(zip(sources, targets, strict=True), start=1):
            for path, text in ((source_path, source), (target_path, target)):
                if "\t" in text:
                    raise DataError(f"{path}:{number}: a tab in the text", "tabs separate columns; use a space")
            if source.strip() or target.strip():
                yield Pair(source, target, number, source_path, target_path)


def _lines(path: str) -> list[str]:
    text = read_text(path)
    return text.removesuffix("\n").split("\n") if text else []
