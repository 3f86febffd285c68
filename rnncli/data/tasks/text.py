"""The task of predicting each next symbol of a long text, which is cut into consecutive windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from string import ascii_lowercase, ascii_uppercase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns, TextTask
from rnncli.data.examples import Examples, Sizes
from rnncli.data.mapped_text import MappedText, read_mapped_text
from rnncli.data.parsing import bad_line, check_text
from rnncli.data.text_files import read_texts
from rnncli.data.tokenizers import TextWriter, characters_of, normal_form, tokenizer
from rnncli.data.vocabulary import PAD, UNKNOWN, UnknownSymbols, Vocabularies, Vocabulary
from rnncli.errors import DataError

DEFAULT_SPLIT = 0.1
"""Share of the training text that is held out where the config does not say."""
Symbols = str | list[str]
"""The symbols of a text; characters stay a string, which takes less memory."""
AnySymbols = Symbols | MappedText
"""The symbols of a text, in memory or in a mapped file."""


class Text:
    """The task of predicting the next symbol; line ends are symbols too.

    In the lines that `rnncli predict` reads and writes, line ends, tabs and backslashes of the text are escaped; see
    `rnncli.data.task.HasLineEnds`.

    Args:
        config: The task's section of the config.
        recorded: The vocabularies of a trained run; None takes the symbols of the training text.

    Raises:
        InputError: The training text cannot be used.

    Attributes:
        unknown: The unknown symbols in what `read_source` and `read_target` read.
        symbol_characters: Characters of each symbol, int64 [symbols]; None where a symbol is a character.
    """

    columns = Columns()
    line_ends = True

    def __init__(self, config: TextTask, recorded: Vocabularies | None = None) -> None:
        self.config, self.unknown = config, UnknownSymbols()
        self._clean, self._tokenizer = normal_form(config.normalize), tokenizer(config.tokenize)
        self._texts: tuple[AnySymbols, AnySymbols] | None = None  # read once, for vocabulary and windows
        if recorded is None:
            self._texts = self._read_both()
            symbols = _frequent(self._texts[0], config)
        else:
            symbols = set(recorded.source.symbols)
        self._set_vocabulary(symbols)

    def _set_vocabulary(self, symbols: set[str]) -> None:
        config = self.config
        self.source_vocabulary = Vocabulary.of(symbols - {PAD, UNKNOWN}, [PAD, UNKNOWN])
        self.target_vocabulary = self.source_vocabulary
        size = len(self.source_vocabulary)
        self.sizes = Sizes(size, config.window, size, config.window, per_step=True)
        self.symbol_characters: NDArray[np.int64] | None = None
        if config.tokenize != "characters":
            shown = characters_of(config.tokenize, self.source_vocabulary.symbols, UNKNOWN)
            self.symbol_characters = np.array(shown, np.int64)

    def extend_vocabulary(self, earlier: Vocabularies) -> None:
        """See `rnncli.data.task.ExtendsVocabulary`."""
        self._set_vocabulary({*self.source_vocabulary.symbols, *earlier.source.symbols})

    def splits(self) -> tuple[Examples, Examples]:
        """Return the windows of both texts, in order."""
        texts, self._texts = self._texts or self._read_both(), None  # no longer needed
        key = "task.validation" if self.config.validation or not self.config.train else "task.split"
        return self._windows(texts[0], "task.train"), self._windows(texts[1], key).in_memory()

    def texts(self) -> tuple[Symbols, Symbols]:
        """Return the symbols of the training text and of the held-out text, which must not be mapped."""
        train, held_out = self._texts or self._read_both()
        assert not isinstance(train, MappedText)
        assert not isinstance(held_out, MappedText)
        return train, held_out

    def _read_both(self) -> tuple[AnySymbols, AnySymbols]:
        """Return the symbols of the training text and of the held-out text, which share no place of a file."""
        config = self.config
        if not config.train:
            train, held_out = (
                generate(windows * config.window + 1, seed)
                for windows, seed in ((config.windows, config.seed), (config.held_out, config.seed + 1))
            )
        else:
            text = self._training_text(config.train)
            if config.validation:
                return text, self._symbols(read_texts(config.validation))
            at = len(text) - int(len(text) * (DEFAULT_SPLIT if config.split is None else config.split))
            return text[:at], text[at:]
        return self._symbols(train), self._symbols(held_out)

    def _training_text(self, name: str) -> AnySymbols:
        """Return the symbols of a text, in memory or in a mapped file."""
        mapped = read_mapped_text(self.config, self._symbols)
        return self._symbols(read_texts(name)) if mapped is None else mapped

    def _symbols(self, text: str) -> Symbols:
        text = self._clean(text)
        return text if self.config.tokenize == "characters" else self._tokenizer.split(text)

    def windows_of(self, text: str, key: str) -> Examples:
        """See `rnncli.data.task.CutsText`."""
        return self._windows(self._symbols(text), key, "give a longer text")

    def _windows(
        self, text: AnySymbols, key: str, hint: str = "give a longer text, or a smaller task.window"
    ) -> Examples:
        """Return the complete windows of a text; symbols after the last one are dropped."""
        size = self.config.window
        count = (len(text) - 1) // size
        if count < 1:
            raise DataError(
                f"{key}: {len(text)} symbols; a window of {size} and the symbol after it need {size + 1}", hint
            )
        lengths = np.full(count, size, np.int32)
        arrays, unknown, notes = self._arrays(text, count)
        if unknown.total:
            notes = (*notes, f"{key}: {unknown}")
        return Examples(arrays[0], lengths, arrays[1], lengths, continuing=True, notes=notes)

    def _arrays(self, text: AnySymbols, count: int) -> tuple[list[Any], UnknownSymbols, tuple[str, ...]]:
        """Return the ids of some windows and those of their targets, unknown symbols of the text, and notes on it."""
        size = self.config.window
        if isinstance(text, MappedText):
            windows = text.windows(self.source_vocabulary, count, size)
            return [*windows], text.unknown(self.source_vocabulary), text.notes
        unknown = UnknownSymbols()
        ids = np.array(self._encode(text, unknown), np.int32)
        return [ids[at : at + count * size].reshape(count, size) for at in (0, 1)], unknown, ()

    def _encode(self, symbols: Symbols, unknown: UnknownSymbols | None = None) -> list[int]:
        return self.source_vocabulary.encode_any(symbols, unknown)

    def _read(self, text: str, unknown: UnknownSymbols | None = None) -> list[int]:
        symbols = self._symbols(text)
        if not symbols:
            raise bad_line("no text", text)
        if len(symbols) > self.config.window:
            hint = "split the text; a stateful model carries its states from line to line"
            raise bad_line(f"{len(symbols)} symbols, more than task.window ({self.config.window})", text, hint)
        return self._encode(symbols, unknown)

    def read_prime(self, text: str, *, count: bool = False) -> list[int]:
        """See `rnncli.data.task.WritesText`."""
        check_text(text)
        return self._encode(self._symbols(text), self.unknown if count else None)

    def writer(self) -> TextWriter:
        """See `rnncli.data.task.WritesText`."""
        return TextWriter(self._tokenizer.join, UNKNOWN, self.config.tokenize == "bytes")

    def read_source(self, text: str) -> list[int]:
        """Return the ids of up to a window of text; symbols that training did not have become the unknown symbol.

        Raises:
            DataError: The text is empty or too long.
        """
        return self._read(text, self.unknown)

    def read_target(self, text: str) -> list[int]:
        """Return the ids of the symbols that follow each symbol of the source, which has counted the unknown ones."""
        return self._read(text)

    def show_source(self, ids: Sequence[int]) -> str:
        """Return a text."""
        writer = self.writer()
        return writer.write(self.source_vocabulary.decode(index for index in ids if index)) + writer.end()

    def show_target(self, ids: Sequence[int]) -> str:
        """Return the symbols predicted after each symbol of the source."""
        return self.show_source(ids)

    def answer(self, source: str) -> str | None:  # noqa: ARG002 (only the data knows)
        """Return None: the next symbols do not follow from a text by a rule."""
        return None


def _frequent(symbols: AnySymbols, config: TextTask) -> set[str]:
    """Return the symbols that are frequent enough for the vocabulary."""
    if isinstance(symbols, MappedText):
        counts = symbols.frequencies()
    elif config.min_frequency == 1:
        return set(symbols)
    else:
        counts = Counter(symbols)
    found = {symbol for symbol, count in counts.items() if count >= config.min_frequency}
    if not found:
        raise DataError(
            f"task.min_frequency: no symbol occurs {config.min_frequency} times in task.train", "give less"
        )
    return found


def generate(symbols: int, seed: int) -> str:
    """Generate text in which every symbol of a word but the first follows from the first, up to 25 symbols back.

    Word number n, from 1 to 8, is the n-th capital letter, the first 3 n small letters, and the capital again:
    `BabcdefB` is number 2.

    Args:
        symbols: Length of the text; the last word may be cut.
        seed: Seed.
    """
    drawn: NDArray[np.int64] = np.random.default_rng(seed).integers(8, size=symbols // 5 + 1)
    words = [f"{ascii_uppercase[n]}{ascii_lowercase[: 3 * n + 3]}{ascii_uppercase[n]}" for n in range(8)]
    return "".join(words[n] for n in drawn.tolist())[:symbols]
