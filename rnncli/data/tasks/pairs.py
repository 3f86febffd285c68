"""The task of text pairs: read a source, write its target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from rnncli.config import Files, PairsTask
from rnncli.data.columns import SourceText
from rnncli.data.copying import copied_ids, copies_of, first_places
from rnncli.data.examples import Examples, Ids, Sizes
from rnncli.data.hallucination import Letters, hallucinate
from rnncli.data.mapped_pairs import read_mapped_pairs
from rnncli.data.pair_encoding import FEATURE_PREFIX, EncodedPairs, PairEncoder, is_feature
from rnncli.data.pair_files import PairReader, Side, name_of
from rnncli.data.parsing import bad_line
from rnncli.data.references import count_shared_sources, note_several_targets
from rnncli.data.seen import SeenSources
from rnncli.data.tables import Reading
from rnncli.data.task import SEEN
from rnncli.data.tokenizers import UNKNOWN_SHOWN, normalizer
from rnncli.data.vocabulary import (
    BOS,
    EOS,
    EOS_ID,
    NO_SYMBOL,
    PAD,
    PAD_ID,
    SPECIALS,
    UNKNOWN,
    VOCABULARY,
    UnknownSymbols,
    Vocabularies,
    Vocabulary,
    read_vocabularies,
)
from rnncli.errors import DataError, InputError, SkippedError

_SHELL_TAB = r"$'SOURCE\tFEATURES'"
"""A tab between two words, as bash and zsh write it."""


class Pairs:
    """The task of text pairs. A source with features is written `source<TAB>feature;feature`.

    Args:
        config: The task's section of the config.
        recorded: The vocabularies of a trained run; None takes those of `config.vocabulary` or of the training data.

    Raises:
        InputError: The training data or the vocabulary cannot be used.

    Attributes:
        has_test: Whether the config names a test file.
        reading: The way that files of pairs are read.
        unknown: The unknown symbols in what `read_source` and `read_target` read.
        copies: See `rnncli.data.task.CopiesSource`.
    """

    shown_groups: tuple[str, ...] = ()

    def __init__(self, config: PairsTask, recorded: Vocabularies | None = None) -> None:
        self.config, self.columns, self.unknown = config, config.columns, UnknownSymbols()
        self.copies = False
        self.has_test = config.test is not None
        self.reading = Reading.of(config)
        self._clean = normalizer(config.normalize)
        self._encoder = PairEncoder(config)
        self._tokenizers = self._encoder.tokenizers
        self._train: EncodedPairs | None = None  # read once, for vocabulary and examples
        self._test: Examples | None = None  # read once, since it may be a pipe
        self._seen: SeenSources | None = None
        if recorded is None:
            recorded = self._read_vocabulary(config.vocabulary) if config.vocabulary else self._make_vocabulary()
        self._set_vocabularies(recorded)

    def _set_vocabularies(self, vocabularies: Vocabularies) -> None:
        self.source_vocabulary, self.target_vocabulary = map(_with_specials, vocabularies)
        self.sizes = Sizes(
            source_symbols=len(self.source_vocabulary),
            source_steps=self.config.leading_features + self.config.max_source_length,
            target_symbols=len(self.target_vocabulary),
            target_steps=self.config.max_target_length + 1,
            unknown=True,
            copies=copies_of(self.source_vocabulary, self.target_vocabulary, _is_text) if self.copies else None,
            tags=self.config.leading_features,
        )

    def copy_source(self) -> None:
        """See `rnncli.data.task.CopiesSource`."""
        self.copies = True
        self._set_vocabularies(Vocabularies(self.source_vocabulary, self.target_vocabulary))

    def extend_vocabulary(self, earlier: Vocabularies) -> None:
        """See `rnncli.data.task.ExtendsVocabulary`; a vocabulary that the config names stays as it is."""
        if self.config.vocabulary is None:
            own = Vocabularies(self.source_vocabulary, self.target_vocabulary)
            both = zip(earlier, own, strict=True)
            if self.config.shared_vocabulary:
                both = zip([_joint(earlier)] * 2, own, strict=True)
            self._set_vocabularies(Vocabularies(*(Vocabulary((*a.symbols, *b.symbols)) for a, b in both)))

    def _make_vocabulary(self) -> Vocabularies:
        self._train = self._read_train()
        counts = [Counter(dict(zip(rows.symbols, rows.counts.tolist(), strict=True))) for rows in self._train.sides]
        if self.config.shared_vocabulary:
            counts = [counts[0] + counts[1]] * 2
        sides = []
        for each in counts:
            frequent = {symbol for symbol, times in each.items() if times >= self.config.min_frequency}
            sides.append(Vocabulary.of(frequent.difference(SPECIALS, [NO_SYMBOL]), SPECIALS))
        return Vocabularies(*sides)

    def _read_vocabulary(self, name: str) -> Vocabularies:
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
        if self.config.shared_vocabulary and vocabularies.source != vocabularies.target:
            raise InputError(
                f"{path}: task.vocabulary: its source and target symbols differ, and task.shared_vocabulary is true",
                "name a run with a shared vocabulary, or leave one of the keys out",
            )
        return vocabularies

    def splits(self) -> tuple[Examples, Examples]:
        """Return the pairs of the training and the held-out file, with notes about the data.

        The test file is read too, so that an error in it is found before training; its notes are among those of the
        training file.
        """
        config, train = self.config, self._train
        train = self._read_train() if train is None else train
        self._train = None  # no longer needed
        examples = self._examples(config.train, train)
        repeated = note_several_targets(examples, self.source_vocabulary, name_of(config.train))
        examples = replace(examples, notes=(*examples.notes, *repeated))
        held_out = self._held_out(config.validation)
        notes = self._notes(config.validation, held_out, examples)
        if config.test is not None:
            self._test = self._held_out(config.test)
            examples = replace(examples, notes=(*examples.notes, *self._notes(config.test, self._test, examples)))
        if config.hallucinate:
            examples = self._with_hallucinated(examples, held_out)
        return examples, replace(held_out, notes=notes)

    def _with_hallucinated(self, train: Examples, held_out: Examples) -> Examples:
        letters = Letters.of(Vocabularies(self.source_vocabulary, self.target_vocabulary), self._feature_ids)
        others = [held_out] if self._test is None else [held_out, self._test]
        config = self.config
        if config.shared_vocabulary:
            letters = letters.on_both_sides(train)
        return hallucinate(train, others, letters, config.hallucinate, config.seed, name_of(config.train))

    @property
    def _feature_ids(self) -> list[int]:
        return [index for symbol, index in self.source_vocabulary.ids.items() if is_feature(symbol)]

    def test_split(self) -> Examples:
        """Return the pairs of the test file."""
        if self.config.test is None:
            raise InputError("task.test: the config names no test file", "name a file with --input")
        if self._test is None:
            self._test = self._held_out(self.config.test)
        return self._test

    def overlap(self, examples: Examples, train: Examples) -> str:
        """Return a warning with the number of sources that training has too; see `HasTest`."""
        shared = count_shared_sources(examples, train, [PAD_ID, *self._feature_ids])
        alike = f", {count_shared_sources(examples, train)} with the same features" if self.columns.features else ""
        train_name = name_of(self.config.train)
        return f"{shared} of {len(examples)} sources are in {train_name} too{alike}" if shared else ""

    def _notes(self, files: Files, examples: Examples, train: Examples) -> tuple[str, ...]:
        """Return the notes of examples, with a warning if training has some of their sources."""
        warning = self.overlap(examples, train)
        return (*examples.notes, f"{name_of(files)}: {warning}") if warning else examples.notes

    def _read_train(self) -> EncodedPairs:
        """Return the training pairs, in memory or in mapped files."""
        mapped = read_mapped_pairs(self.config, self._encoder)
        return self._read(self.config.train) if mapped is None else mapped

    def _read(self, files: Files, *, with_texts: bool = False) -> EncodedPairs:
        reader = PairReader(files, self.columns, self.config.normalize, self.reading)
        return self._encoder.read(reader, with_texts=with_texts)

    def _held_out(self, files: Files) -> Examples:
        """Return held-out pairs, with their texts, padded to the maximum length of a target."""
        return self._examples(files, self._read(files, with_texts=True), self.sizes.target_steps)

    def _examples(self, files: Files, read: EncodedPairs, steps: int | None = None) -> Examples:
        """Return pairs as padded ids.

        Args:
            files: The files of the pairs, for messages.
            read: Their pairs, which are not kept.
            steps: Padded length of targets; None is that of the longest.
        """
        name, notes, count = name_of(files), list(read.notes), len(read)
        if not count:
            raise DataError(f"{name}: every pair is too long", self._limits())
        left_out = read.count - count
        if left_out:
            notes.append(f"{name}: skipped {left_out} of {read.count} pairs, {self._limits()}")
        vocabularies = Vocabularies(self.source_vocabulary, self.target_vocabulary)
        unknown = read.unknown(vocabularies)
        if unknown.total:
            notes.append(f"{name}: {unknown}")
        arrays = read.take(vocabularies, steps, self.sizes.source_steps if self.copies else None)
        return Examples(*arrays, notes=tuple(notes), left_out=left_out, texts=read.texts)

    def _limits(self) -> str:
        config = self.config
        more = f", or with more than task.max_features ({config.max_features})" if config.leading_features else ""
        return (
            f"longer than task.max_source_length ({config.max_source_length}) "
            f"or task.max_target_length ({config.max_target_length}){more}"
        )

    def _check_length(self, side: Side, symbols: list[str], text: str) -> None:
        if found := self._encoder.length_problem(side, symbols):
            problem, key = found
            error = bad_line(problem, text, f"shorten it, or train with a larger task.{key}")
            raise SkippedError(error.message, error.hint) if self.config.too_long == "skip" else error

    def read_source(self, text: str) -> list[int]:
        """Return the ids of a source, or of `source<TAB>features` where the task has features.

        Raises:
            DataError: The text has another number of columns, or is too long.
        """
        cells = [self._clean(cell) for cell in text.split("\t")]
        if not any(cells):
            raise bad_line("no source", text)
        if len(cells) != (2 if self.columns.features else 1):
            wanted = (
                f"write source, tab, features; in a shell {_SHELL_TAB}"
                if self.columns.features
                else "write the source alone, without tabs"
            )
            raise bad_line(f"{len(cells)} column{'' if len(cells) == 1 else 's'}", text, wanted)
        if not cells[0]:
            raise bad_line("no source", text)
        symbols = self._encoder.source_symbols(SourceText(*cells))
        self._check_length("source", symbols, text)
        return self.source_vocabulary.encode_any(symbols, self.unknown)

    def read_target(self, text: str) -> list[int]:
        """Return the ids of a target, with the end-of-sequence symbol.

        Raises:
            DataError: The text is empty or too long.
        """
        if not (cleaned := self._clean(text)) and self.config.empty_target == "error":
            raise bad_line("no target", text)
        if not cleaned and self.config.empty_target == "skip":
            raise SkippedError("no target", "write one", "without a target")
        symbols = self._tokenizers["target"].split(cleaned)
        self._check_length("target", symbols, text)
        return [*self.target_vocabulary.encode_any(symbols, self.unknown), EOS_ID]

    def read_target_of(self, source: str, text: str) -> list[int]:
        """See `rnncli.data.task.CopiesSource`."""
        ids, symbols = self.read_target(text), self._tokenizers["target"].split(self._clean(text))
        return copied_ids(symbols, ids, self._source_symbols(source), len(self.target_vocabulary))

    def symbols_to_write(self, source: str) -> list[str]:
        """See `rnncli.data.task.CopiesSource`."""
        return [*self.target_vocabulary.symbols, *self._source_symbols(source)]

    def first_places(self, ids: Ids, sources: Sequence[str]) -> Ids:
        """See `rnncli.data.task.CopiesSource`."""
        return first_places(ids, lambda row: self._source_symbols(sources[row]), len(self.target_vocabulary))

    def show_copied(self, ids: Sequence[int], source: str) -> str:
        """See `rnncli.data.task.CopiesSource`."""
        symbols = self.symbols_to_write(source)
        return self._joined([symbols[index] if index < len(symbols) else UNKNOWN for index in ids])

    def _source_symbols(self, source: str) -> list[str]:
        return self._encoder.source_symbols(SourceText(*(self._clean(cell) for cell in source.split("\t"))))

    def show_source(self, ids: Sequence[int]) -> str:
        """Return a source, or `source<TAB>features` where the task has features."""
        symbols = self.source_vocabulary.decode(ids)
        if self.columns.features is None:
            return _joined(self._tokenizers["source"].join, symbols)
        features, symbols = self._split_features(symbols)
        joined = self.columns.feature_separator.join(symbol.removeprefix(FEATURE_PREFIX) for symbol in features)
        return str(SourceText(_joined(self._tokenizers["source"].join, symbols), joined))

    def _split_features(self, symbols: list[str]) -> tuple[list[str], list[str]]:
        """Return the features of a source, and its other symbols."""
        if encoded := self.config.leading_features:
            return [symbol for symbol in symbols[:encoded] if symbol != PAD], symbols[encoded:]
        if self.config.features == "appended":
            text = len(symbols) - len(list(takewhile(is_feature, reversed(symbols))))
            return symbols[text:], symbols[:text]
        count = len(list(takewhile(is_feature, symbols)))
        return symbols[:count], symbols[count:]

    def show_target(self, ids: Sequence[int]) -> str:
        """Return a target, up to its end-of-sequence symbol."""
        size = len(self.target_vocabulary)
        return self._joined([self.target_vocabulary.symbols[index] if index < size else UNKNOWN for index in ids])

    def _joined(self, symbols: list[str]) -> str:
        return _joined(self._tokenizers["target"].join, symbols[: symbols.index(EOS)] if EOS in symbols else symbols)

    def answer(self, source: str) -> str | None:  # noqa: ARG002 (only the data knows)
        """Return None: a target does not follow from its source."""
        return None

    def remember_training(self) -> None:
        """See `rnncli.data.task.TellsSeen`; hallucinated pairs do not count as seen."""
        sources = (each.source for each in self._read(self.config.train, with_texts=True).texts)
        self._seen = SeenSources.of(sources, self._encoder.tags)

    def groups(self, source: str) -> dict[str, list[int] | list[str]]:
        """Return the number of symbols of a source without features, and its features if the task has any.

        Once `remember_training` was called, there is the kind SEEN too.
        """
        parsed = SourceText.parse(source)
        found: dict[str, list[int] | list[str]] = {"length": [len(self._tokenizers["source"].split(parsed.text))]}
        if self.columns.features is not None:
            found["feature"] = list(dict.fromkeys(self._encoder.tags(parsed)))
        if self._seen is not None:
            found[SEEN] = [self._seen.group_of(parsed)]
        return found


def _joint(vocabularies: Vocabularies) -> Vocabulary:
    """Return the symbols of both sides."""
    return Vocabulary(tuple(dict.fromkeys(symbol for each in vocabularies for symbol in each.symbols)))


def _with_specials(vocabulary: Vocabulary) -> Vocabulary:
    """Return the vocabulary with the special symbols first and each symbol once."""
    return Vocabulary((*SPECIALS, *dict.fromkeys(s for s in vocabulary.symbols if s not in SPECIALS)))


def _is_text(symbol: str) -> bool:
    return not is_feature(symbol)


def _joined(join: Callable[[Iterable[str]], str], symbols: Iterable[str]) -> str:
    """Return text without padding and begin symbols, which a model writes by mistake only."""
    return join(UNKNOWN_SHOWN if symbol == UNKNOWN else symbol for symbol in symbols if symbol not in (PAD, BOS))
