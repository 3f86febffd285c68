"""Pairs as ids, encoded a block at a time while their files are read.

Vocabularies may follow from the pairs themselves, so symbols are numbered in the order in which they are first seen,
and the numbers become ids when the vocabularies are known. No more than a block of pairs is held as text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, takewhile
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rnncli.config import PairsTask
from rnncli.data.columns import SourceText
from rnncli.data.copying import with_copies
from rnncli.data.examples import ExampleText, Ids
from rnncli.data.padding import id_type
from rnncli.data.pair_files import PairBlock, PairReader, Side
from rnncli.data.tokenizers import tokenizer
from rnncli.data.vocabulary import EOS_ID, NO_SYMBOL, UNKNOWN, UnknownSymbols, Vocabularies, Vocabulary
from rnncli.errors import DataError

FEATURE_PREFIX = ";"
"""The first character of the symbol of a feature. No other symbol has it and a second character, where symbols of
text are characters, graphemes or bytes."""


def is_feature(symbol: str) -> bool:
    """Return True if a symbol stands for a feature."""
    return symbol.startswith(FEATURE_PREFIX) and len(symbol) > 1


Symbols = Sequence[str]
"""The symbols of a text: a list, or the text itself where they are its characters."""


class SymbolNumbers:
    """Numbers symbols in the order in which they are first seen.

    Attributes:
        counts: Frequency of each symbol, by its number, int64 [symbols].
        first_rows: The row that each symbol was first seen in, int64 [symbols].
    """

    def __init__(self) -> None:
        self._numbers: defaultdict[str, int] = defaultdict()
        self._numbers.default_factory = self._numbers.__len__
        self.counts = self.first_rows = np.zeros(0, np.int64)
        self._rows = 0

    def __len__(self) -> int:
        return self._rows

    @property
    def symbols(self) -> list[str]:
        """The symbols in the order of their numbers."""
        return list(self._numbers)

    def number(self, rows: Sequence[Symbols], lengths: NDArray[np.int32]) -> Ids:
        """Return the numbers of the symbols of texts, one behind the other, of the smallest type.

        Args:
            rows: The symbols of each text.
            lengths: How many they are.
        """
        known = len(self._numbers)
        flat: Iterable[str] = "".join(rows) if isinstance(rows[0], str) else chain.from_iterable(rows)  # type: ignore[arg-type]
        numbers = np.fromiter(map(self._numbers.__getitem__, flat), np.int32, int(lengths.sum()))
        counts = np.bincount(numbers, minlength=len(self._numbers))
        counts[:known] += self.counts
        self.counts = counts
        if len(counts) > known:
            new, at = np.unique(numbers, return_index=True)
            rows_of = np.searchsorted(np.cumsum(lengths), at[new >= known], side="right")
            self.first_rows = np.concatenate([self.first_rows, self._rows + rows_of])
        self._rows += len(lengths)
        return numbers.astype(id_type(len(counts)))


class NumberedRows(SymbolNumbers):
    """The numbered symbols of the texts of one side, in memory."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[tuple[Ids, NDArray[np.int32]]] = []

    def add(self, rows: Sequence[Symbols], lengths: NDArray[np.int32]) -> None:
        """Add texts, given their symbols and the numbers of these."""
        self._blocks.append((self.number(rows, lengths), lengths))

    def rows_with(self, numbers: Sequence[int]) -> list[int]:
        """Return the rows that have any of these symbols, given their numbers."""
        found: list[int] = []
        begin = 0
        for flat, lengths in self._blocks:
            hits = np.flatnonzero(np.isin(flat, np.array(numbers, np.int64)))
            found += (begin + np.unique(np.searchsorted(np.cumsum(lengths), hits, side="right"))).tolist()
            begin += len(lengths)
        return found

    def symbols_of(self, rows: Sequence[int]) -> list[list[str]]:
        """Return the symbols of some rows, which ascend."""
        symbols, result, begin, left = self.symbols, list[list[str]](), 0, deque(rows)
        for flat, lengths in self._blocks:
            ends = np.cumsum(lengths)
            while left and left[0] < begin + len(lengths):
                at = left.popleft() - begin
                result.append([symbols[number] for number in flat[ends[at] - lengths[at] : ends[at]].tolist()])
            begin += len(lengths)
        return result

    def take(self, vocabulary: Vocabulary, steps: int | None = None, end: int | None = None) -> tuple[Ids, Ids]:
        """Return the texts as ids of a vocabulary, padded with 0, and their lengths; they are kept no longer.

        Args:
            vocabulary: The vocabulary, which has UNKNOWN.
            steps: Padded length; None is the length of the longest row.
            end: An id that each row ends with; it counts as part of the row.

        Returns:
            uint8, uint16 or int32 [rows, steps], and int32 [rows].
        """
        ids = np.array(vocabulary.encode_any(self.symbols), np.int32)
        more = 0 if end is None else 1
        if steps is None:
            steps = max(1, *(int(lengths.max()) + more for _, lengths in self._blocks))
        rows: Ids = np.zeros((self._rows, steps), id_type(len(vocabulary)))
        all_lengths, begin = np.zeros(self._rows, np.int32), 0
        self._blocks.reverse()
        while self._blocks:
            numbers, lengths = self._blocks.pop()
            part = rows[begin : begin + len(lengths)]
            part[np.arange(steps) < lengths[:, None]] = ids[numbers]
            if end is not None:
                part[np.arange(len(lengths)), lengths] = end
            all_lengths[begin : begin + len(lengths)] = lengths + more
            begin += len(lengths)
        return rows, all_lengths


class TakesRows(Protocol):
    """Takes the texts of one side as they are read."""

    def add(self, rows: Sequence[Symbols], lengths: NDArray[np.int32]) -> None:
        """Take texts, given their symbols and the numbers of these."""


class Arrays(NamedTuple):
    """The arrays of `Examples`."""

    source: NDArray[Any]
    source_lengths: Ids
    target: Ids
    target_lengths: Ids


class Rows(Protocol):
    """The texts of one side; see `SymbolNumbers`."""

    @property
    def symbols(self) -> Sequence[str]:
        """The symbols in the order of their numbers."""

    @property
    def counts(self) -> NDArray[np.int64]:
        """Frequency of each symbol."""

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """The row that each symbol was first seen in."""

    def __len__(self) -> int:
        """Return the number of rows."""


@dataclass(frozen=True)
class EncodedPairs(ABC):
    """Pairs that were read and encoded.

    Attributes:
        texts: The text of each pair, if it was asked for.
        count: Number of pairs that were read.
        notes: Messages for the user on what was left out.
        sources: The sources.
        targets: The targets.
    """

    texts: list[ExampleText]
    count: int
    notes: tuple[str, ...]
    sources: Rows
    targets: Rows

    @property
    def sides(self) -> tuple[Rows, Rows]:
        """The sources and the targets."""
        return self.sources, self.targets

    @abstractmethod
    def take(self, vocabularies: Vocabularies, steps: int | None, copied_steps: int | None) -> Arrays:
        """Return the arrays of `Examples`; the pairs are kept no longer.

        Args:
            vocabularies: Those of sources and targets.
            steps: Padded length of targets; None is that of the longest.
            copied_steps: Maximum length of a source whose symbols may be copied; None copies none.
        """

    def __len__(self) -> int:
        return len(self.sides[0])

    def unknown(self, vocabularies: Vocabularies) -> UnknownSymbols:
        """Return the symbols that the vocabularies do not have, in the order of the pairs."""
        found = []
        for side, (rows, vocabulary) in enumerate(zip(self.sides, vocabularies, strict=True)):
            symbols = rows.symbols
            known = vocabulary.encode_any(symbols)
            unknown = vocabulary.ids[UNKNOWN]
            for number, (symbol, index) in enumerate(zip(symbols, known, strict=True)):
                if index == unknown:
                    found.append((int(rows.first_rows[number]), side, number, symbol, int(rows.counts[number])))
        counted = UnknownSymbols()
        for *_, symbol, times in sorted(found):
            counted.add(symbol, times)
        return counted


@dataclass(frozen=True)
class PairsInMemory(EncodedPairs):
    """Pairs whose symbols are in memory."""

    sources: NumberedRows
    targets: NumberedRows

    def take(self, vocabularies: Vocabularies, steps: int | None, copied_steps: int | None) -> Arrays:
        """See `EncodedPairs.take`."""
        target = vocabularies.target
        copied = {} if copied_steps is None else self._texts_to_copy(target)
        sources = self.sources.take(vocabularies.source)
        targets, lengths = self.targets.take(target, steps, EOS_ID)
        if copied_steps is not None and copied:
            targets = with_copies(targets, copied, len(target), copied_steps)
        return Arrays(*sources, targets, lengths)

    def _texts_to_copy(self, target: Vocabulary) -> dict[int, tuple[list[str], list[str]]]:
        """Return the symbols of source and target, by row, where the target has one that a vocabulary has not."""
        known = target.encode_any(self.targets.symbols)
        unknown = [number for number, index in enumerate(known) if index == target.ids[UNKNOWN]]
        rows = self.targets.rows_with(unknown) if unknown else []
        sides = self.sources.symbols_of(rows), self.targets.symbols_of(rows)
        return dict(zip(rows, zip(*sides, strict=True), strict=True))


class PairEncoder:
    """Splits the texts of pairs into symbols, and encodes files of pairs.

    Args:
        config: The task's section of the config.

    Raises:
        InputError: A tokenizer needs a package that is not installed.
    """

    def __init__(self, config: PairsTask) -> None:
        self.config = config
        self.tokenizers = {"source": tokenizer(config.tokenize.source), "target": tokenizer(config.tokenize.target)}
        source_steps = config.leading_features + config.max_source_length
        self._limits = {"source": source_steps, "target": config.max_target_length}

    def tags(self, source: SourceText) -> list[str]:
        """Return the features of a source one by one."""
        return source.tags(self.config.columns.feature_separator, self.config.feature_brackets == "whole")

    def source_symbols(self, source: SourceText) -> list[str]:
        """Return the symbols of a source, with those of its features in their place.

        Those for an encoder of features are padded with `NO_SYMBOL` to `task.max_features`.
        """
        symbols = self.tokenizers["source"].split(source.text)
        if source.features is None:
            return symbols
        features = [FEATURE_PREFIX + tag for tag in self.tags(source)]
        features += [NO_SYMBOL] * (self.config.leading_features - len(features))
        return [*symbols, *features] if self.config.features == "appended" else [*features, *symbols]

    def length_problem(self, side: Side, symbols: Symbols) -> tuple[str, str] | None:
        """Return what a text has too many of, and the key that limits it; None if it is not too long."""
        extra = self.config.leading_features if side == "source" else 0
        if extra and self._has_more_features(symbols):
            count = sum(1 for _ in takewhile(is_feature, symbols))
            return f"{count} features, more than task.max_features ({extra})", "max_features"
        limit, length = self._limits[side] - extra, len(symbols) - extra
        key = f"max_{side}_length"
        return (f"{length} symbols, more than task.{key} ({limit})", key) if length > limit else None

    def _has_more_features(self, symbols: Symbols) -> bool:
        """Return True if a source has more features than an encoder of features reads."""
        extra = self.config.leading_features
        return len(symbols) > extra and is_feature(symbols[extra]) and is_feature(symbols[extra - 1])

    def read(self, reader: PairReader, *, with_texts: bool) -> EncodedPairs:
        """Read and encode pairs in memory; see `encode`.

        Args:
            reader: Reads the pairs.
            with_texts: Whether the text of each pair is kept too.
        """
        sides, texts = (NumberedRows(), NumberedRows()), list[ExampleText]()
        self.encode(reader, sides, texts if with_texts else None)
        return PairsInMemory(texts, reader.count, tuple(reader.notes), *sides)

    def encode(
        self, reader: PairReader, sides: tuple[TakesRows, TakesRows], texts: list[ExampleText] | None = None
    ) -> None:
        """Read pairs and encode them.

        Args:
            reader: Reads the pairs.
            sides: Take the symbols of sources and targets.
            texts: Takes the text of each pair; None keeps none.

        Raises:
            InputError: A file cannot be read.
            DataError: A line is not a pair, there is none, or one is too long and the config does not say to skip it;
                what is no pair is named before what is too long.
        """
        too_long: DataError | None = None
        for block in reader.blocks():
            if too_long is not None or not len(block):
                continue  # the rest is read for errors in its form
            try:
                kept = self._add(block, sides)
            except DataError as error:
                too_long = error
                continue
            if texts is not None:
                pairs = map(block.pair, kept.tolist())
                texts += [ExampleText(pair.line, str(pair.source), pair.target) for pair in pairs]
        if too_long is not None:
            raise too_long

    def _add(self, block: PairBlock, sides: tuple[TakesRows, TakesRows]) -> NDArray[np.int64]:
        """Add the pairs of a block that are not too long, and return their indices."""
        symbols = self._symbols_of(block)
        lengths = [np.fromiter(map(len, rows), np.int32, len(block)) for rows in symbols]
        fits = (lengths[0] <= self._limits["source"]) & (lengths[1] <= self._limits["target"])
        if self.config.leading_features:
            fits &= ~np.fromiter(map(self._has_more_features, symbols[0]), np.bool_, len(block))
        if not fits.all() and self.config.too_long == "error":
            raise self._too_long(block, int(np.argmin(fits)), symbols)
        kept: NDArray[np.int64] = np.flatnonzero(fits)
        if len(kept):
            for side, rows, counts in zip(sides, symbols, lengths, strict=True):
                whole = len(kept) == len(block)
                side.add(rows if whole else [rows[index] for index in kept.tolist()], counts[kept])
        return kept

    def _symbols_of(self, block: PairBlock) -> tuple[Sequence[Symbols], Sequence[Symbols]]:
        if block.features is None:
            sources = self._split_all("source", block.sources)
        else:
            sources = [self.source_symbols(block.pair(index).source) for index in range(len(block))]
        return sources, self._split_all("target", block.targets)

    def _split_all(self, side: Side, texts: Sequence[str]) -> Sequence[Symbols]:
        split: Any = self.tokenizers[side].split
        return texts if split is list else [split(text) for text in texts]  # a text has its characters already

    def _too_long(self, block: PairBlock, index: int, symbols: Sequence[Sequence[Symbols]]) -> DataError:
        sides: tuple[Side, Side] = ("source", "target")
        problems = ((side, self.length_problem(side, rows[index])) for side, rows in zip(sides, symbols, strict=True))
        side, (problem, key) = next((side, problem) for side, problem in problems if problem)
        return DataError(
            f"{block.pair(index).place(side)}: {side} of {problem}",
            f"raise task.{key}, or skip such pairs with task.too_long: skip",
        )
