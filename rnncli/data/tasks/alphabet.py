"""Windows of an alphabet: `ABC` to `D`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rnncli.config import AlphabetTask, Columns
from rnncli.data.examples import Examples, Sizes
from rnncli.data.parsing import bad_line
from rnncli.data.vocabulary import Vocabularies, Vocabulary
from rnncli.errors import DataError


class Alphabet:
    """The task of predicting the letter after a window of the alphabet.

    Training and held-out examples are the same: the task is to memorize, not to generalize.

    Args:
        config: The task's section of the config.
        recorded: Not used: the vocabulary follows from the config.
    """

    columns = Columns()

    def __init__(self, config: AlphabetTask, recorded: Vocabularies | None = None) -> None:  # noqa: ARG002 (a task's)
        self.config = config
        self.source_vocabulary = self.target_vocabulary = Vocabulary.of(config.alphabet)
        size = len(self.source_vocabulary)
        self.sizes = Sizes(size, config.window, size, 1)

    def splits(self) -> tuple[Examples, Examples]:
        """Return all windows, twice."""
        text = np.array(self.source_vocabulary.encode(self.config.alphabet), np.int32)
        window = self.config.window
        source = np.lib.stride_tricks.sliding_window_view(text, window)[:-1]
        count = len(source)
        windows = Examples(
            np.ascontiguousarray(source),
            np.full(count, window, np.int32),
            text[window:, None],
            np.ones(count, np.int32),
        )
        return windows, windows

    def read_source(self, text: str) -> list[int]:
        """Return the ids of a window such as `ABC`."""
        text = text.strip()
        if len(text) != self.config.window:
            raise bad_line(f"not {self.config.window} letters", text)
        return self._encode(text)

    def read_target(self, text: str) -> list[int]:
        """Return the id of a letter."""
        text = text.strip()
        if len(text) != 1:
            raise bad_line("not one letter", text)
        return self._encode(text)

    def _encode(self, text: str) -> list[int]:
        try:
            return self.source_vocabulary.encode(text)
        except DataError as error:
            raise bad_line(error.message, text, "letters outside the alphabet it was trained on") from None

    def show_source(self, ids: Sequence[int]) -> str:
        """Return the letters of a window."""
        return "".join(self.source_vocabulary.decode(ids))

    def show_target(self, ids: Sequence[int]) -> str:
        """Return a letter."""
        return "".join(self.target_vocabulary.decode(ids))

    def answer(self, source: str) -> str | None:
        """Return the letter after a window; None where different letters follow it in the alphabet."""
        alphabet, window = self.config.alphabet, source.strip()
        size = len(window)
        after = {alphabet[i + size] for i in range(len(alphabet) - size) if alphabet[i : i + size] == window}
        return after.pop() if len(after) == 1 else None
