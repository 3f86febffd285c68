"""Training pairs whose symbols are in mapped files; see `rnncli.data.cache`.

The files hold numbers of symbols, in the order in which these were first seen, so that they serve any vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Files, PairsTask
from rnncli.data import cache
from rnncli.data.examples import Ids
from rnncli.data.mapped_rows import ArrayWriter, Copying, MappedRows, Room
from rnncli.data.padding import id_type
from rnncli.data.pair_encoding import Arrays, EncodedPairs, PairEncoder, SymbolNumbers, Symbols
from rnncli.data.pair_files import PairReader, name_of
from rnncli.data.tables import Reading
from rnncli.data.text_files import matching_files, text_in_pieces
from rnncli.data.vocabulary import EOS_ID, UNKNOWN_ID, Vocabularies, Vocabulary

DECIDES = {
    *("columns", "features", "feature_brackets", "tokenize", "normalize", "format", "header", "ragged_rows"),
    *("max_source_length", "max_target_length", "max_features", "too_long", "empty_target"),
}
"""Keys of the task's section that decide what is read of the training files."""
SIDES = ("source", "target")


class RowWriter(SymbolNumbers):
    """Writes the numbered symbols of the texts of one side into files.

    Args:
        folder: The folder.
        side: The name of the side.
        room: The bytes that they may take.
    """

    def __init__(self, folder: Path, side: str, room: Room) -> None:
        super().__init__()
        self._flat = ArrayWriter(folder / f"{side}.npy", np.uint8, room)
        self._bounds = ArrayWriter(folder / f"{side}_bounds.npy", np.uint32, room)
        self._bounds.append(np.zeros(1, np.uint32))
        self._longest = 0

    def add(self, rows: Sequence[Symbols], lengths: NDArray[np.int32]) -> None:
        """Write texts, given their symbols and the numbers of these."""
        ends = self._flat.count + np.cumsum(lengths, dtype=np.int64)
        self._flat.append(self.number(rows, lengths))
        self._bounds.append(ends.astype(np.uint32) if ends[-1] < 2**32 else ends)
        self._longest = max(self._longest, int(lengths.max()))

    def close(self) -> dict[str, Any]:
        """Complete the files; returns what else there is to know."""
        self._flat.close()
        self._bounds.close()
        counts, first_rows = self.counts.tolist(), self.first_rows.tolist()
        return {"symbols": self.symbols, "counts": counts, "first_rows": first_rows, "longest": self._longest}


@dataclass(frozen=True)
class MappedSide:
    """The texts of one side; see `SymbolNumbers`.

    Attributes:
        numbers: The numbers of all their symbols.
        bounds: Where each text begins, and the last one ends.
        longest: Symbols of the longest.
    """

    numbers: Ids
    bounds: Ids
    symbols: list[str]
    counts: NDArray[np.int64]
    first_rows: NDArray[np.int64]
    longest: int

    @classmethod
    def of(cls, entry: cache.Entry, side: str) -> MappedSide:
        """Return a side of an entry of the cache."""
        facts, arrays = entry.facts[side], entry.arrays
        counts, first_rows = (np.array(facts[name], np.int64) for name in ("counts", "first_rows"))
        bounds = arrays[f"{side}_bounds"]
        return cls(arrays[side], bounds, facts["symbols"], counts, first_rows, facts["longest"])

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def rows(
        self, vocabulary: Vocabulary, steps: int, end: int | None = None, copying: Copying | None = None
    ) -> MappedRows:
        """Return the texts as ids of a vocabulary; see `MappedRows`."""
        ids = np.array(vocabulary.encode_any(self.symbols), id_type(len(vocabulary)))
        return MappedRows(self.numbers, self.bounds, ids, steps, end, copying)

    def lengths(self, more: int = 0) -> Ids:
        """Return the length of each text and so many symbols more, int32 [texts]."""
        return np.diff(self.bounds).astype(np.int32) + np.int32(more)


@dataclass(frozen=True)
class MappedPairs(EncodedPairs):
    """Pairs whose symbols are in mapped files."""

    sources: MappedSide
    targets: MappedSide

    def take(self, vocabularies: Vocabularies, steps: int | None, copied_steps: int | None) -> Arrays:
        """See `EncodedPairs.take`; rows are `MappedRows`."""
        source, target = vocabularies
        sources = self.sources.rows(source, max(1, self.sources.longest))
        copying, symbols = None, (self.sources.symbols, self.targets.symbols)
        if copied_steps is not None and UNKNOWN_ID in target.encode_any(self.targets.symbols):
            copying = Copying(sources, symbols, len(target), copied_steps)
        targets = self.targets.rows(target, self.targets.longest + 1 if steps is None else steps, EOS_ID, copying)
        return Arrays(sources, self.sources.lengths(), targets, self.targets.lengths(1))  # type: ignore[arg-type]


def read_mapped_pairs(config: PairsTask, encoder: PairEncoder) -> MappedPairs | None:
    """Return the training pairs of a task from the cache, which they are written into if need be.

    Args:
        config: The task's section of the config.
        encoder: Encodes them.

    Returns:
        The pairs; None where they are to be kept in memory.

    Raises:
        InputError: They cannot be used.
    """
    files = config.train
    patterns = [name for name in (files.file, files.source, files.target) if name is not None]
    matched = [matching_files(pattern) for pattern in patterns]
    names, subjects = [*chain(*matched)], _subjects(files, matched)
    if config.hallucinate or not cache.is_mapped(config.data, names):
        return None

    def write(folder: Path, room: Room) -> dict[str, Any]:
        with cache.reading_bar(names, 2 if files.parallel else 1) as advance:
            open_text = partial(text_in_pieces, read=advance)
            reader = PairReader(files, config.columns, config.normalize, Reading.of(config), open_text)
            sides = RowWriter(folder, SIDES[0], room), RowWriter(folder, SIDES[1], room)
            encoder.encode(reader, sides)
        if [matching_files(pattern) for pattern in patterns] != matched:
            raise cache.changed()  # files that the entry's key does not know may have been read
        facts = {side: writer.close() for side, writer in zip(SIDES, sides, strict=True)}
        return {**facts, "count": reader.count, "notes": [_without_name(note, subjects) for note in reader.notes]}

    decides = {
        "files": [len(each) for each in matched],
        "tokenizers": [each.version for each in encoder.tokenizers.values()],
        **config.model_dump(mode="json", include=DECIDES),
    }
    entry = cache.fetch(decides, names, config.cache_limit, write)
    if entry is None:
        return None
    notes = [f"{subjects[number]}{rest}" for number, rest in entry.facts["notes"]]
    sides = (MappedSide.of(entry, side) for side in SIDES)
    return MappedPairs([], entry.facts["count"], (*notes, *entry.note(name_of(files))), *sides)


def _subjects(files: Files, matched: Sequence[Sequence[str]]) -> list[str]:
    """Return the names that notes begin with: that of all files, and of each file or two parallel ones."""
    return [name_of(files), *map(" and ".join, zip(*matched, strict=False))]  # uneven ones are refused when read


def _without_name(note: str, subjects: Sequence[str]) -> tuple[int, str]:
    """Return a note as the number of its subject and the rest, for other runs name the same files otherwise."""
    numbers = [number for number, name in enumerate(subjects) if note.startswith(f"{name}: ")]
    if not numbers:
        raise cache.changed()  # a file that matches now
    number = max(numbers, key=lambda number: len(subjects[number]))
    return number, note.removeprefix(subjects[number])
