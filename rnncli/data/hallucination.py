"""Hallucinated pairs: training pairs whose stems are made of other letters (Anastasopoulos & Neubig 2019, section 3).

A stem is a run of symbols that source and target share, so that a model learns from such pairs to copy any stem, and
how the rest changes. It works for inflection and for other tasks that copy most of the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Examples, Ids
from rnncli.data.vocabulary import SPECIALS, Vocabularies
from rnncli.errors import DataError

MIN_STEM = 3
"""The smallest number of symbols in a row that count as a stem."""
MAX_STEM_REPLACED_WHOLE = 5
"""In longer stems the first and the last symbol stay, as the authors' code has it."""
REPLACED_SHARE = 0.5
"""The probability of each other symbol of a stem to be replaced, as the authors' code has it."""
MAX_TRIES = 100
"""Times in a row that a made-up source may be one that is there already, before a pair is given up."""


@dataclass(frozen=True)
class Letters:
    """The letters that both vocabularies have.

    Attributes:
        shared: What copying each source id writes: a target id, or -1 for symbols that only one side has and special
            symbols; int64 [source symbols].
        choices: Source ids of the letters that stems are made of, int64 [letters].
        is_text: Whether a source id is part of the text, and no feature or special symbol, bool [source symbols].
    """

    shared: NDArray[np.int64]
    choices: NDArray[np.int64]
    is_text: NDArray[np.bool_]

    @classmethod
    def of(cls, vocabularies: Vocabularies, features: Sequence[int]) -> Letters:
        """Return the letters of two vocabularies.

        Args:
            vocabularies: The vocabularies of both sides.
            features: Source ids that are no part of the text.
        """
        source, target = vocabularies
        copied = [-1 if symbol in SPECIALS else target.ids.get(symbol, -1) for symbol in source.symbols]
        shared = np.array(copied, np.int64)
        is_letter = np.array([symbol[:1].isalpha() for symbol in source.symbols])
        is_text = ~np.isin(np.arange(len(source)), features)
        is_text[: len(SPECIALS)] = False
        return cls(shared, np.flatnonzero(is_letter & is_text & (shared >= 0)), is_text)

    def on_both_sides(self, train: Examples) -> Letters:
        """Return those that sources and targets of training have, as a vocabulary that they share does not tell."""
        in_sources = np.isin(self.choices, np.unique(train.source))
        in_targets = np.isin(self.shared[self.choices], np.unique(train.target))
        return replace(self, choices=self.choices[in_sources & in_targets])


@dataclass(frozen=True)
class Stems:
    """A training pair, and where its source and its target have the same symbols.

    Attributes:
        row: Its row.
        source: The places of the symbols that may be replaced, in the source, int64 [symbols].
        target: The places of the same symbols in the target.
    """

    row: int
    source: NDArray[np.int64]
    target: NDArray[np.int64]


def hallucinate(
    train: Examples, held_out: Sequence[Examples], letters: Letters, count: int, seed: int, name: str
) -> Examples:
    """Return training examples with hallucinated ones as their extra examples, and a note of what was made.

    All pairs that have a stem are used equally often, give or take one time, as long as they give new ones. No source
    is made up that training or held-out data has, with the same features or others.

    Args:
        train: The training examples.
        held_out: All other examples.
        letters: The letters of their vocabularies.
        count: The number of pairs to make up.
        seed: The random seed.
        name: The name of the training data, for messages.

    Raises:
        DataError: No training pair has a stem, or fewer different pairs can be made up.
    """
    all_stems = [stems for row in range(len(train)) if (stems := _find_stems(train, row, letters)) is not None]
    if not all_stems or not len(letters.choices):
        message = f"{name}: no pair has {MIN_STEM} letters in a row that its source and its target share"
        raise DataError(f"task.hallucinate: {message}", "it is for tasks that copy most of the source; leave it out")
    made = _MadeUp(train, held_out, letters, np.random.default_rng(seed))
    while len(made) < count:
        before = len(made)
        for number in made.random.permutation(len(all_stems)).tolist():
            if len(made) < count:
                made.add(all_stems[number])
        if len(made) == before:
            fewer = f"only {before:,} of {count:,} different pairs can be made up"
            raise DataError(f"task.hallucinate: {name}: {fewer}", f"ask for {before:,} or fewer")
    without = len(train) - len(all_stems)
    note = f"{name}: {count:,} pairs hallucinated from {len(all_stems):,}"
    if without:
        note += f"; {without:,} have no stem of {MIN_STEM} letters"
    return replace(train, extra=made.examples(), notes=(*train.notes, note))


def _find_stems(train: Examples, row: int, letters: Letters) -> Stems | None:
    """Return the places that may be replaced in a pair; None where it has no stem.

    Stems are the longest common substring, and likewise those to the left and to the right of it.
    """
    source = letters.shared[train.source[row, : train.source_lengths[row]]]
    target = train.target[row, : train.target_lengths[row]].astype(np.int64)
    numbers = np.arange(-2, -2 - len(source), -1)  # what is not shared is like nothing else
    copied = np.where(np.isin(source, letters.shared[letters.choices]), source, numbers)
    blocks = SequenceMatcher(None, copied.tolist(), target.tolist(), autojunk=False).get_matching_blocks()
    places = [_places(block.a, block.size) for block in blocks if block.size >= MIN_STEM]
    if not places:
        return None
    shifts = [block.b - block.a for block in blocks if block.size >= MIN_STEM]
    of_target = [each + shift for each, shift in zip(places, shifts, strict=True)]
    return Stems(row, np.concatenate(places), np.concatenate(of_target))


def _places(begin: int, size: int) -> NDArray[np.int64]:
    ends_stay = size > MAX_STEM_REPLACED_WHOLE
    return np.arange(begin + ends_stay, begin + size - ends_stay, dtype=np.int64)


class _MadeUp:
    """Pairs that were made up.

    Attributes:
        random: Draws letters.
        sources: The source ids of each pair.
    """

    def __init__(
        self, train: Examples, held_out: Sequence[Examples], letters: Letters, random: np.random.Generator
    ) -> None:
        self.train, self.letters, self.random = train, letters, random
        self.sources = list[Ids]()
        self._targets, self._rows = list[Ids](), list[int]()
        self._taken = {self._text(ids) for examples in (train, *held_out) for ids in examples.source}
        self._made = set[bytes]()

    def __len__(self) -> int:
        return len(self.sources)

    def _text(self, source: Ids) -> bytes:
        """Return what tells a source from others, whatever its features, some of which may be unknown."""
        text: Ids = source[self.letters.is_text[source]]
        return text.astype(np.int64).tobytes()

    def add(self, stems: Stems) -> None:
        """Make up a pair of one with stems, unless all that are drawn are there already."""
        source, target = self.train.source[stems.row], self.train.target[stems.row]
        for _ in range(MAX_TRIES):
            replaced = self.random.random(len(stems.source)) < REPLACED_SHARE
            drawn = self.random.choice(self.letters.choices, int(replaced.sum()))
            new_source, new_target = source.copy(), target.copy()
            new_source[stems.source[replaced]] = drawn
            new_target[stems.target[replaced]] = self.letters.shared[drawn]
            if new_source.tobytes() not in self._made and self._text(new_source) not in self._taken:
                self._made.add(new_source.tobytes())
                self.sources.append(new_source)
                self._targets.append(new_target)
                self._rows.append(stems.row)
                return

    def examples(self) -> Examples:
        """Return the pairs."""
        lengths = self.train.source_lengths[self._rows], self.train.target_lengths[self._rows]
        return Examples(np.stack(self.sources), lengths[0], np.stack(self._targets), lengths[1])
