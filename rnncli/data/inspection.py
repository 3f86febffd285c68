"""A survey of files of pairs before training: columns, symbols, lengths, duplicates and conflicts."""

from __future__ import annotations

import textwrap
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns, Files
from rnncli.config.pairs import Tokens
from rnncli.data.columns import SourceText
from rnncli.data.pair_files import Pair, PairFiles
from rnncli.data.table_guess import guess_tokens
from rnncli.data.tables import Reading
from rnncli.data.tokenizers import tokenizer
from rnncli.errors import DataError
from rnncli.text import shorten

MAX_SHOWN_EXAMPLES = 3
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
        text = f"{len(self.conflicts):,} sources with several targets"
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
    pairs = {part: each.pairs for part, each in read.items()}
    train = pairs["train"]
    texts = {pair.source.text for pair in train}
    every = [pair for some in pairs.values() for pair in some]
    sources = [pair.source for pair in every]
    separator = columns.feature_separator
    source = _side([each.text for each in sources], len(train), tokens[0])
    target = _side([pair.target for pair in every], len(train), tokens[1])
    targets: dict[SourceText, list[str]] = {}
    for pair in dict.fromkeys((pair.source, pair.target) for pair in train):
        targets.setdefault(pair[0], []).append(pair[1])
    return Survey(
        files=files,
        counts={part: len(some) for part, some in pairs.items()},
        columns=columns,
        source=source,
        target=target,
        features=Counter(tag for pair in train for tag in pair.source.tags(separator)),
        max_features=max(len(each.tags(separator)) for each in sources),
        examples=train[:MAX_SHOWN_EXAMPLES],
        duplicates=len(train) - sum(map(len, targets.values())),
        conflicts={text: several for text, several in targets.items() if len(several) > 1},
        shared={
            part: (sum(p.source.text in texts for p in some), sum(p.source in targets for p in some))
            for part, some in pairs.items()
            if part != "train"
        },
        reading=replace(
            reading,
            ragged_rows="skip" if any(each.ragged for each in read.values()) else "error",
            empty_target="allow" if any(each.empty for each in read.values()) else "error",
        ),
        notes=[note for part, each in read.items() for note in (*each.notes, *_empty_note(files[part], each))],
    )


def read_tolerantly(path: str, columns: Columns, reading: Reading) -> PairFiles:
    """Return the pairs of a file, without a few lines that have another number of columns.

    Raises:
        InputError: The file cannot be read, or the columns are not those of its lines.
    """
    tolerant = replace(reading, ragged_rows="skip", empty_target="allow")
    try:
        read = PairFiles(Files(file=path), columns, "nfc", tolerant)
    except DataError:
        read = None
    if read is None or read.ragged > MAX_RAGGED_SHARE * len(read.pairs):
        return PairFiles(Files(file=path), columns, "nfc", replace(tolerant, ragged_rows="error"))
    return read


def _empty_note(path: str, read: PairFiles) -> list[str]:
    return [f"{path}: {read.empty:,} pairs have an empty target (task.empty_target: allow)"] if read.empty else []


def _side(texts: Sequence[str], num_train: int, tokens: Tokens | None) -> Side:
    tokens = tokens or guess_tokens(texts[:num_train])
    symbols = [tokenizer(tokens).split(text) for text in texts]
    counts = Counter(symbol for some in symbols[:num_train] for symbol in some)
    lengths = np.array([len(some) for some in symbols], np.int64)
    return Side(tokens, counts, lengths, num_train)


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
