"""Documents and their labels, from files of `label<TAB>text` lines or generated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from rnncli.config import ClassifyTask, Columns
from rnncli.data.examples import Examples, Sizes
from rnncli.data.parsing import bad_line, read_class
from rnncli.data.text_files import read_text
from rnncli.data.vocabulary import PAD, UNKNOWN, Vocabularies, Vocabulary
from rnncli.errors import DataError

FILLERS = ("the", "of", "and", "to", "in", "it", "was", "that", "film", "plot", "music", "scene")
MARKERS = {"negative": "bad", "positive": "good"}


@dataclass(frozen=True)
class Labelled:
    """A document, its label, and its place (`FILE:LINE`)."""

    label: str
    text: str
    place: str


class Classify:
    """The task of classifying documents; a line of data is `label<TAB>text`.

    Args:
        config: The task's section of the config.
        recorded: The vocabularies of a trained run; None takes those of the training data.

    Raises:
        InputError: The training data cannot be used.
    """

    columns = Columns(source=2, target=1)

    def __init__(self, config: ClassifyTask, recorded: Vocabularies | None = None) -> None:
        self.config = config
        self._train: list[Labelled] | None = None  # read once, for vocabularies and examples
        if recorded is None:
            self._train = self._lines(config.train)
            symbols = {symbol for line in self._train for symbol in self._symbols(line.text)}
            labels = {line.label for line in self._train}
        else:
            symbols, labels = set(recorded.source.symbols), set(recorded.target.symbols)
        if len(labels) < 2:
            raise DataError(f"{config.train or 'generated documents'}: fewer than two labels to tell apart")
        self.source_vocabulary = Vocabulary.of(symbols - {PAD, UNKNOWN}, [PAD, UNKNOWN])
        self.target_vocabulary = Vocabulary.of(labels)
        self.sizes = Sizes(len(self.source_vocabulary), config.max_length, len(self.target_vocabulary), 1)

    def splits(self) -> tuple[Examples, Examples]:
        """Return the examples of both files, or generated ones."""
        train = self._lines(self.config.train) if self._train is None else self._train
        self._train = None  # no longer needed
        return self._encode(train), self._encode(self._lines(self.config.validation, True))

    def _lines(self, path: str | None, held_out: bool = False) -> list[Labelled]:
        if path is not None:
            return read_labelled(path)
        documents = generate(self.config.examples, min(self.config.max_length, 100), self.config.seed)
        cut = self.config.examples - self.config.held_out
        return documents[cut:] if held_out else documents[:cut]

    def _encode(self, lines: Sequence[Labelled]) -> Examples:
        """Return examples padded to the longest of these."""
        sources, targets = [], []
        for line in lines:
            try:
                sources.append(self.read_source(line.text))
                targets.append(self.read_target(line.label))
            except DataError as error:
                raise DataError(f"{line.place}: {error.message}", error.hint) from error
        lengths = np.array([len(source) for source in sources], np.int32)
        source = np.zeros((len(lines), lengths.max()), np.int32)
        for row, ids in zip(source, sources, strict=True):
            row[: len(ids)] = ids
        return Examples(source, lengths, np.array(targets, np.int32), np.ones(len(lines), np.int32))

    def _symbols(self, text: str) -> list[str]:
        return text.split() if self.config.tokenize == "whitespace" else list(text.strip())

    def read_source(self, text: str) -> list[int]:
        """Return the ids of a text; symbols that training did not have become the unknown symbol.

        Raises:
            DataError: The text is empty or too long.
        """
        symbols = self._symbols(text)
        if not symbols:
            raise bad_line("no text", text)
        if len(symbols) > self.config.max_length:
            raise bad_line(
                f"{len(symbols)} symbols, more than task.max_length ({self.config.max_length})",
                text,
                "shorten it, or train with a larger task.max_length",
            )
        return self.source_vocabulary.encode_any(symbols)

    def read_target(self, text: str) -> list[int]:
        """Return the id of a label."""
        return read_class(text, self.target_vocabulary)

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


def read_labelled(path: str) -> list[Labelled]:
    """Return the examples in a file of `label<TAB>text` lines; blank lines are skipped.

    Args:
        path: The file, UTF-8; a relative path starts from the current directory.

    Raises:
        InputError: The file cannot be read.
        DataError: A line is not an example, or the file has none.
    """
    lines = list(_labelled(read_text(path).split("\n"), path))
    if not lines:
        raise DataError(f"{path}: no examples in it", "write one a line: label, tab, text")
    return lines


def _labelled(lines: Iterable[str], path: str) -> Iterable[Labelled]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        label, *rest = line.split("\t")
        if len(rest) != 1 or not label.strip() or not rest[0].strip():
            what = f"{len(rest) + 1} columns" if len(rest) != 1 else "no text" if label.strip() else "no label"
            raise DataError(f"{path}:{number}: {what}", "write label, tab, text")
        yield Labelled(label.strip(), rest[0], f"{path}:{number}")


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
        documents.append(Labelled(str(label), " ".join(words), f"generated:{number}"))
    return documents
