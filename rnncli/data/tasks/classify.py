"""Documents, or pairs of texts, and their labels, from files of `label<TAB>text` lines or generated.

A source of two texts (`task.texts: 2`) is the first one, padded to `task.max_length` ids, followed by the second, so
that whatever handles sources need not know. Both have their symbols in the source vocabulary, where those of the
first stand last and begin with `FIRST`; the model gathers them from two tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnncli.config import ClassifyTask, Columns
from rnncli.data.columns import describe_columns
from rnncli.data.examples import SHARED_IDS, Examples, ExampleText, Ids, Sizes
from rnncli.data.padding import pad_steps
from rnncli.data.parsing import bad_line, read_class
from rnncli.data.references import note_several_targets
from rnncli.data.tables import TAB_SEPARATED, Reading, read_rows
from rnncli.data.text_files import read_lines
from rnncli.data.tokenizers import normalizer
from rnncli.data.vocabulary import FIRST, PAD, PAD_ID, UNKNOWN, UnknownSymbols, Vocabularies, Vocabulary
from rnncli.errors import DataError, SkippedError

FILLERS = ("the", "of", "and", "to", "in", "it", "was", "that", "film", "plot", "music", "scene")
MARKERS = {"negative": "bad", "positive": "good"}

CHANGES = {"p": "f", "t": "s", "k": "h", "b": "p", "d": "t", "g": "k", "a": "o", "o": "u", "u": "y"}
"""Sound changes from the first to the second language of generated words; other sounds stay."""
CONSONANTS, VOWELS = "bdgklmnprt", "aeiou"
MIN_SYLLABLES, MAX_SYLLABLES = 2, 3

MUCH_PADDING = 2
"""Times the longest text that the first text is padded to, from which a note says so."""

_SHELL_TAB = r"$'FIRST\tSECOND'"
"""A tab between two words, as bash and zsh write it."""


@dataclass(frozen=True)
class Labelled:
    """A document, or two texts with a tab between, its label, and its place: a file, or "generated", and a line."""

    label: str
    text: str
    path: str
    line: int

    @property
    def place(self) -> str:
        """The place as `FILE:LINE`."""
        return f"{self.path}:{self.line}"


class TwoTexts(Columns):
    """The columns of a label and two texts; the second text is where others have features."""

    @property
    def named(self) -> dict[str, int]:
        """See `Columns`."""
        return {"label": self.target, "first text": self.source, "second text": self.target + 2}


COLUMNS = {1: Columns(source=2, target=1), 2: TwoTexts(source=2, target=1, features=3)}
"""The columns of a line, by the number of texts."""


class Classify:
    """The task of classifying documents, or pairs of texts; a line of data is `label<TAB>text`.

    Args:
        config: The task's section of the config.
        recorded: The vocabularies of a trained run; None takes those of the training data.

    Raises:
        InputError: The training data cannot be used.

    Attributes:
        reading: The way that files are read.
        unknown: The unknown symbols in what `read_source` reads.
    """

    def __init__(self, config: ClassifyTask, recorded: Vocabularies | None = None) -> None:
        self.config, self.unknown = config, UnknownSymbols()
        self.columns = COLUMNS[config.texts]
        self.reading = Reading.of(config)
        self._clean = normalizer(config.normalize)
        self._notes: dict[str, tuple[str, ...]] = {}
        self._train: list[Labelled] | None = None  # read once, for vocabularies and examples
        if recorded is None:
            self._train = self._lines(config.train)
            symbols = {symbol for line in self._train for text in self._texts(line.text) for symbol in text}
            labels = {line.label for line in self._train}
        else:
            symbols, labels = set(recorded.source.symbols), set(recorded.target.symbols)
        if len(labels) < 2:
            raise DataError(f"{config.train or 'generated documents'}: fewer than two labels to tell apart")
        self.target_vocabulary = Vocabulary.of(labels)
        self._set_symbols(symbols)

    def _set_symbols(self, symbols: set[str]) -> None:
        first = sorted(symbol for symbol in symbols if symbol.startswith(FIRST)) if self._pads else []
        others = Vocabulary.of(symbols - {PAD, UNKNOWN, *first}, [PAD, UNKNOWN])
        self.source_vocabulary = Vocabulary((*others.symbols, *first))
        self.sizes = Sizes(
            source_symbols=len(self.source_vocabulary),
            source_steps=self._pads + self.config.max_length,
            target_symbols=len(self.target_vocabulary),
            target_steps=1,
            tags=self._pads,
            first_symbols=SHARED_IDS + len(first) if self._pads else 0,
        )

    @property
    def _pads(self) -> int:
        """The length that the first of two texts is padded to; 0 where there is one."""
        return self.config.leading_features

    def extend_vocabulary(self, earlier: Vocabularies) -> None:
        """See `rnncli.data.task.ExtendsVocabulary`."""
        self._set_symbols({*self.source_vocabulary.symbols, *earlier.source.symbols})

    def splits(self) -> tuple[Examples, Examples]:
        """Return the examples of both files, or generated ones, with notes about the data."""
        train = self._lines(self.config.train) if self._train is None else self._train
        self._train = None  # no longer needed
        validation = self._lines(self.config.validation, True)
        examples = self._encode(train, self.config.train)
        repeated = note_several_targets(examples, self.source_vocabulary, train[0].path)
        examples = replace(examples, notes=(*examples.notes, *repeated))
        return examples, self._encode(validation, self.config.validation, with_texts=True)

    def _lines(self, path: str | None, held_out: bool = False) -> list[Labelled]:
        if path is not None:
            lines, self._notes[path] = read_labelled(path, self.reading, self.config.texts)
            return [replace(line, label=self._clean(line.label), text=self._clean_all(line.text)) for line in lines]
        documents = self._generate()
        cut = self.config.examples - self.config.held_out
        return documents[cut:] if held_out else documents[:cut]

    def _generate(self) -> list[Labelled]:
        count, longest, seed = self.config.examples, self.config.max_length, self.config.seed
        if self.config.texts == 2:
            return generate_words(count, longest, seed, " " if self.config.tokenize == "whitespace" else "")
        return generate(count, min(longest, 100), seed)

    def _clean_all(self, text: str) -> str:
        return "\t".join(map(self._clean, text.split("\t")))

    def _encode(self, lines: Sequence[Labelled], path: str | None, with_texts: bool = False) -> Examples:
        """Return examples padded to the longest of these."""
        unknown, sources, targets, texts = UnknownSymbols(), [], [], []
        for line in lines:
            try:
                source, target = self._read(line.text, unknown), self.read_target(line.label)
                sources.append(source)
                targets.append(target)
                if with_texts:
                    texts.append(ExampleText(line.line, line.text, line.label))
            except SkippedError:
                continue
            except DataError as error:
                raise DataError(f"{line.place}: {error.message}", error.hint) from error
        name, notes = path or "generated documents", self._notes.get(path or "", ())
        if not sources:
            raise DataError(f"{name}: every text is too long", "raise task.max_length")
        if left_out := len(lines) - len(sources):
            limit = f"longer than task.max_length ({self.config.max_length})"
            notes = (*notes, f"{name}: skipped {left_out} of {len(lines)} texts, {limit}")
        notes = (*notes, *note_half_quoted(lines), *([f"{name}: {unknown}"] if unknown.total else []))
        padded, lengths = pad_steps(sources, max(map(len, sources)))
        if self._pads and not with_texts:
            notes = (
                *notes,
                *note_padding(np.count_nonzero(padded[:, : self._pads], axis=1), lengths, self._pads, name),
            )
        ones = np.ones(len(sources), np.int32)
        labels = np.array(targets, np.int32)
        return Examples(padded, lengths, labels, ones, notes=notes, left_out=left_out, texts=texts)

    def _symbols(self, text: str) -> list[str]:
        cleaned = self._clean(text)
        return cleaned.split() if self.config.tokenize == "whitespace" else list(cleaned)

    def _texts(self, text: str) -> list[list[str]]:
        """Return the symbols of each text of a source, as the vocabulary has them."""
        if not self._pads:
            return [self._symbols(text)]
        first, *others = (self._symbols(cell) for cell in text.split("\t"))
        return [[FIRST + symbol for symbol in first], *others]

    def read_source(self, text: str) -> list[int]:
        """Return the ids of a text, or of `first<TAB>second`; unknown symbols are those that training did not have.

        Raises:
            DataError: A text is empty or too long, or there are not two where there should be.
        """
        return self._read(text, self.unknown)

    def _read(self, text: str, unknown: UnknownSymbols) -> list[int]:
        texts = self._texts(text)
        if self._pads and len(texts) != 2:
            counted = f"{len(texts)} column{'' if len(texts) == 1 else 's'}"
            raise bad_line(counted, text, f"write first text, tab, second text; in a shell {_SHELL_TAB}")
        for number, symbols in enumerate(texts):
            which = f"{('first', 'second')[number]} text" if self._pads else "text"
            self._check_length(symbols, which, text)
        encoded = [self.source_vocabulary.encode_any(symbols, unknown) for symbols in texts]
        return [*encoded[0], *[PAD_ID] * (self._pads - len(encoded[0])), *encoded[1]] if self._pads else encoded[0]

    def _check_length(self, symbols: list[str], which: str, text: str) -> None:
        if not symbols:
            raise bad_line(f"no {which}", text)
        if len(symbols) > self.config.max_length:
            of = f" in the {which}" if self._pads else ""
            error = bad_line(
                f"{len(symbols)} symbols{of}, more than task.max_length ({self.config.max_length})",
                text,
                "shorten it, or train with a larger task.max_length, or leave such texts out: task.too_long: skip",
            )
            raise SkippedError(error.message, error.hint) if self.config.too_long == "skip" else error

    def read_target(self, text: str) -> list[int]:
        """Return the id of a label."""
        return read_class(self._clean(text), self.target_vocabulary)

    def show_source(self, ids: Sequence[int]) -> str:
        """Return a text, or `first<TAB>second`."""
        join = (" " if self.config.tokenize == "whitespace" else "").join
        if not self._pads:
            return join(self.source_vocabulary.decode(ids))
        first = [index for index in ids[: self._pads] if index != PAD_ID]
        texts = self.source_vocabulary.decode(first), self.source_vocabulary.decode(ids[self._pads :])
        return "\t".join(join(symbol.removeprefix(FIRST) for symbol in text) for text in texts)

    def show_target(self, ids: Sequence[int]) -> str:
        """Return a label."""
        return "".join(self.target_vocabulary.decode(ids))

    def answer(self, source: str) -> str | None:  # noqa: ARG002 (only the data knows)
        """Return None: a label does not follow from its text."""
        return None


def read_labelled(
    path: str, reading: Reading = TAB_SEPARATED, texts: int = 1
) -> tuple[list[Labelled], tuple[str, ...]]:
    """Return the examples in a file of `label<TAB>text` lines, and messages for the user; blank lines are skipped.

    Args:
        path: The file, UTF-8; a relative path starts from the current directory.
        reading: The way to read it.
        texts: Texts of an example, 1 or 2.

    Raises:
        InputError: The file cannot be read.
        DataError: A line is not an example, or the file has none.
    """
    rows, notes = read_rows(read_lines(path), path, reading, COLUMNS[texts])
    found: list[Labelled] = []
    ragged = total = 0
    for number, line in rows:
        total += 1
        label, *rest = line.split("\t")
        if len(rest) != texts and reading.ragged_rows == "skip":
            ragged += 1
            continue
        if len(rest) != texts or not label.strip() or not all(map(str.strip, rest)):
            what = f"{len(rest) + 1} columns" if len(rest) != texts else "no text" if label.strip() else "no label"
            raise DataError(f"{path}:{number}: {what}", _hint(line, reading, texts))
        found.append(Labelled(label.strip(), "\t".join(rest), path, number))
    if not found:
        raise DataError(f"{path}: no examples in it", f"write one a line: {_form(texts)}")
    if ragged:
        notes = (*notes, f"{path}: skipped {ragged} of {total} lines with another number of columns")
    return found, notes


def note_half_quoted(lines: Sequence[Labelled]) -> list[str]:
    """Return a warning where cells have a quotation mark at one end that belongs to no other one.

    Such cells come from a spreadsheet or a damaged CSV file, and make classes and words of their own.
    """
    found = [line for line in lines if any(map(_is_half_quoted, (line.label, *line.text.split("\t"))))]
    if not found:
        return []
    return [
        f"{found[0].place}: warning: a quotation mark at one end of a cell only, in {len(found)} of {len(lines)} "
        "lines; quotation marks are read as text"
    ]


def _is_half_quoted(cell: str) -> bool:
    return cell.count('"') % 2 == 1 and (cell.startswith('"') or cell.endswith('"'))


def note_padding(first: Ids, lengths: Ids, padded: int, name: str) -> list[str]:
    """Return a note where the first of two texts is padded to many more symbols than any text has.

    Args:
        first: Lengths of the first texts, int [examples].
        lengths: Lengths of the sources, which begin with the padded first texts, int [examples].
        padded: The length that the first texts are padded to.
        name: Name of the file.
    """
    longest = int(max(first.max(), lengths.max() - padded))
    if padded < MUCH_PADDING * longest:
        return []
    return [
        f"{name}: the longest text has {longest} symbols, and each first text is padded to task.max_length "
        f"({padded}); a smaller one trains faster"
    ]


def _form(texts: int) -> str:
    return "label, tab, text" if texts == 1 else describe_columns(COLUMNS[texts])


def _hint(line: str, reading: Reading, texts: int) -> str:
    if reading.format == "tsv" and "\t" not in line and ("," in line or ";" in line):
        return f"write {_form(texts)}; task.format: csv reads cells between commas or semicolons"
    return f"write {_form(texts)}"


def generate(count: int, max_words: int, seed: int) -> list[Labelled]:
    """Generate documents whose label is which of two words they have more often.

    Args:
        count: Number of documents.
        max_words: Maximum number of words; lengths are uniform.
        seed: Seed.
    """
    rng = np.random.default_rng(seed)
    documents = []
    for number in range(1, count + 1):
        label, other = rng.permutation(sorted(MARKERS))
        words = rng.choice(FILLERS, rng.integers(min(5, max_words), max_words + 1)).astype(object)
        marked = int(rng.integers(1, max(1, len(words) // 5) + 1))
        places = rng.permutation(len(words))[:marked]
        words[places] = MARKERS[label]
        words[places[: rng.integers((marked + 1) // 2)]] = MARKERS[other]  # always the minority
        documents.append(Labelled(str(label), " ".join(words), "generated", number))
    return documents


def generate_words(count: int, max_length: int, seed: int, separator: str = "") -> list[Labelled]:
    """Generate pairs of words of two languages, which are cognates, or not related.

    The second word of a cognate is the first one after the sound changes `CHANGES`; else it is that of another word
    of as many syllables.

    Args:
        count: Number of pairs.
        max_length: Maximum number of sounds of a word.
        seed: Seed.
        separator: Text between the sounds.
    """
    rng = np.random.default_rng(seed)
    most = max(1, min(MAX_SYLLABLES, max_length // 2))
    pairs = []
    for number in range(1, count + 1):
        syllables = int(rng.integers(min(MIN_SYLLABLES, most), most + 1))
        first, other = _word(rng, syllables, max_length), _word(rng, syllables, max_length)
        label = "cognate" if rng.random() < 0.5 or other == first else "unrelated"
        second = [CHANGES.get(sound, sound) for sound in (first if label == "cognate" else other)]
        text = f"{separator.join(first)}\t{separator.join(second)}"
        pairs.append(Labelled(label, text, "generated", number))
    return pairs


def _word(rng: np.random.Generator, syllables: int, max_length: int) -> list[str]:
    """Return the sounds of a word, a consonant and a vowel for each syllable."""
    sounds = [letter for _ in range(syllables) for letter in (rng.choice([*CONSONANTS]), rng.choice([*VOWELS]))]
    return [str(sound) for sound in sounds[:max_length]]
