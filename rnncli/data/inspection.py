"""What stands in files of pairs, before anything is trained on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns, Files
from rnncli.data.pair_files import Pair, read_pairs
from rnncli.data.text_files import matching_files, read_text
from rnncli.data.tokenizers import normalizer, tokenizer
from rnncli.errors import DataError
from rnncli.text import shorten

Tokens = Literal["characters", "graphemes", "whitespace", "bytes"]
SHOWN_EXAMPLES = 3
WORDINGS = {
    "characters": ("characters", "", 80),
    "graphemes": ("graphemes", "", 80),
    "whitespace": ("words", " ", 12),
    "bytes": ("bytes", " ", 30),
}
"""What symbols are called, what stands between them where they are shown, and how many are shown."""
LOOKED_AT = 1000
"""Pairs by which columns and symbols are guessed."""

HEADINGS = {
    *("source", "target", "input", "output", "word", "lemma", "form", "inflected", "text", "label", "translation"),
    *("grapheme", "graphemes", "phoneme", "phonemes", "pronunciation", "spelling", "transcription", "normalized"),
}
"""What columns are named in a first line."""


@dataclass(frozen=True)
class Side:
    """The sources of all files, or the targets.

    Attributes:
        tokens: What a symbol is.
        counts: Each symbol of the training pairs and how often it is there.
        lengths: Symbols of each text in all files, features included, int64 [texts].
        trained: How many of the texts, the first ones, are to train on.
    """

    tokens: Tokens
    counts: Counter[str]
    lengths: NDArray[np.int64]
    trained: int

    @property
    def longest(self) -> int:
        """Symbols of the longest text."""
        return int(self.lengths.max())

    def __str__(self) -> str:
        kind, joint, shown = WORDINGS[self.tokens]
        symbols = [_visible(symbol) for symbol, _ in self.counts.most_common(shown)]
        more = " ..." if len(self.counts) > len(symbols) else ""
        once = sum(count == 1 for count in self.counts.values())
        lengths = self.lengths[: self.trained]
        beyond = f", {self.longest} in the other files" if self.longest > lengths.max() else ""
        return (
            f"{len(self.counts):,} different {kind}, {once:,} of them there once; "
            f"lengths {lengths.min()} to {lengths.max()}, median {int(np.median(lengths))}{beyond}\n"
            f"            {joint.join(symbols)}{more}"
        )


@dataclass(frozen=True)
class Survey:
    """What was seen.

    Attributes:
        files: The files by what they are for: train, validation, test.
        counts: How many pairs each has.
        columns: Which columns were read.
        source: The sources.
        target: The targets.
        features: Each feature of the training pairs and how often it is there.
        examples: Some training pairs.
        duplicates: Training pairs that stand there again.
        conflicts: Sources of training pairs that have several targets, with these.
        shared: For each file but the training one, pairs whose source is in training too.
    """

    files: Mapping[str, str]
    counts: Mapping[str, int]
    columns: Columns
    source: Side
    target: Side
    features: Counter[str]
    examples: Sequence[Pair]
    duplicates: int
    conflicts: Mapping[str, Sequence[str]]
    shared: Mapping[str, int]

    def __str__(self) -> str:
        named = ", ".join(f"{name} in column {column}" for name, column in self.columns.named.items())
        lines = [f"{self.files['train']}: {_pairs(self.counts['train'])}; {named}", ""]
        lines += [f"  {shorten(pair.source)}  ->  {shorten(pair.target)}" for pair in self.examples]
        if {self.examples[0].source.partition("\t")[0].lower(), self.examples[0].target.lower()} <= HEADINGS:
            lines.append("  the first reads like the names of columns: if it is none of the pairs, take it out")
        lines += ["", f"sources     {self.source}", f"targets     {self.target}"]
        if self.features:
            tags = ", ".join(f"{_visible(tag)} {count:,}" for tag, count in self.features.most_common(10))
            lines.append(f"features    {len(self.features):,} different: {tags}")
        lines += [f"duplicates  {self.duplicates:,} pairs stand there again", f"conflicts   {self._conflicts()}"]
        for part, shared in self.shared.items():
            counted = f"{_pairs(self.counts[part])}, {shared:,} with a source that is in training too"
            lines.append(f"{part:<10}  {self.files[part]}: {counted}")
        return "\n".join(lines)

    def _conflicts(self) -> str:
        text = f"{len(self.conflicts):,} sources with several targets"
        if self.conflicts:
            source, targets = next(iter(self.conflicts.items()))
            text += f", such as {shorten(source)}: {' / '.join(map(shorten, targets[:3]))}"
        return text


def guess_columns(path: str) -> Columns:
    """Features are the first column from the third on, or else the second, with semicolons in most lines.

    Source and target are the first two others.

    Args:
        path: A file or a glob.

    Raises:
        InputError: The file cannot be read.
        DataError: Its lines have one column.
    """
    rows = _first_rows(path)
    width = len(rows[0])
    whole = [row for row in rows if len(row) == width]
    able = [*range(2, width), *([1] if width > 2 else [])]
    tagged = [column for column in able if 2 * sum(";" in row[column] for row in whole) > len(rows)]
    source, target = [column + 1 for column in range(width) if column not in tagged[:1]][:2]
    features = tagged[0] + 1 if tagged else None
    count = width if width > max(source, target, features or 0) else None
    return Columns(source=source, target=target, features=features, count=count)


def count_columns(path: str) -> int:
    """How many columns the first line of a file or of a glob's first file has; raises as `guess_columns`."""
    return len(_first_rows(path)[0])


def _first_rows(path: str) -> list[list[str]]:
    first = matching_files(path)[0]
    filled = (line.split("\t") for line in read_text(first).split("\n") if line.strip())
    rows = list(islice(filled, LOOKED_AT))
    if not rows:
        raise DataError(f"{first}: no pairs in it", "a line is source, tab, target")
    if len(rows[0]) < 2:
        raise DataError(f"{first}: no tab in its first line", "a line is source, tab, target")
    return rows


def guess_tokens(texts: Sequence[str]) -> Tokens:
    """Words where most texts have several and the same words come again and again, else characters."""
    rows = [text.split() for text in texts[:LOOKED_AT]]
    words = [word for row in rows for word in row]
    several = sum(len(row) > 1 for row in rows)
    return "whitespace" if 2 * several > len(rows) and len(words) >= 10 * len(set(words)) else "characters"


def survey(files: Mapping[str, str], columns: Columns, tokens: tuple[Tokens | None, Tokens | None]) -> Survey:
    """Look at files of pairs.

    Args:
        files: Files with columns by what they are for; `train` is among them.
        columns: What stands where in a line.
        tokens: What a symbol is on either side; None is guessed.

    Raises:
        InputError: A file cannot be used.
    """
    clean = normalizer("nfc")
    pairs = {part: read_pairs(Files(file=path), columns, clean) for part, path in files.items()}
    train = pairs["train"]
    every = [pair for some in pairs.values() for pair in some]
    texts, tags = zip(
        *((text, _tags(more)) for text, _, more in (p.source.partition("\t") for p in every)), strict=True
    )
    source = _side(texts, len(train), tokens[0], [len(each) for each in tags])
    target = _side([pair.target for pair in every], len(train), tokens[1])
    targets: dict[str, list[str]] = {}
    for pair in dict.fromkeys((pair.source, pair.target) for pair in train):
        targets.setdefault(pair[0], []).append(pair[1])
    return Survey(
        files=files,
        counts={part: len(some) for part, some in pairs.items()},
        columns=columns,
        source=source,
        target=target,
        features=Counter(tag for some in tags[: len(train)] for tag in some),
        examples=train[:SHOWN_EXAMPLES],
        duplicates=len(train) - sum(map(len, targets.values())),
        conflicts={text: several for text, several in targets.items() if len(several) > 1},
        shared={part: sum(p.source in targets for p in some) for part, some in pairs.items() if part != "train"},
    )


def _side(texts: Sequence[str], trained: int, tokens: Tokens | None, more: Sequence[int] | None = None) -> Side:
    tokens = tokens or guess_tokens(texts[:trained])
    symbols = [tokenizer(tokens).split(text) for text in texts]
    counts = Counter(symbol for some in symbols[:trained] for symbol in some)
    lengths = np.array([len(some) for some in symbols], np.int64)
    return Side(tokens, counts, lengths if more is None else lengths + np.array(more), trained)


def _pairs(count: int) -> str:
    return f"{count:,} pair{'' if count == 1 else 's'}"


def _tags(features: str) -> list[str]:
    return [tag.strip() for tag in features.split(";") if tag.strip()]


def _visible(symbol: str) -> str:
    return "␣" if symbol == " " else shorten(symbol, 40)
