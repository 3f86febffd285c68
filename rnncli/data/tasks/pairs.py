"""Pairs of texts: a source is read, its target is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from rnncli.config import Files, PairsTask
from rnncli.data.examples import Examples, Sizes, Text
from rnncli.data.pair_files import Pair, name_of, read_pairs
from rnncli.data.parsing import bad_line, padded_ids, shared_sources
from rnncli.data.tokenizers import UNSHOWN, normalizer, tokenizer
from rnncli.data.vocabulary import (
    BOS,
    EOS,
    EOS_ID,
    PAD,
    SPECIALS,
    UNKNOWN,
    VOCABULARY,
    Unknown,
    Vocabularies,
    Vocabulary,
    read_vocabularies,
)
from rnncli.errors import DataError, InputError, LeftOutError

FEATURE = ";"
"""What the symbol of a feature begins with. Features have none, since semicolons stand between them, and neither has
any other symbol of a text that is cut into characters, graphemes or bytes, where it has a second character."""

Side = Literal["source", "target"]


class Pairs:
    """The task of pairs; a source with features is written `source<TAB>feature;feature`.

    Args:
        config: The task's section of the config.
        recorded: The symbols of a trained run; without them they are those of `config.vocabulary` or of the training
            data.

    Raises:
        InputError: The training data or the vocabulary cannot be used.

    Attributes:
        has_test: Whether the config names a file for tests.
        unknown: Symbols given to `read_source` and `read_target` that the vocabularies do not have.
    """

    shown_groups: tuple[str, ...] = ()

    def __init__(self, config: PairsTask, recorded: Vocabularies | None = None) -> None:
        self.config, self.columns, self.unknown = config, config.columns, Unknown()
        self.has_test = config.test is not None
        self._clean = normalizer(config.normalize)
        self._tokenizers = {"source": tokenizer(config.tokenize.source), "target": tokenizer(config.tokenize.target)}
        self._train: list[Pair] | None = None  # read once, for the symbols and for the examples
        self._test: Examples | None = None  # read once, for it may be a pipe
        if recorded is None:
            recorded = self._of_file(config.vocabulary) if config.vocabulary else self._of_training()
        self.source_vocabulary, self.target_vocabulary = map(_with_specials, recorded)
        self.sizes = Sizes(
            source_symbols=len(self.source_vocabulary),
            source_steps=config.max_source_length,
            target_symbols=len(self.target_vocabulary),
            target_steps=config.max_target_length + 1,
            unknown=True,
        )

    def _of_training(self) -> Vocabularies:
        self._train = self._read(self.config.train)
        kept = [symbols for pair in self._train if (symbols := self._fitting(pair)) is not None]
        enough = self.config.min_frequency
        sides = []
        for side in zip(*kept, strict=True) if kept else ([], []):
            counts = Counter(symbol for symbols in side for symbol in symbols)
            often = {symbol for symbol, count in counts.items() if count >= enough}
            sides.append(Vocabulary.of(often.difference(SPECIALS), SPECIALS))
        return Vocabularies(*sides)

    def _of_file(self, name: str) -> Vocabularies:
        path = Path(name) / VOCABULARY if Path(name).is_dir() else Path(name)
        try:
            vocabularies = read_vocabularies(path)
        except InputError as error:
            hint = "name a run of task pairs, or its vocabulary.json"
            raise InputError(f"task.vocabulary: {error.message}", error.hint or hint) from error
        for side, vocabulary in zip(Vocabularies._fields, vocabularies, strict=True):
            if vocabulary != _with_specials(vocabulary):
                message = (
                    f"{path}: task.vocabulary: {side} symbols are not {', '.join(SPECIALS)} and others, once each"
                )
                raise InputError(message, "it must be of a run of task pairs")
        return vocabularies

    def splits(self) -> tuple[Examples, Examples]:
        """The pairs of the training and of the validation file; what is odd about them stands in their notes.

        The file for tests is read too, so that what is wrong with it is known before training; its notes stand with
        those of the training file.
        """
        config, train = self.config, self._train
        train = self._read(config.train) if train is None else train
        self._train = None  # no longer needed
        examples = self._encode(config.train, train)
        held_out = self._encode(config.validation, self._read(config.validation), self.sizes.target_steps)
        notes = self._noted(config.validation, held_out, examples)
        if config.test is not None:
            self._test = self._encode(config.test, self._read(config.test), self.sizes.target_steps)
            examples = replace(examples, notes=(*examples.notes, *self._noted(config.test, self._test, examples)))
        return examples, replace(held_out, notes=notes)

    def test_split(self) -> Examples:
        """The pairs of the file for tests."""
        if self.config.test is None:
            raise InputError("task.test: the config names no file", "give one by --input")
        if self._test is None:
            self._test = self._encode(self.config.test, self._read(self.config.test), self.sizes.target_steps)
        return self._test

    def overlap(self, examples: Examples, train: Examples) -> str:
        """See `HasTest`."""
        shared = shared_sources(examples, train)
        there = name_of(self.config.train)
        return f"warning: {shared} of {len(examples)} sources are in {there} too" if shared else ""

    def _noted(self, files: Files, examples: Examples, train: Examples) -> tuple[str, ...]:
        """The notes of examples, with a warning if training has some of their sources."""
        warning = self.overlap(examples, train)
        return (*examples.notes, f"{name_of(files)}: {warning}") if warning else examples.notes

    def _read(self, files: Files) -> list[Pair]:
        return read_pairs(files, self.columns, self._clean)

    def _encode(self, files: Files, pairs: Sequence[Pair], steps: int | None = None) -> Examples:
        """Pairs as padded ids.

        Args:
            files: Where they are from.
            pairs: The pairs.
            steps: Of the targets' array; None is those of the longest target.
        """
        unknown, sources, targets, texts = Unknown(), [], [], []
        for pair in pairs:
            if (symbols := self._fitting(pair)) is None:
                continue
            sources.append(self.source_vocabulary.encode_any(symbols[0], unknown))
            targets.append([*self.target_vocabulary.encode_any(symbols[1], unknown), EOS_ID])
            if steps is not None:  # they are measured on, not trained on
                texts.append(Text(pair.line, pair.source, pair.target))
        name, notes = name_of(files), []
        if not sources:
            raise DataError(f"{name}: no pairs left; all are too long", self._limits())
        if len(sources) < len(pairs):
            notes.append(f"{name}: {len(pairs) - len(sources)} of {len(pairs)} pairs left out, {self._limits()}")
        if unknown.total:
            notes.append(f"{name}: {unknown}")
        source, source_lengths = padded_ids(sources, len(self.source_vocabulary))
        target, target_lengths = padded_ids(targets, len(self.target_vocabulary), steps)
        left_out = len(pairs) - len(sources)
        return Examples(source, source_lengths, target, target_lengths, False, tuple(notes), left_out, texts)

    def _limits(self) -> str:
        config = self.config
        return (
            f"longer than task.max_source_length ({config.max_source_length}) "
            f"or task.max_target_length ({config.max_target_length})"
        )

    def _fitting(self, pair: Pair) -> tuple[list[str], list[str]] | None:
        """The symbols of a pair; None where it is too long and such are left out."""
        symbols = self._source_symbols(pair.source), self._tokenizers["target"].split(pair.target)
        sides: tuple[Side, Side] = ("source", "target")
        for side, found in zip(sides, symbols, strict=True):
            if (problem := self._too_long(side, len(found))) is None:
                continue
            if self.config.too_long == "skip":
                return None
            raise DataError(
                f"{pair.place(side)}: {side} of {problem}", f"raise task.max_{side}_length, or task.too_long: skip"
            )
        return symbols

    def _too_long(self, side: Side, length: int) -> str | None:
        most = self.config.max_source_length if side == "source" else self.config.max_target_length
        return f"{length} symbols, more than task.max_{side}_length ({most})" if length > most else None

    def _source_symbols(self, source: str) -> list[str]:
        text, _, features = source.partition("\t")
        tags = [FEATURE + tag.strip() for tag in features.split(";") if tag.strip()]
        return tags + self._tokenizers["source"].split(text)

    def _checked(self, side: Side, symbols: list[str], text: str) -> list[str]:
        if problem := self._too_long(side, len(symbols)):
            error = bad_line(problem, text, f"shorten it, or train with a larger task.max_{side}_length")
            raise LeftOutError(error.message, error.hint) if self.config.too_long == "skip" else error
        return symbols

    def read_source(self, text: str) -> list[int]:
        """Ids of a source, with a tab and its features behind it where the task has features."""
        cells = [self._clean(cell) for cell in text.split("\t")]
        if not any(cells):
            raise bad_line("no source", text)
        if len(cells) != (2 if self.columns.features else 1):
            wanted = (
                "write source, tab, features" if self.columns.features else "write the source alone, without tabs"
            )
            raise bad_line(f"{len(cells)} column{'' if len(cells) == 1 else 's'}", text, wanted)
        if not cells[0]:
            raise bad_line("no source", text)
        symbols = self._checked("source", self._source_symbols("\t".join(cells)), text)
        return self.source_vocabulary.encode_any(symbols, self.unknown)

    def read_target(self, text: str) -> list[int]:
        """Ids of a target, its end included."""
        if not (cleaned := self._clean(text)):
            raise bad_line("no target", text)
        symbols = self._checked("target", self._tokenizers["target"].split(cleaned), text)
        return [*self.target_vocabulary.encode_any(symbols, self.unknown), EOS_ID]

    def show_source(self, ids: Sequence[int]) -> str:
        """The source, with a tab and its features where the task has features."""
        symbols = self.source_vocabulary.decode(ids)
        count = 0
        while self.columns.features and count < len(symbols) and _is_feature(symbols[count]):
            count += 1
        text = _joined(self._tokenizers["source"].join, symbols[count:])
        features = ";".join(symbol.removeprefix(FEATURE) for symbol in symbols[:count])
        return f"{text}\t{features}" if self.columns.features else text

    def show_target(self, ids: Sequence[int]) -> str:
        """The target, up to its end."""
        symbols = self.target_vocabulary.decode(ids)
        return _joined(self._tokenizers["target"].join, symbols[: symbols.index(EOS)] if EOS in symbols else symbols)

    def answer(self, source: str) -> str | None:  # noqa: ARG002 (only the data knows)
        """Nothing: a source does not say its target."""
        return None

    def groups(self, source: str) -> dict[str, list[int] | list[str]]:
        """The number of the source's symbols, features not counted; and each of its features, if the task has any."""
        text, _, features = source.partition("\t")
        length = {"length": [len(self._tokenizers["source"].split(text))]}
        if self.columns.features is None:
            return {**length}
        return {**length, "feature": list(dict.fromkeys(filter(None, features.split(";"))))}


def _with_specials(vocabulary: Vocabulary) -> Vocabulary:
    """The vocabulary with the special symbols before the others, each symbol once."""
    return Vocabulary((*SPECIALS, *dict.fromkeys(s for s in vocabulary.symbols if s not in SPECIALS)))


def _is_feature(symbol: str) -> bool:
    return symbol.startswith(FEATURE) and len(symbol) > 1


def _joined(join: Callable[[Iterable[str]], str], symbols: Iterable[str]) -> str:
    """Text on one line; padding and begin symbols, which only a mistaken model writes, are not shown."""
    return join(UNSHOWN if symbol == UNKNOWN else symbol for symbol in symbols if symbol not in (PAD, BOS))
