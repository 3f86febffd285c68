"""Vocabularies: symbols to ids and back."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from rnncli.errors import DataError, InputError, SkippedError
from rnncli.files import read_json
from rnncli.text import quote

PAD, BOS, EOS = "<pad>", "<bos>", "<eos>"
PAD_ID, BOS_ID, EOS_ID, UNKNOWN_ID = 0, 1, 2, 3
"""Ids of the special symbols, in every vocabulary that has them."""
UNKNOWN = "<unk>"
"""The symbol for all that training did not have; the last special symbol of a vocabulary that has it."""
NO_SYMBOL = ""
"""Stands for padding within what is encoded; no text has it as a symbol."""
FIRST = "first: "
"""Stands before the symbols of the first of two texts in a source vocabulary; no tokenizer makes such a symbol."""
SPECIALS = (PAD, BOS, EOS, UNKNOWN)
"""All special symbols, in the order of their ids in a vocabulary that has them all."""


@dataclass(frozen=True)
class Vocabulary:
    """The symbols of one side of the data; the id of a symbol is its index.

    Special symbols come first; padding has id 0.
    """

    symbols: tuple[str, ...]

    @classmethod
    def of(cls, symbols: Iterable[str], specials: Sequence[str] = ()) -> Vocabulary:
        """Return the special symbols, then each distinct symbol in order of its code points."""
        return cls((*specials, *sorted(set(symbols))))

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each symbol."""
        return {symbol: index for index, symbol in enumerate(self.symbols)}

    def encode(self, symbols: Iterable[str]) -> list[int]:
        """Return the ids of symbols.

        Raises:
            DataError: A symbol is not in the vocabulary.
        """
        ids = self.ids
        try:
            return [ids[symbol] for symbol in symbols]
        except KeyError as unknown:
            raise DataError(f"the model does not know the symbol {quote(unknown.args[0])}") from None

    def encode_any(self, symbols: Iterable[str], unknown: UnknownSymbols | None = None) -> list[int]:
        """Return the ids of symbols; unknown symbols get the id of UNKNOWN, which the vocabulary must have.

        Text that looks like a special symbol is unknown too; `NO_SYMBOL` is padding.

        Args:
            symbols: The symbols.
            unknown: Counts the unknown symbols.
        """
        index_of, other = self._ids_of_text.get, self.ids[UNKNOWN]
        symbols = symbols if isinstance(symbols, (str, list)) else list(symbols)
        encoded = [index_of(symbol, other) for symbol in symbols]
        if unknown is not None and other in encoded:
            for symbol, index in zip(symbols, encoded, strict=True):
                if index == other:
                    unknown.add(symbol)
        return encoded

    @cached_property
    def _ids_of_text(self) -> dict[str, int]:
        last_special = self.ids[UNKNOWN]
        known = {symbol: index for symbol, index in self.ids.items() if index > last_special}
        return {NO_SYMBOL: PAD_ID, **known}

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Return the symbols of ids, special symbols included."""
        return [self.symbols[index] for index in ids]


class UnknownSymbols:
    """Counts symbols that a vocabulary does not have, in bounded memory.

    Attributes:
        total: Number of occurrences.
    """

    MAX_COUNTED, MAX_SHOWN, MAX_SYMBOL_LENGTH = 1000, 8, 40

    def __init__(self) -> None:
        self.total = 0
        self._counts: Counter[str] = Counter()
        self._latest: deque[str] = deque(maxlen=self.MAX_SHOWN)
        self._line: list[tuple[str, int]] | None = None

    @contextmanager
    def not_of_skipped(self) -> Iterator[None]:
        """Count what the block reads, unless it ends with `SkippedError`: what is skipped is not in the input."""
        self._line = []
        try:
            yield
        except SkippedError:
            for symbol, times in self._line:
                self.total -= times
                self._counts[symbol] -= times
            self._counts = +self._counts  # those above 0
            raise
        finally:
            self._line = None

    def add(self, symbol: str, times: int = 1) -> None:
        """Count occurrences; long symbols are cut."""
        self.total += times
        symbol = symbol[: self.MAX_SYMBOL_LENGTH]
        self._latest.append(symbol)
        if self._line is not None:
            self._line.append((symbol, times))
        if symbol in self._counts or len(self._counts) < self.MAX_COUNTED:
            self._counts[symbol] += times

    def take_latest(self) -> tuple[str, ...]:
        """Return the last occurrences since this was last called, at most `MAX_SHOWN`."""
        latest = tuple(self._latest)
        self._latest.clear()
        return latest

    def __str__(self) -> str:
        often = self._counts.most_common(self.MAX_SHOWN)
        shown = ", ".join(f"{symbol!r} {count}" for symbol, count in often)
        more = ", ..." if len(self._counts) > self.MAX_SHOWN else ""
        return f"{self.total} unknown symbol{'' if self.total == 1 else 's'} ({shown}{more})"


class Vocabularies(NamedTuple):
    """The vocabularies of both sides, as a run directory records them."""

    source: Vocabulary
    target: Vocabulary

    def of(self, side: str) -> Vocabulary:
        """Return the symbols of `source` or `target`, or of the `first` or the `second` of two texts alone.

        Their order is that of the rows of an embedding: the special symbols, then the others.
        """
        if side in ("source", "target"):
            return self.source if side == "source" else self.target
        kept = [s for s in self.source.symbols if s in (PAD, UNKNOWN) or s.startswith(FIRST) == (side == "first")]
        return Vocabulary(tuple(kept))


def vocabulary_digest(source: Vocabulary, target: Vocabulary) -> str:
    """Return the sha256 of the symbols of both sides, in order."""
    return hashlib.sha256(json.dumps([source.symbols, target.symbols]).encode()).hexdigest()


VOCABULARY = "vocabulary.json"
"""The file of a run directory that records the vocabularies."""

MAX_VOCABULARY = 16 * 2**20
"""Bytes of that file: about a million symbols."""


def format_vocabularies(source: Vocabulary, target: Vocabulary) -> bytes:
    """Return the symbols of both sides, in order of their ids, as a `vocabulary.json`.

    Raises:
        DataError: It would be too large for `read_vocabularies`.
    """
    symbols = {"source": source.symbols, "target": target.symbols}
    data = f"{json.dumps(symbols, ensure_ascii=False, indent=1)}\n".encode()
    if len(data) > MAX_VOCABULARY:
        raise DataError(
            f"the vocabularies of {len(source):,} and {len(target):,} symbols take {len(data):,} bytes, and a run "
            f"has room for {MAX_VOCABULARY:,}",
            "leave out rare symbols with task.min_frequency, or use shorter ones: task.tokenize: characters",
        )
    return data


def read_vocabularies(path: Path, root: Path | None = None) -> Vocabularies:
    """Return the vocabularies that a `vocabulary.json` records.

    Args:
        path: The file.
        root: The run directory that the file is in, if any; no link below it is followed.

    Raises:
        InputError: It cannot be read, or is something else.
    """
    recorded = read_json(path, root, MAX_VOCABULARY)
    for side in Vocabularies._fields:
        symbols = recorded.get(side)
        if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
            raise InputError(f"{path}: {side} symbols are not a list of text")
    return Vocabularies(*(Vocabulary(tuple(recorded[side])) for side in Vocabularies._fields))
