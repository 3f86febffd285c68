"""The task of predicting each next character of a long text, which is cut into consecutive windows."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase, ascii_uppercase

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns, TextTask
from rnncli.data.examples import Examples, Sizes
from rnncli.data.parsing import bad_line
from rnncli.data.text_files import read_text
from rnncli.data.tokenizers import normal_form
from rnncli.data.vocabulary import PAD, UNKNOWN, UnknownSymbols, Vocabularies, Vocabulary
from rnncli.errors import DataError


class Text:
    """The task of predicting the next character; line ends are characters too.

    In the lines that `rnncli predict` reads and writes, line ends, tabs and backslashes of the text are escaped; see
    `rnncli.data.task.HasLineEnds`.

    Args:
        config: The task's section of the config.
        recorded: The vocabularies of a trained run; None takes the characters of the training text.

    Raises:
        InputError: The training text cannot be used.

    Attributes:
        unknown: The unknown symbols in what `read_source` and `read_target` read.
    """

    columns = Columns()
    line_ends = True

    def __init__(self, config: TextTask, recorded: Vocabularies | None = None) -> None:
        self.config, self.unknown = config, UnknownSymbols()
        self._clean = normal_form(config.normalize)
        self._text: str | None = None  # read once, for vocabulary and windows
        if recorded is None:
            self._text = text = self._train()
            symbols = set(text)
        else:
            symbols = set(recorded.source.symbols)
        self.source_vocabulary = Vocabulary.of(symbols - {PAD, UNKNOWN}, [PAD, UNKNOWN])
        self.target_vocabulary = self.source_vocabulary
        size = len(self.source_vocabulary)
        self.sizes = Sizes(size, config.window, size, config.window, per_step=True)

    def splits(self) -> tuple[Examples, Examples]:
        """Return the windows of both texts, in order."""
        text = self._train() if self._text is None else self._text
        self._text = None  # no longer needed
        return self._windows(text, "task.train"), self._windows(self._validation(), "task.validation")

    def _train(self) -> str:
        config = self.config
        return self._file(config.train) if config.train else generate(config.windows * config.window + 1, config.seed)

    def _validation(self) -> str:
        config = self.config
        if config.validation:
            return self._file(config.validation)
        return generate(config.held_out * config.window + 1, config.seed + 1)

    def _file(self, path: str) -> str:
        return self._clean(read_text(path))

    def _windows(self, text: str, key: str) -> Examples:
        """Return the complete windows of a text; symbols after the last one are dropped."""
        size = self.config.window
        count = (len(text) - 1) // size
        if count < 1:
            raise DataError(
                f"{key}: {len(text)} symbols; a window of {size} and the symbol after it need {size + 1}",
                "give a longer text, or a smaller task.window",
            )
        unknown = UnknownSymbols()
        ids = np.array(self._encode(text, unknown), np.int32)
        lengths = np.full(count, size, np.int32)
        source, target = (ids[at : at + count * size].reshape(count, size) for at in (0, 1))
        notes = (f"{key}: {unknown}",) if unknown.total else ()
        return Examples(source, lengths, target, lengths, continuing=True, notes=notes)

    def _encode(self, text: str, unknown: UnknownSymbols | None = None) -> list[int]:
        return self.source_vocabulary.encode_any(text, unknown)

    def _read(self, text: str) -> list[int]:
        symbols = self._clean(text)
        if not symbols:
            raise bad_line("no text", text)
        if len(symbols) > self.config.window:
            hint = "split the text; a stateful model carries its states from line to line"
            raise bad_line(f"{len(symbols)} symbols, more than task.window ({self.config.window})", text, hint)
        return self._encode(symbols, self.unknown)

    def read_source(self, text: str) -> list[int]:
        """Return the ids of up to a window of text; symbols that training did not have become the unknown symbol.

        Raises:
            DataError: The text is empty or too long.
        """
        return self._read(text)

    def read_target(self, text: str) -> list[int]:
        """Return the ids of the symbols that follow each symbol of the source."""
        return self._read(text)

    def show_source(self, ids: Sequence[int]) -> str:
        """Return a text."""
        symbols = self.source_vocabulary.decode(index for index in ids if index)
        return "".join("\N{REPLACEMENT CHARACTER}" if s == UNKNOWN else s for s in symbols)

    def show_target(self, ids: Sequence[int]) -> str:
        """Return the symbols predicted after each symbol of the source."""
        return self.show_source(ids)

    def answer(self, source: str) -> str | None:  # noqa: ARG002 (only the data knows)
        """Return None: the next characters do not follow from a text by a rule."""
        return None


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
