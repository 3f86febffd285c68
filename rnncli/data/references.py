"""Sources that repeat: with several right targets, such as the pronunciations of a word, or in several files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Examples, Ids
from rnncli.data.vocabulary import UNKNOWN, UNKNOWN_ID, Vocabulary

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
"""An odd number with mixed bits, of Fibonacci hashing (Knuth 1998, section 6.4)."""
_HASHED_ROWS, _HASHED_IDS = 2**16, 2**20
"""Rows that are hashed at a time, and their padded ids."""
_SORTED_ROWS = 2**20
"""Rows that are sorted by their length at a time, so that those of files are read from one place after another."""


def rows_by_source(examples: Examples, vocabulary: Vocabulary) -> list[list[int]]:
    """Return the rows of each distinct source, in the order of their first rows.

    Sources with unknown symbols are told apart by their text; without text they are not put together.

    Args:
        examples: The examples.
        vocabulary: The source vocabulary of their task.
    """
    return _grouped(examples, vocabulary, range(len(examples)))


def _grouped(examples: Examples, vocabulary: Vocabulary, numbers: Sequence[int]) -> list[list[int]]:
    """Return what `rows_by_source` does, of some rows."""
    rows, unknown = defaultdict(list), vocabulary.ids.get(UNKNOWN)
    for row in numbers:
        steps, text = examples.source[row], ""
        if unknown is not None and unknown in steps:
            text = examples.texts[row].source if examples.texts else str(row)
        rows[steps[: examples.source_lengths[row]].tobytes(), text].append(row)
    return list(rows.values())


def note_several_targets(examples: Examples, vocabulary: Vocabulary, name: str) -> list[str]:
    """Return a note where sources of the training data repeat with other targets.

    Args:
        examples: The examples.
        vocabulary: The source vocabulary of their task.
        name: The name of their file.
    """
    targets = examples.target
    both = _hashes(examples.source, examples.source_lengths)
    repeated = _repeated(both)
    # a source whose pairs are all alike has one target
    several_rows = repeated[_several(both[repeated], _hashes(targets[repeated], examples.target_lengths[repeated]))]
    found = [rows for rows in _grouped(examples, vocabulary, several_rows.tolist()) if len(rows) > 1]
    several = [rows for rows in found if (targets[rows] != targets[rows[0]]).any()]
    if not several:
        return []
    who = "1 source has" if len(several) == 1 else f"{len(several)} sources have"
    return [
        f"{name}: {who} several targets, in {sum(map(len, several))} of {len(examples)} "
        "examples; `rnncli evaluate --references any` counts a prediction as right if it meets any of them"
    ]


def count_shared_sources(examples: Examples, train: Examples, ignored: Sequence[int] = ()) -> int:
    """Return how many examples have a source that training has; sources with unknown symbols do not count.

    Args:
        examples: The examples.
        train: The training examples.
        ignored: Ids that do not count as part of a source, such as those of features.
    """
    dtype = train.source.dtype

    def key(row: Ids, length: int) -> bytes:
        ids = row[:length].astype(dtype)
        return ids[~np.isin(ids, ignored)].tobytes() if len(ignored) else ids.tobytes()

    hashes = np.sort(_hashes(examples.source, examples.source_lengths, ignored))
    alike = _rows_among(_hashes(train.source, train.source_lengths, ignored), hashes)
    seen = {key(train.source[row], train.source_lengths[row]) for row in alike}
    rows = zip(examples.source, examples.source_lengths, strict=True)
    return sum(UNKNOWN_ID not in row[:length] and key(row, length) in seen for row, length in rows)


def _hashes(rows: NDArray[Any], lengths: Ids, ignored: Sequence[int] = ()) -> NDArray[np.uint64]:
    """Return a number for each row of ids, uint64 [rows]; equal rows have the same, whatever their padding.

    Args:
        rows: An array or `RaggedRows`.
        lengths: int [rows].
        ignored: Ids that do not count.
    """
    hashes = np.zeros(len(rows), np.uint64)
    for part in _parts(lengths):
        ids, of_part = np.asarray(rows[part])[:, : max(1, int(lengths[part[0]]))], hashes[part]
        counted = np.arange(ids.shape[1]) < lengths[part, None]
        if len(ignored):
            counted &= ~np.isin(ids, ignored)
        for column in range(ids.shape[1]):
            mixed = (of_part ^ (ids[:, column].astype(np.uint64) + np.uint64(1))) * _MULTIPLIER
            np.copyto(of_part, mixed ^ (mixed >> np.uint64(29)), where=counted[:, column])
        hashes[part] = of_part
    return hashes


def _parts(lengths: Ids) -> Iterator[NDArray[np.int64]]:
    """Yield the numbers of rows of similar lengths, the longest first, until all were there."""
    for first in range(0, len(lengths), _SORTED_ROWS):
        longest_first = first + np.argsort(-lengths[first : first + _SORTED_ROWS], kind="stable")
        begin = 0
        while begin < len(longest_first):
            steps = max(1, int(lengths[longest_first[begin]]))
            part = longest_first[begin : begin + max(1, min(_HASHED_ROWS, _HASHED_IDS // steps))]
            yield part
            begin += len(part)


def _repeated(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the numbers of the rows whose hash another row has too, in order."""
    ordered = np.sort(hashes)
    return _rows_among(hashes, ordered[1:][ordered[1:] == ordered[:-1]])


def _rows_among(hashes: NDArray[np.uint64], some: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the numbers of the rows whose hash is one of some, which are sorted."""
    found = [np.zeros(0, np.int64)]
    for begin in range(0, len(hashes) if len(some) else 0, _HASHED_ROWS):
        part = hashes[begin : begin + _HASHED_ROWS]
        place = np.minimum(np.searchsorted(some, part), len(some) - 1)
        found.append(begin + np.flatnonzero(some[place] == part))
    return np.concatenate(found)


def _several(sources: NDArray[np.uint64], targets: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Return which rows have a source whose targets are not all the same, by their hashes."""
    _, first, group = np.unique(sources, return_index=True, return_inverse=True)
    differs = targets != targets[first][group]
    return np.bincount(group, differs, minlength=len(first))[group] > 0
