"""A task from outside the package, as `docs/extending.md` adds one: words to their letters in reverse order."""

from typing import Literal

import numpy as np
from pydantic import Field

from rnncli.config import Columns
from rnncli.config.base import Seed, TaskSection
from rnncli.config.tasks import TaskEntry
from rnncli.data.examples import Examples, Sizes
from rnncli.data.padding import pad_steps
from rnncli.data.parsing import bad_line
from rnncli.data.vocabulary import BOS, EOS, EOS_ID, PAD, Vocabulary

LETTERS = "abcdef"


class ReversalTask(TaskSection):
    """Words and their letters in reverse order."""

    type: Literal["reversal"] = "reversal"
    length: int = Field(4, ge=1, le=100, description="letters of a word")
    examples: int = Field(100, ge=2, description="words")
    seed: Seed = Field(0, description="which words are drawn")


class Reversal:
    """The task of writing a word's letters in reverse order; a fifth of the words is held out."""

    columns = Columns()

    def __init__(self, config, recorded=None):
        self.config = config
        self.source_vocabulary = Vocabulary.of(LETTERS, [PAD])
        self.target_vocabulary = Vocabulary.of(LETTERS, [PAD, BOS, EOS])
        self.sizes = Sizes(len(self.source_vocabulary), config.length, len(self.target_vocabulary), config.length + 1)

    def splits(self):
        rng = np.random.default_rng(self.config.seed)
        words = ["".join(rng.choice(list(LETTERS), self.config.length)) for _ in range(self.config.examples)]
        held_out = len(words) // 5
        return self._encode(words[held_out:]), self._encode(words[:held_out])

    def _encode(self, words):
        sources = pad_steps([self.read_source(word) for word in words], self.sizes.source_steps)
        targets = pad_steps([self.read_target(word[::-1]) for word in words], self.sizes.target_steps)
        return Examples(*sources, *targets)

    def read_source(self, text):
        if not text or set(text) - set(LETTERS) or len(text) > self.config.length:
            raise bad_line(f"not a word of up to {self.config.length} letters from {LETTERS}", text)
        return self.source_vocabulary.encode(text)

    def read_target(self, text):
        return [*self.target_vocabulary.encode(text), EOS_ID]

    def show_source(self, ids):
        return "".join(symbol for symbol in self.source_vocabulary.decode(ids) if symbol != PAD)

    def show_target(self, ids):
        symbols = self.target_vocabulary.decode(ids)
        return "".join(symbols[: symbols.index(EOS)] if EOS in symbols else symbols)

    def answer(self, source):
        return source[::-1]


ENTRY = TaskEntry(ReversalTask, {"encoder_decoder": "reversal_task:Reversal"})
