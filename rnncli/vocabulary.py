"""Symbols to ids and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from rnncli.errors import DataError

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
PAD_ID, BOS_ID, EOS_ID = 0, 1, 2
"""Ids of the special symbols, in every vocabulary that has them."""
UNKNOWN, UNKNOWN_ID = "<unk>", 1
"""Stands for every symbol that the training data does not have, in vocabularies without BOS."""


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
            raise DataError(f"the model does not know the symbol {unknown.args[0]!r}") from None

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Symbols of the ids, special ones included."""
        return [self.symbols[index] for index in ids]
