"""A training text whose symbols are in a mapped file; see `rnncli.data.cache`.

The file holds numbers of symbols, in the order in which these were first seen, so that it serves any vocabulary and
any window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.config import TextTask
from rnncli.data import cache
from rnncli.data.examples import Ids
from rnncli.data.mapped_rows import ArrayWriter, MappedWindows, Room
from rnncli.data.pair_encoding import SymbolNumbers
from rnncli.data.text_files import text_names, texts_in_pieces
from rnncli.data.tokenizers import tokenizer
from rnncli.data.vocabulary import UNKNOWN, UnknownSymbols, Vocabulary

DECIDES = {"tokenize", "normalize"}
"""Keys of the task's section that decide what is read of the training text."""
COUNTED_AT_A_TIME = 2**20


@dataclass(frozen=True)
class MappedText:
    """The symbols of a text, which stay in a file.

    Attributes:
        numbers: Their numbers, int [symbols].
        symbols: The distinct symbols in the order of their numbers; a part of a text may lack some.
        notes: Messages for the user.
    """

    numbers: Ids
    symbols: Sequence[str]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, part: slice) -> MappedText:
        """Return a part of the text; the first one has the notes."""
        return replace(self, numbers=self.numbers[part], notes=() if part.start else self.notes)

    def frequencies(self) -> dict[str, int]:
        """Return how often each symbol occurs."""
        counts: NDArray[np.int64] = np.zeros(len(self.symbols), np.int64)
        for block in self._blocks():
            counts += np.bincount(block, minlength=len(counts))
        return {symbol: count for symbol, count in zip(self.symbols, counts.tolist(), strict=True) if count}

    def windows(self, vocabulary: Vocabulary, count: int, size: int) -> tuple[MappedWindows, MappedWindows]:
        """Return windows of the text as ids of a vocabulary, and those that begin a symbol later."""
        ids = np.array(vocabulary.encode_any(self.symbols), np.int32)
        return MappedWindows(self.numbers, ids, count, size), MappedWindows(self.numbers[1:], ids, count, size)

    def unknown(self, vocabulary: Vocabulary) -> UnknownSymbols:
        """Return the symbols that a vocabulary does not have, in the order of the text."""
        is_unknown = np.array(vocabulary.encode_any(self.symbols)) == vocabulary.ids[UNKNOWN]
        times: dict[int, int] = {}
        for block in self._blocks() if is_unknown.any() else ():
            found = block[is_unknown[block]]
            numbers, first, counts = np.unique(found, return_index=True, return_counts=True)
            for at in np.argsort(first).tolist():
                times[int(numbers[at])] = times.get(int(numbers[at]), 0) + int(counts[at])
        unknown = UnknownSymbols()
        for number, count in times.items():
            unknown.add(self.symbols[number], count)
        return unknown

    def _blocks(self) -> Iterator[Ids]:
        for begin in range(0, len(self.numbers), COUNTED_AT_A_TIME):
            yield self.numbers[begin : begin + COUNTED_AT_A_TIME]


def read_mapped_text(config: TextTask, split: Callable[[str], Sequence[str]]) -> MappedText | None:
    """Return the training text of a task from the cache, which it is written into if need be.

    Args:
        config: The task's section of the config, which names a text.
        split: Returns the symbols of whole lines of text, in the normal form of the config.

    Returns:
        The text; None where it is to be kept in memory.

    Raises:
        InputError: It cannot be used.
    """
    pattern = config.train or ""
    names = text_names(pattern)
    if not cache.is_mapped(config.data, names):
        return None

    def write(folder: Path, room: Room) -> dict[str, Any]:
        symbols, writer = SymbolNumbers(), ArrayWriter(folder / "text.npy", np.uint8, room)
        with cache.reading_bar(names) as advance:
            for piece in texts_in_pieces(names, advance):
                if found := split(piece):
                    writer.append(symbols.number([found], np.array([len(found)], np.int32)))
        writer.close()
        return {"symbols": symbols.symbols}

    decides = {"tokenizer": tokenizer(config.tokenize).version, **config.model_dump(mode="json", include=DECIDES)}
    entry = cache.fetch(decides, names, config.cache_limit, write)
    return None if entry is None else MappedText(entry.arrays["text"], entry.facts["symbols"], entry.note(pattern))
