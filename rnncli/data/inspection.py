"""A survey of files of pairs before training: columns, symbols, lengths, duplicates and conflicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns, Files
from rnncli.config.pairs import Tokens
from rnncli.data.columns import SourceText
from rnncli.data.pair_files import Pair, PairFiles
from rnncli.data.text_files import matching_files, read_text
from rnncli.data.tokenizers import normalizer, tokenizer
from rnncli.errors import DataError
from rnncli.text import shorten

MAX_SHOWN_EXAMPLES = 3
SYMBOL_KINDS = {
    "characters": ("characters", "", 80),
    "graphemes": ("graphemes", "", 80),
    "whitespace": ("words", " ", 12),
    "bytes": ("bytes", " ", 30),
}
"""For each tokenizer the name of its symbols, the separator between shown symbols, and how many are shown."""
MAX_GUESS_PAIRS = 1000
"""Pairs from which columns and tokenizers are guessed."""

HEADINGS = {
    *("source", "target", "input", "output", "word", "lemma", "form", "inflected", "text", "label", "translation"),
    *("grapheme", "graphemes", "phoneme", "phonemes", "pronunciation", "spelling", "transcription", "normalized"),
}
"""Usual names of columns in a header line."""


@dataclass(frozen=True)
class Side:
    """Statistics of the sources of all files, or of the targets.

    Attributes:
        tokens: The tokenizer.
        counts: Frequency of each symbol in the training pairs.
        lengths: Symbols of each text in all files, features included, int64 [texts]; training texts come first.
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

    def __str__(self) -> str:
        name, separator, max_shown = SYMBOL_KINDS[self.tokens]
        symbols = [_visible(symbol) for symbol, _ in self.counts.most_common(max_shown)]
        more = " ..." if len(self.counts) > len(symbols) else ""
        once = sum(count == 1 for count in self.counts.values())
        lengths = self.lengths[: self.num_train]
        beyond = f", {self.longest} in the other files" if self.longest > lengths.max() else ""
        return (
            f"{len(self.counts):,} distinct {name}, {once:,} of them only once; "
            f"lengths {lengths.min()} to {lengths.max()}, median {int(np.median(lengths))}{beyond}\n"
            f"            {separator.join(symbols)}{more}"
        )


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
        examples: The first training pairs.
        duplicates: Number of repeated training pairs.
        conflicts: Training sources with several targets, and these.
        shared: Number of pairs whose source is in training too, for each split but training.
    """

    files: Mapping[str, str]
    counts: Mapping[str, int]
    columns: Columns
    source: Side
    target: Side
    features: Counter[str]
    examples: Sequence[Pair]
    duplicates: int
    conflicts: Mapping[SourceText, Sequence[str]]
    shared: Mapping[str, int]

    def __str__(self) -> str:
        named = ", ".join(f"{name} in column {column}" for name, column in self.columns.named.items())
        lines = [f"{self.files['train']}: {_pairs(self.counts['train'])}; {named}", ""]
        lines += [f"  {shorten(str(pair.source))}  ->  {shorten(pair.target)}" for pair in self.examples]
        if {self.examples[0].source.text.lower(), self.examples[0].target.lower()} <= HEADINGS:
            lines.append("  the first line looks like a header; if it is not a pair, remove it")
        lines += ["", f"sources     {self.source}", f"targets     {self.target}"]
        if self.features:
            tags = ", ".join(f"{_visible(tag)} {count:,}" for tag, count in self.features.most_common(10))
            lines.append(f"features    {len(self.features):,} distinct: {tags}")
        lines += [f"duplicates  {self.duplicates:,} repeated pairs", f"conflicts   {self._conflicts()}"]
        for part, shared in self.shared.items():
            counted = f"{_pairs(self.counts[part])}, {shared:,} with a source that is in training too"
            lines.append(f"{part:<10}  {self.files[part]}: {counted}")
        return "\n".join(lines)

    def _conflicts(self) -> str:
        text = f"{len(self.conflicts):,} sources with several targets"
        if self.conflicts:
            source, targets = next(iter(self.conflicts.items()))
            text += f", such as {shorten(str(source))}: {' / '.join(map(shorten, targets[:3]))}"
        return text


def guess_columns(path: str) -> Columns:
    """Guess which columns are source, target and features.

    Features are the first column from the third on, or else the second, with semicolons in most lines. Source and
    target are the first two others.

    Args:
        path: A file or a glob.

    Raises:
        InputError: The file cannot be read.
        DataError: Its lines have one column.
    """
    rows = _first_rows(path)
    width = len(rows[0])
    complete = [row for row in rows if len(row) == width]
    candidates = [*range(2, width), *([1] if width > 2 else [])]
    tagged = [column for column in candidates if 2 * sum(";" in row[column] for row in complete) > len(rows)]
    source, target = [column + 1 for column in range(width) if column not in tagged[:1]][:2]
    features = tagged[0] + 1 if tagged else None
    count = width if width > max(source, target, features or 0) else None
    return Columns(source=source, target=target, features=features, count=count)


def count_columns(path: str) -> int:
    """Return the number of columns in the first line of a file, or of a glob's first file.

    Raises:
        InputError: The file cannot be read.
        DataError: Its first line has one column.
    """
    return len(_first_rows(path)[0])


def _first_rows(path: str) -> list[list[str]]:
    first = matching_files(path)[0]
    filled = (line.split("\t") for line in read_text(first).split("\n") if line.strip())
    rows = list(islice(filled, MAX_GUESS_PAIRS))
    if not rows:
        raise DataError(f"{first}: no pairs in it", "write source, tab, target")
    if len(rows[0]) < 2:
        raise DataError(f"{first}: no tab in its first line", "write source, tab, target")
    return rows


def guess_tokens(texts: Sequence[str]) -> Tokens:
    """Guess the tokenizer: words where most texts have several and few are rare; else characters."""
    rows = [text.split() for text in texts[:MAX_GUESS_PAIRS]]
    words = [word for row in rows for word in row]
    several = sum(len(row) > 1 for row in rows)
    return "whitespace" if 2 * several > len(rows) and len(words) >= 10 * len(set(words)) else "characters"


def survey(files: Mapping[str, str], columns: Columns, tokens: tuple[Tokens | None, Tokens | None]) -> Survey:
    """Return statistics of files of pairs.

    Args:
        files: The file of each split; one is `train`.
        columns: The columns of a line.
        tokens: Tokenizers of source and target; None is guessed.

    Raises:
        InputError: A file cannot be used.
    """
    clean = normalizer("nfc")
    pairs = {part: PairFiles(Files(file=path), columns, clean).pairs for part, path in files.items()}
    train = pairs["train"]
    every = [pair for some in pairs.values() for pair in some]
    sources = [pair.source for pair in every]
    source = _side([each.text for each in sources], len(train), tokens[0], [len(each.tags) for each in sources])
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
        features=Counter(tag for pair in train for tag in pair.source.tags),
        examples=train[:MAX_SHOWN_EXAMPLES],
        duplicates=len(train) - sum(map(len, targets.values())),
        conflicts={text: several for text, several in targets.items() if len(several) > 1},
        shared={part: sum(p.source in targets for p in some) for part, some in pairs.items() if part != "train"},
    )


def _side(
    texts: Sequence[str], num_train: int, tokens: Tokens | None, num_features: Sequence[int] | None = None
) -> Side:
    tokens = tokens or guess_tokens(texts[:num_train])
    symbols = [tokenizer(tokens).split(text) for text in texts]
    counts = Counter(symbol for some in symbols[:num_train] for symbol in some)
    lengths = np.array([len(some) for some in symbols], np.int64)
    return Side(tokens, counts, lengths if num_features is None else lengths + np.array(num_features), num_train)


def _pairs(count: int) -> str:
    return f"{count:,} pair{'' if count == 1 else 's'}"


def _visible(symbol: str) -> str:
    return "␣" if symbol == " " else shorten(symbol, 40)
