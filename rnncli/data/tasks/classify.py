"""Documents and their labels, from files of `label<TAB>text` lines or generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rnncli.config import ClassifyTask, Columns
from rnncli.data.examples import Examples, ExampleText, Sizes
from rnncli.data.padding import pad_steps
from rnncli.data.parsing import bad_line, read_class
from rnncli.data.references import note_several_targets
from rnncli.data.tables import TAB_SEPARATED, Reading, read_rows
from rnncli.data.text_files import read_lines
from rnncli.data.tokenizers import normalizer
from rnncli.data.vocabulary import PAD, UNKNOWN, UnknownSymbols, Vocabularies, Vocabulary
from rnncli.errors import DataError, SkippedError

FILLERS = ("the", "of", "and", "to", "in", "it", "was", "that", "film", "plot", "music", "scene")
MARKERS = {"negative": "bad", "positive": "good"}


@dataclass(frozen=True)
class Labelled:
    """A document, its label, and its place: a file, or "generated", and a line."""

    label: str
    text: str
    path: str
    line: int

    @property
    def place(self) -> str:
        """The place as `FILE:LINE`."""
        return f"{self.path}:{self.line}"


class Classify:
    """The task of classifying documents; a line of data is `label<TAB>text`.

    Args:
        config: The task's section of the config.
        recorded: The vocabularies of a trained run; None takes those of the training data.

    Raises:
        InputError: The training data cannot be used.

    Attributes:
        reading: The way that files are read.
        unknown: The unknown symbols in what `read_source` reads.
    """

    columns = Columns(source=2, target=1)

    def __init__(self, config: ClassifyTask, recorded: Vocabularies | None = None) -> None:
        self.config, self.unknown = config, UnknownSymbols()
        self.reading = Reading.of(config)
        self._clean = normalizer(config.normalize)
        self._notes: dict[str, tuple[str, ...]] = {}
        self._train: list[Labelled] | None = None  # read once, for vocabularies and examples
        if recorded is None:
            self._train = self._lines(config.train)
            symbols = {symbol for line in self._train for symbol in self._symbols(line.text)}
            labels = {line.label for line in self._train}
        else:
            symbols, labels = set(recorded.source.symbols), set(recorded.target.symbols)
        if len(labels) < 2:
            raise DataError(f"{config.train or 'generated documents'}: fewer than two labels to tell apart")
        self.target_vocabulary = Vocabulary.of(labels)
        self._set_symbols(symbols)

    def _set_symbols(self, symbols: set[str]) -> None:
        self.source_vocabulary = Vocabulary.of(symbols - {PAD, UNKNOWN}, [PAD, UNKNOWN])
        self.sizes = Sizes(len(self.source_vocabulary), self.config.max_length, len(self.target_vocabulary), 1)

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
            lines, self._notes[path] = read_labelled(path, self.reading)
            return [replace(line, label=self._clean(line.label), text=self._clean(line.text)) for line in lines]
        documents = generate(self.config.examples, min(self.config.max_length, 100), self.config.seed)
        cut = self.config.examples - self.config.held_out
        return documents[cut:] if held_out else documents[:cut]

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
        ones = np.ones(len(sources), np.int32)
        labels = np.array(targets, np.int32)
        return Examples(padded, lengths, labels, ones, notes=notes, left_out=left_out, texts=texts)

    def _symbols(self, text: str) -> list[str]:
        cleaned = self._clean(text)
        return cleaned.split() if self.config.tokenize == "whitespace" else list(cleaned)

    def read_source(self, text: str) -> list[int]:
        """Return the ids of a text; symbols that training did not have become the unknown symbol.

        Raises:
            DataError: The text is empty or too long.
        """
        return self._read(text, self.unknown)

    def _read(self, text: str, unknown: UnknownSymbols) -> list[int]:
        symbols = self._symbols(text)
        if not symbols:
            raise bad_line("no text", text)
        if len(symbols) > self.config.max_length:
            error = bad_line(
                f"{len(symbols)} symbols, more than task.max_length ({self.config.max_length})",
                text,
                "shorten it, or train with a larger task.max_length, or leave such texts out: task.too_long: skip",
            )
            raise SkippedError(error.message, error.hint) if self.config.too_long == "skip" else error
        return self.source_vocabulary.encode_any(symbols, unknown)

    def read_target(self, text: str) -> list[int]:
        """Return the id of a label."""
        return read_class(self._clean(text), self.target_vocabulary)

    def show_source(self, ids: Sequence[int]) -> str:
        """Return a text."""
        symbols = self.source_vocabulary.decode(ids)
        return (" " if self.config.tokenize == "whitespace" else "").join(symbols)

    def show_target(self, ids: Sequence[int]) -> str:
        """Return a label."""
        return "".join(self.target_vocabulary.decode(ids))

    def answer(self, source: str) -> str | None:  # noqa: ARG002 (only the data knows)
        """Return None: a label does not follow from its text."""
        return None


def read_labelled(path: str, reading: Reading = TAB_SEPARATED) -> tuple[list[Labelled], tuple[str, ...]]:
    """Return the examples in a file of `label<TAB>text` lines, and messages for the user; blank lines are skipped.

    Args:
        path: The file, UTF-8; a relative path starts from the current directory.
        reading: The way to read it.

    Raises:
        InputError: The file cannot be read.
        DataError: A line is not an example, or the file has none.
    """
    rows, notes = read_rows(read_lines(path), path, reading, Classify.columns)
    found: list[Labelled] = []
    ragged = total = 0
    for number, line in rows:
        total += 1
        label, *rest = line.split("\t")
        if len(rest) != 1 and reading.ragged_rows == "skip":
            ragged += 1
            continue
        if len(rest) != 1 or not label.strip() or not rest[0].strip():
            what = f"{len(rest) + 1} columns" if len(rest) != 1 else "no text" if label.strip() else "no label"
            raise DataError(f"{path}:{number}: {what}", _hint(line, reading))
        found.append(Labelled(label.strip(), rest[0], path, number))
    if not found:
        raise DataError(f"{path}: no examples in it", "write one a line: label, tab, text")
    if ragged:
        notes = (*notes, f"{path}: skipped {ragged} of {total} lines with another number of columns")
    return found, notes


def note_half_quoted(lines: Sequence[Labelled]) -> list[str]:
    """Return a warning where cells have a quotation mark at one end that belongs to no other one.

    Such cells come from a spreadsheet or a damaged CSV file, and make classes and words of their own.
    """
    found = [line for line in lines if _is_half_quoted(line.label) or _is_half_quoted(line.text)]
    if not found:
        return []
    return [
        f"{found[0].place}: warning: a quotation mark at one end of a cell only, in {len(found)} of {len(lines)} "
        "lines; quotation marks are read as text"
    ]


def _is_half_quoted(cell: str) -> bool:
    return cell.count('"') % 2 == 1 and (cell.startswith('"') or cell.endswith('"'))


def _hint(line: str, reading: Reading) -> str:
    if reading.format == "tsv" and "\t" not in line and ("," in line or ";" in line):
        return "write label, tab, text; task.format: csv reads cells between commas or semicolons"
    return "write label, tab, text"


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
