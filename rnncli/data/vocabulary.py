"""Symbols to ids and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from rnncli.errors import DataError, InputError
from rnncli.files import read_json
from rnncli.text import quote

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
PAD_ID, BOS_ID, EOS_ID, UNKNOWN_ID = 0, 1, 2, 3
"""Ids of the special symbols, in every vocabulary that has them."""
UNKNOWN = "<unk>"
"""Stands for every symbol that training did not have, in vocabularies that have it; the last special one there."""
SPECIALS = (PAD, BOS, EOS, UNKNOWN)
"""All special symbols, in the order of their ids in a vocabulary that has them all."""


@dataclass(frozen=True)
class Vocabulary:
    """The symbols of one side of the data; a symbol's id is its place.

    Where there are special symbols they come first, and padding has id 0.
    """

    symbols: tuple[str, ...]

    @classmethod
    def of(cls, symbols: Iterable[str], specials: Sequence[str] = ()) -> Vocabulary:
        """The special symbols, then each distinct symbol in order of its code points."""
        return cls((*specials, *sorted(set(symbols))))

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def ids(self) -> dict[str, int]:
        """Symbol to id."""
        return {symbol: index for index, symbol in enumerate(self.symbols)}

    def encode(self, symbols: Iterable[str]) -> list[int]:
        """Ids of the symbols.

        Raises:
            DataError: A symbol is not in the vocabulary.
        """
        ids = self.ids
        try:
            return [ids[symbol] for symbol in symbols]
        except KeyError as unknown:
            raise DataError(f"the model does not know the symbol {quote(unknown.args[0])}") from None

    def encode_any(self, symbols: Iterable[str], unknown: Unknown | None = None) -> list[int]:
        """Ids of the symbols; what the vocabulary does not have gets the id of UNKNOWN, which it must have.

        Text that reads like a special symbol is none: it is unknown too.

        Args:
            symbols: The symbols.
            unknown: Counts those that got the id of UNKNOWN.
        """
        ids, other, encoded = self._ids_of_text, self.ids[UNKNOWN], []
        for symbol in symbols:
            index = ids.get(symbol, other)
            if index == other and unknown is not None:
                unknown.add(symbol)
            encoded.append(index)
        return encoded

    @cached_property
    def _ids_of_text(self) -> dict[str, int]:
        last_special = self.ids[UNKNOWN]
        return {symbol: index for symbol, index in self.ids.items() if index > last_special}

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Symbols of the ids, special ones included."""
        return [self.symbols[index] for index in ids]


class Unknown:
    """Counts symbols that a vocabulary does not have; memory is bounded, whatever comes.

    Attributes:
        total: How many, every occurrence counted.
    """

    MOST_KEPT, MOST_SHOWN, LONGEST_KEPT = 1000, 8, 40

    def __init__(self) -> None:
        self.total = 0
        self._counts: Counter[str] = Counter()

    def add(self, symbol: str) -> None:
        """Count one; of a long symbol the beginning is kept."""
        self.total += 1
        symbol = symbol[: self.LONGEST_KEPT]
        if symbol in self._counts or len(self._counts) < self.MOST_KEPT:
            self._counts[symbol] += 1

    def __str__(self) -> str:
        often = self._counts.most_common(self.MOST_SHOWN)
        shown = ", ".join(f"{symbol!r} {count}" for symbol, count in often)
        more = ", ..." if len(self._counts) > self.MOST_SHOWN else ""
        return f"{self.total} unknown symbol{'' if self.total == 1 else 's'} ({shown}{more})"


class Vocabularies(NamedTuple):
    """The symbols of both sides, as a run directory records them."""

    source: Vocabulary
    target: Vocabulary


VOCABULARY = "vocabulary.json"
"""The file of a run directory that records them."""


MAX_VOCABULARY = 16 * 2**20
"""Bytes: those of about a million symbols."""


def read_vocabularies(path: Path, root: Path | None = None) -> Vocabularies:
    """The symbols that a `vocabulary.json` records, in a run directory `root` if that is given.

    Raises:
        InputError: It cannot be read, or holds something else.
    """
    recorded = read_json(path, root, MAX_VOCABULARY)
    for side in Vocabularies._fields:
        symbols = recorded.get(side)
        if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
            raise InputError(f"{path}: {side} symbols are not a list of symbols")
    return Vocabularies(*(Vocabulary(tuple(recorded[side])) for side in Vocabularies._fields))
