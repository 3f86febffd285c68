"""Pairs of texts from files: lines with columns, or two parallel files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from rnncli.config import Columns, Files
from rnncli.data.columns import SourceText, describe_columns, split_columns
from rnncli.data.text_files import matching_files, read_text
from rnncli.errors import DataError, InputError


class Pair(NamedTuple):
    """A source and a target, and the place of each."""

    source: SourceText
    target: str
    line: int
    source_path: str
    target_path: str

    def place(self, side: Literal["source", "target"]) -> str:
        """Return the place of a side as `FILE:LINE`."""
        return f"{self.source_path if side == 'source' else self.target_path}:{self.line}"


def read_pairs(files: Files, columns: Columns, clean: Callable[[str], str]) -> list[Pair]:
    """Return all pairs of some files; blank lines are skipped.

    Args:
        files: The files.
        columns: The columns of a line.
        clean: Applied to each text, such as Unicode normalization.

    Raises:
        InputError: A file cannot be read.
        DataError: A line is not a pair, or there is none.
    """
    found: Iterator[Pair]
    if files.file is not None:
        found = (pair for path in matching_files(files.file) for pair in _read_columns(path, columns))
    else:
        found = _read_parallel(*_match_parallel(files))
    pairs = [_clean_pair(pair, clean) for pair in found]
    if not pairs:
        raise DataError(f"{name_of(files)}: no pairs in it", "write one a line")
    return pairs


def _clean_pair(pair: Pair, clean: Callable[[str], str]) -> Pair:
    text, features = pair.source
    source, target = SourceText(clean(text), None if features is None else clean(features)), clean(pair.target)
    if not source.text:
        raise DataError(f"{pair.place('source')}: no source", "every pair needs a source and a target")
    if not target:
        raise DataError(f"{pair.place('target')}: no target", "every pair needs a source and a target")
    return pair._replace(source=source, target=target)


def name_of(files: Files) -> str:
    """Return the name of some files in messages."""
    return files.file or f"{files.source} and {files.target}"


def _read_columns(path: str, columns: Columns) -> Iterator[Pair]:
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            source, target = split_columns(columns, line)
        except DataError as error:
            raise DataError(f"{place}: {error.message}", _columns_hint(error.hint)) from error
        if target is None:
            raise DataError(f"{place}: no target: 1 column", _columns_hint(f"write {describe_columns(columns)}"))
        yield Pair(source, target, number, path, path)


def _columns_hint(form: str) -> str:
    return f"{form}; task.columns says which columns are read"


def _match_parallel(files: Files) -> tuple[list[str], list[str]]:
    sources, targets = (matching_files(side) for side in (files.source or "", files.target or ""))
    if len(sources) != len(targets):
        raise InputError(
            f"{name_of(files)}: {len(sources)} source files and {len(targets)} target files",
            "give as many target files as source files",
        )
    return sources, targets


def _read_parallel(source_paths: list[str], target_paths: list[str]) -> Iterator[Pair]:
    for source_path, target_path in zip(source_paths, target_paths, strict=True):
        sources, targets = _read_lines(source_path), _read_lines(target_path)
        if len(sources) != len(targets):
            counts = f"{len(sources)} lines, but {target_path} has {len(targets)}"
            raise DataError(f"{source_path}: {counts}", "line N of one must belong to line N of the other")
        for number, (source, target) in enumerate(zip(sources, targets, strict=True), start=1):
            for path, text in ((source_path, source), (target_path, target)):
                if "\t" in text:
                    raise DataError(f"{path}:{number}: a tab in the text", "tabs separate columns; use a space")
            if source.strip() or target.strip():
                yield Pair(SourceText(source), target, number, source_path, target_path)


def _read_lines(path: str) -> list[str]:
    text = read_text(path)
    return text.removesuffix("\n").split("\n") if text else []
