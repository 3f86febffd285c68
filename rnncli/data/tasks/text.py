"""A long text, cut into windows that go on from each other; every symbol is predicted from those before it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_lowercase, ascii_uppercase

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns, TextTask
from rnncli.data.examples import Examples, Sizes
from rnncli.data.parsing import bad_line
from rnncli.data.text_files import read_text
from rnncli.data.vocabulary import PAD, UNKNOWN, Vocabularies, Vocabulary
from rnncli.errors import DataError

ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", "\\": "\\\\"}
UNESCAPES = {escape: symbol for symbol, escape in ESCAPES.items()}


class Text:
    """The task of continuing a text; symbols are characters, line ends too.

    Where a text is one line among others, as `rnncli predict` reads and writes them, line ends, tabs and backslashes
    in it are written as `ESCAPES` says.

    Args:
        config: The task's section of the config.
        recorded: The symbols of a trained run; without them they are those of the training text.

    Raises:
        InputError: The training text cannot be used.
    """

    columns = Columns()

    def __init__(self, config: TextTask, recorded: Vocabularies | None = None) -> None:
        self.config = config
        self._text: str | None = None  # read once, for the symbols and for the windows
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
        """Windows of both texts, in order."""
        text = self._train() if self._text is None else self._text
        self._text = None  # no longer needed
        return self._windows(text, "task.train"), self._windows(self._validation(), "task.validation")

    def _train(self) -> str:
        config = self.config
        return read_text(config.train) if config.train else generate(config.windows * config.window + 1, config.seed)

    def _validation(self) -> str:
        config = self.config
        if config.validation:
            return read_text(config.validation)
        return generate(config.held_out * config.window + 1, config.seed + 1)

    def _windows(self, text: str, key: str) -> Examples:
        """Symbols behind the last whole window are left out."""
        size = self.config.window
        count = (len(text) - 1) // size
        if count < 1:
            raise DataError(
                f"{key}: {len(text)} symbols; a window of {size} and the symbol after it need {size + 1}",
                "give a longer text, or a smaller task.window",
            )
        ids = np.array(self._encode(text), np.int32)
        lengths = np.full(count, size, np.int32)
        source, target = (ids[at : at + count * size].reshape(count, size) for at in (0, 1))
        return Examples(source, lengths, target, lengths, continuing=True)

    def _encode(self, text: str) -> list[int]:
        return self.source_vocabulary.encode_any(text)

    def _read(self, text: str) -> list[int]:
        symbols = re.sub(r"\\[ntr\\]", lambda found: UNESCAPES[found.group()], text.rstrip("\r\n"))
        if not symbols:
            raise bad_line("no text", text)
        if len(symbols) > self.config.window:
            hint = "give the text in pieces; a stateful model goes on from piece to piece"
            raise bad_line(f"{len(symbols)} symbols, more than task.window ({self.config.window})", text, hint)
        return self._encode(symbols)

    def read_source(self, text: str) -> list[int]:
        """Ids of up to a window of text; symbols that training did not have become one."""
        return self._read(text)

    def read_target(self, text: str) -> list[int]:
        """Ids of the symbols that follow each of the source's."""
        return self._read(text)

    def show_source(self, ids: Sequence[int]) -> str:
        """The text on one line."""
        symbols = self.source_vocabulary.decode(index for index in ids if index)
        return "".join("\N{REPLACEMENT CHARACTER}" if s == UNKNOWN else ESCAPES.get(s, s) for s in symbols)

    def show_target(self, ids: Sequence[int]) -> str:
        """The symbol predicted after each of the source's, on one line."""
        return self.show_source(ids)

    def answer(self, source: str) -> str | None:  # noqa: ARG002 (only the data knows)
        """Nothing: a text does not say how it goes on."""
        return None


def generate(symbols: int, seed: int) -> str:
    """Text in which every symbol but the first of a word follows from the word's first, up to 25 symbols back.

    A word is a capital letter from A to H, so many times three letters of the alphabet, and the capital again:
    `BabcdefB`.

    Args:
        symbols: How many; the last word is cut short.
        seed: The same seed gives the same text.
    """
    drawn: NDArray[np.int64] = np.random.default_rng(seed).integers(8, size=symbols // 5 + 1)
    words = [f"{ascii_uppercase[n]}{ascii_lowercase[: 3 * n + 3]}{ascii_uppercase[n]}" for n in range(8)]
    return "".join(words[n] for n in drawn.tolist())[:symbols]
