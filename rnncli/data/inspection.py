"""A survey of files of pairs before training: columns, symbols, lengths, duplicates and conflicts."""

from __future__ import annotations

import textwrap
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns, Files
from rnncli.config.pairs import Tokens
from rnncli.data.columns import SourceText, describe_columns
from rnncli.data.pair_files import DistinctTexts, Pair, PairTexts
from rnncli.data.table_guess import MAX_GUESS_PAIRS, guess_tokens
from rnncli.data.tables import Reading
from rnncli.data.tokenizers import tokenizer
from rnncli.errors import DataError
from rnncli.text import shorten

MAX_RAGGED_SHARE = 0.1
"""Share of lines with another number of columns above which the columns are wrong, not the lines."""
MIN_COPIED_SHARE = 0.9
"""Share of the symbols of targets that sources have too, from which on a model that copies is proposed."""
WIDTH, INDENT = 79, 12
"""Columns of the report, and of the names before its lines."""


@dataclass(frozen=True)
class Side:
    """Statistics of the sources of all files, or of the targets.

    Attributes:
        tokens: The tokenizer.
        counts: Frequency of each symbol in the training pairs.
        lengths: Symbols of each text in all files, int64 [texts]; training texts come first.
        num_train: Number of training texts.
    """

    tokens: Tokens
    counts: Counter[str]
    lengths: NDArray[np.int64]
    num_train: int

    @property
    def longest(self) -> int:
        """Length of the longest text."""
        return int(self.lengths.max())

    def lines(self) -> list[str]:
        """Return the statistics in words, and the symbols, the most frequent ones first."""
        split_by = tokenizer(self.tokens)
        once = sum(count == 1 for count in self.counts.values())
        lengths = self.lengths[: self.num_train]
        beyond = f", {self.longest} in the other files" if self.longest > lengths.max() else ""
        return [
            f"{len(self.counts):,} distinct {split_by.unit}, {once:,} of them only once",
            f"lengths {lengths.min()} to {lengths.max()}, median {int(np.median(lengths))}{beyond}",
            _fitting([_visible(symbol) for symbol, _ in self.counts.most_common(WIDTH)], split_by.separator),
        ]


@dataclass(frozen=True)
class Survey:
    """Statistics of files of pairs.

    Attributes:
        files: The file of each split: train, validation, test.
        counts: Number of pairs of each split.
        columns: The columns that were read.
        source: Statistics of the sources.
        target: Statistics of the targets.
        features: Frequency of each feature in the training pairs.
        max_features: The most features of a source in all files.
        examples: The first training pairs.
        duplicates: Number of repeated training pairs.
        conflicts: Training sources with several targets, and these.
        shared: For each split but training, the number of pairs whose source is in training too, and with the same
            features.
        reading: The way that the files are read.
        notes: Messages for the user: header lines and other lines that were left out.
    """

    files: Mapping[str, str]
    counts: Mapping[str, int]
    columns: Columns
    source: Side
    target: Side
    features: Counter[str]
    max_features: int
    examples: Sequence[Pair]
    duplicates: int
    conflicts: Mapping[SourceText, Sequence[str]]
    shared: Mapping[str, tuple[int, int]]
    reading: Reading
    notes: Sequence[str]

    @property
    def copies(self) -> bool:
        """True if nearly all symbols of the training targets are symbols of sources too."""
        shared = sum(count for symbol, count in self.target.counts.items() if symbol in self.source.counts)
        return self.source.tokens == self.target.tokens and shared >= MIN_COPIED_SHARE * self.target.counts.total()

    def __str__(self) -> str:
        named = ", ".join(f"{name} in column {column}" for name, column in self.columns.named.items())
        lines = [f"{self.files['train']}: {_pairs(self.counts['train'])}; {named}"]
        lines += [*map(wrapped, self.notes), ""]
        room = (WIDTH - 8) // 2
        lines += [f"  {_cut(str(pair.source), room)}  ->  {_cut(pair.target, room)}" for pair in self.examples]
        lines += ["", *_named("sources", *self.source.lines()), *_named("targets", *self.target.lines())]
        if self.features:
            tags = ", ".join(f"{_visible(tag)} {count:,}" for tag, count in self.features.most_common(10))
            lines += _named("features", f"{len(self.features):,} distinct: {tags}")
        lines += _named("duplicates", f"{self.duplicates:,} repeated pairs")
        lines += _named("conflicts", self._conflicts())
        for part in self.shared:
            lines += _named(part, f"{self.files[part]}: {_pairs(self.counts[part])}", self._shared(part))
        return "\n".join(lines)

    def _shared(self, part: str) -> str:
        by_source, with_features = self.shared[part]
        alike = f", {with_features:,} with the same features" if self.columns.features is not None else ""
        return f"{by_source:,} with a source that is in training too{alike}"

    def _conflicts(self) -> str:
        text = f"{len(self.conflicts):,} source{'s' * (len(self.conflicts) != 1)} with several targets"
        if self.conflicts:
            source, targets = next(iter(self.conflicts.items()))
            shown = " / ".join(_cut(target, 30) for target in targets[:3])
            text += f", such as {_cut(str(source), 30)}: {shown}"
        return text


def survey(
    files: Mapping[str, str], columns: Columns, tokens: tuple[Tokens | None, Tokens | None], reading: Reading
) -> Survey:
    """Return statistics of files of pairs.

    Args:
        files: The file of each split; one is `train`.
        columns: The columns of a line.
        tokens: Tokenizers of source and target; None is guessed.
        reading: The way to read the files. Pairs without a target and a few lines with another number of columns are
            accepted, and the survey's `reading` says so.

    Raises:
        InputError: A file cannot be used.
    """
    read = {part: read_tolerantly(path, columns, reading) for part, path in files.items()}
    _refuse_no_targets(files["train"], read["train"], columns)
    train, others = read["train"], [each for part, each in read.items() if part != "train"]
    tags = {part: _tags(each.features, columns.feature_separator) for part, each in read.items()}
    features: Counter[str] = Counter()
    for each, count in zip(tags["train"], train.features.counts().tolist(), strict=True):
        for tag in each:
            features[tag] += count
    same = _Repeated(train)
    return Survey(
        files=files,
        counts={part: len(each) for part, each in read.items()},
        columns=columns,
        source=_side([each.sources for each in (train, *others)], tokens[0]),
        target=_side([each.targets for each in (train, *others)], tokens[1]),
        features=features,
        max_features=max(len(each) for some in tags.values() for each in some),
        examples=train.first,
        duplicates=same.duplicates,
        conflicts=same.conflicts,
        shared={part: _shared(train, each) for part, each in read.items() if part != "train"},
        reading=_found_reading(reading, list(read.values())),
        notes=[note for part, each in read.items() for note in (*each.notes, *_empty_note(files[part], each))],
    )


def read_tolerantly(path: str, columns: Columns, reading: Reading) -> PairTexts:
    """Return the pairs of a file, without a few lines that have another number of columns.

    Raises:
        InputError: The file cannot be read, or the columns are not those of its lines.
    """
    tolerant = replace(reading, ragged_rows="skip", empty_target="allow")
    try:
        read = PairTexts(Files(file=path), columns, "nfc", tolerant)
    except DataError:
        read = None
    if read is None or read.ragged > MAX_RAGGED_SHARE * len(read):
        read = PairTexts(Files(file=path), columns, "nfc", replace(tolerant, ragged_rows="error"))
    return read


def tolerant_reading(path: str, columns: Columns, reading: Reading) -> Reading:
    """Return how a file is read by a config that `survey` proposes.

    Raises:
        InputError: The file cannot be used.
    """
    read = read_tolerantly(path, columns, reading)
    _refuse_no_targets(path, read, columns)
    return _found_reading(reading, [read])


def _refuse_no_targets(path: str, read: PairTexts, columns: Columns) -> None:
    if read.empty == len(read):
        raise DataError(f"{path}: every target is empty", f"write {describe_columns(columns)}")


def _found_reading(reading: Reading, read: Sequence[PairTexts]) -> Reading:
    return replace(
        reading,
        ragged_rows="skip" if any(each.ragged for each in read) else "error",
        empty_target="allow" if any(each.empty for each in read) else "error",
    )


def _empty_note(path: str, read: PairTexts) -> list[str]:
    if not read.empty:
        return []
    which = "1 pair has" if read.empty == 1 else f"{read.empty:,} pairs have"
    return [f"{path}: {which} an empty target (task.empty_target: allow)"]


def _tags(features: DistinctTexts, separator: str) -> list[list[str]]:
    return [SourceText("", each).tags(separator) for each in features.numbers]


class _Repeated:
    """Pairs that a file has several times, and sources with several targets.

    Attributes:
        duplicates: Number of repeated pairs.
        conflicts: Sources with several targets, and these.
    """

    def __init__(self, read: PairTexts) -> None:
        num_features, num_targets = len(read.features.numbers), len(read.targets.numbers)
        whole = _with_features(read, read.sources.rows, read.features.rows)
        keys, numbers = np.unique(whole, return_inverse=True)
        pairs = np.unique(numbers.astype(np.int64) * num_targets + read.targets.rows)
        self.duplicates = len(read) - len(pairs)
        several = np.flatnonzero(np.bincount(pairs // num_targets) > 1)
        sources, features, targets = (list(each.numbers) for each in (read.sources, read.features, read.targets))
        self.conflicts: dict[SourceText, list[str]] = {}
        for key in several.tolist():
            source, feature = divmod(int(keys[key]), num_features)
            first, end = np.searchsorted(pairs, [key * num_targets, (key + 1) * num_targets])
            text = SourceText(sources[source], features[feature] if read.columns.features is not None else None)
            self.conflicts[text] = [targets[pair % num_targets] for pair in pairs[first:end].tolist()]


def _shared(train: PairTexts, other: PairTexts) -> tuple[int, int]:
    """Return the number of pairs whose source is in training too, and with the same features."""
    sources = _numbers_in(train.sources, other.sources)[other.sources.rows]
    features = _numbers_in(train.features, other.features)[other.features.rows]
    pairs = np.where(features >= 0, _with_features(train, sources, features), -1)
    same = np.isin(pairs[sources >= 0], _with_features(train, train.sources.rows, train.features.rows))
    return int((sources >= 0).sum()), int(same.sum())


def _with_features(read: PairTexts, sources: NDArray[np.integer], features: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return one number for each source and its features."""
    return sources.astype(np.int64) * len(read.features.numbers) + features


def _numbers_in(known: DistinctTexts, texts: DistinctTexts) -> NDArray[np.int64]:
    """Return the number that each distinct text has in others; -1 where it is new."""
    return np.array([known.numbers.get(text, -1) for text in texts.numbers], np.int64)


def _side(parts: Sequence[DistinctTexts], tokens: Tokens | None) -> Side:
    """Return statistics of a column; the first part is the training data."""
    train = parts[0]
    if tokens is None:
        first = list(islice(train.numbers, MAX_GUESS_PAIRS))
        tokens = guess_tokens([first[number] for number in train.rows[:MAX_GUESS_PAIRS].tolist()])
    split = tokenizer(tokens).split
    counts: Counter[str] = Counter()
    lengths = []
    for part in parts:
        found = np.zeros(len(part.numbers), np.int64)
        for number, (text, count) in enumerate(zip(part.numbers, part.counts().tolist(), strict=True)):
            symbols = split(text)
            found[number] = len(symbols)
            if part is train:
                for symbol in symbols:
                    counts[symbol] += count
        lengths.append(found[part.rows])
    return Side(tokens, counts, np.concatenate(lengths), len(train.rows))


def _pairs(count: int) -> str:
    return f"{count:,} pair{'' if count == 1 else 's'}"


def wrapped(text: str, indent: int = 2) -> str:
    """Return text in lines of the report's width, cut between words only."""
    return textwrap.fill(text, WIDTH, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)


def _named(name: str, *texts: str) -> list[str]:
    """Return texts on lines of their own, the first behind a name."""
    names = [name, *[""] * (len(texts) - 1)]
    return [wrapped(f"{each:<{INDENT}}{text}", INDENT) for each, text in zip(names, texts, strict=True)]


def _fitting(symbols: Sequence[str], separator: str) -> str:
    """Return as many symbols as fit on a line of the report."""
    shown: list[str] = []
    room = WIDTH - INDENT - len(" ...")
    for symbol in symbols:
        room -= sum(_columns_of(character) for character in symbol + separator)
        if room < 0:
            return separator.join(shown) + " ..."
        shown.append(symbol)
    return separator.join(shown)


def _cut(text: str, room: int) -> str:
    """Return the beginning of a text that fits into so many columns of a terminal."""
    shown = shorten(text, room)
    while sum(map(_columns_of, shown)) > room:
        shown = shown.removesuffix("...")[:-1] + "..."
    return shown


def _columns_of(character: str) -> int:
    """Return how many columns of a terminal a character takes."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _visible(symbol: str) -> str:
    """Return a symbol so that it can be seen: code points of those without a picture, marks on a circle."""
    if symbol == " ":
        return "␣"
    if any(not character.isprintable() or character.isspace() for character in symbol):
        return "".join(
            character if character.isprintable() and not character.isspace() else f"<U+{ord(character):04X}>"
            for character in symbol[:8]
        )
    return f"◌{symbol}" if unicodedata.category(symbol[0]).startswith("M") else shorten(symbol, 40)
