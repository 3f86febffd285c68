"""The table of tasks, and the section of each: every key, its type, its bounds and its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from rnncli.config.base import FileName, Seed, TaskSection, conflict
from rnncli.config.pairs import PairsTask


def check_both_files(train: str | None, validation: str | None) -> None:
    """Refuse one file without the other."""
    if (train is None) != (validation is None):
        given, missing = ("validation", "train") if train is None else ("train", "validation")
        raise conflict(given, f"needs task.{missing} beside it; give both files or neither")


class AdditionTask(TaskSection):
    """Sums of two numbers, `12+345` to `357`."""

    type: Literal["addition"] = "addition"
    digits: int = Field(3, ge=1, le=9, description="most digits of a number")
    examples: int = Field(50_000, ge=2, le=10_000_000, description="distinct sums, a+b and b+a counted once")
    held_out: int = Field(5_000, ge=1, description="of the examples, kept from training to measure on")
    reverse: bool = Field(True, description="read the question from its last symbol to its first")
    reverse_answer: bool = Field(
        False, description="write the answer from its last digit to its first, as people add: far easier to learn"
    )
    seed: Seed = Field(0, description="which sums are drawn")

    @property
    def distinct_sums(self) -> int:
        """How many sums exist: unordered pairs of numbers below 10^digits."""
        numbers: int = 10**self.digits
        return numbers * (numbers + 1) // 2

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.examples > self.distinct_sums:
            raise conflict(
                "examples",
                f"only {self.distinct_sums} distinct sums of numbers with up to {self.digits} digits exist; "
                f"ask for at most {self.distinct_sums} examples, or more digits",
            )
        if self.held_out >= self.examples:
            raise conflict("held_out", f"must be less than task.examples ({self.examples})")
        return self


class AlphabetTask(TaskSection):
    """Windows of an alphabet, each with the letter that follows it."""

    type: Literal["alphabet"] = "alphabet"
    alphabet: str = Field(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZA", min_length=2, max_length=100_000, description="the letters in order"
    )
    window: int = Field(3, ge=1, le=1000, description="letters that are read before one is predicted")

    @property
    def num_train_examples(self) -> int:
        """The number of windows."""
        return len(self.alphabet) - self.window

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.window >= len(self.alphabet):
            raise conflict("window", f"must be less than the alphabet's length ({len(self.alphabet)})")
        if any(not letter.isprintable() or letter.isspace() for letter in self.alphabet):
            raise conflict("alphabet", "must be printable letters without white space")
        return self


class ClassifyTask(TaskSection):
    """Documents and their labels, from files of `label<TAB>text` lines or generated."""

    type: Literal["classify"] = "classify"
    train: FileName | None = Field(
        None,
        description="file of `label<TAB>text` lines to train on; a relative path starts from the config's directory; "
        "null generates documents",
    )
    validation: FileName | None = Field(None, description="such a file to measure on, beside train")
    tokenize: Literal["characters", "whitespace"] = Field("whitespace", description="what a symbol of a text is")
    max_length: int = Field(200, ge=1, le=100_000, description="most symbols of a text")
    examples: int = Field(5_000, ge=2, le=1_000_000, description="documents, where they are generated")
    held_out: int = Field(1_000, ge=1, description="of the generated documents, kept from training to measure on")
    seed: Seed = Field(0, description="which documents are generated")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_both_files(self.train, self.validation)
        if self.held_out >= self.examples:
            raise conflict("held_out", f"must be less than task.examples ({self.examples})")
        return self


class TextTask(TaskSection):
    """A long text in windows; every symbol is predicted from those before it."""

    type: Literal["text"] = "text"
    train: FileName | None = Field(
        None,
        description="text file to train on; a relative path starts from the config's directory; null generates text",
    )
    validation: FileName | None = Field(None, description="text file to measure on, beside train")
    window: int = Field(32, ge=1, le=100_000, description="symbols that are read, and learned from, at once")
    windows: int = Field(2_560, ge=1, le=10_000_000, description="of text to train on, where it is generated")
    held_out: int = Field(256, ge=1, le=10_000_000, description="windows of generated text to measure on")
    seed: Seed = Field(0, description="which text is generated")

    @property
    def num_train_examples(self) -> int | None:
        """The number of windows of generated text."""
        return self.windows if self.train is None else None

    @model_validator(mode="after")
    def _both_files(self) -> Self:
        check_both_files(self.train, self.validation)
        return self


class ImageRowsTask(TaskSection):
    """Images read row by row, and what they show."""

    type: Literal["image_rows"] = "image_rows"
    path: FileName | None = Field(
        None,
        description="an mnist.npz; a relative path starts from the config's directory; "
        "null takes the 8 x 8 digits of scikit-learn",
    )
    rows: int = Field(28, ge=1, le=4096, description="of an image in path")
    columns: int = Field(28, ge=1, le=4096, description="of an image in path")
    held_out: int = Field(360, ge=1, le=1796, description="of scikit-learn's 1,797 digits, kept to measure on")
    seed: Seed = Field(0, description="which digits are held out")


Side = Annotated[int, Field(ge=1, le=256)]


class NestedTask(TaskSection):
    """Generated sequences whose steps are a vector and a matrix; the class follows from all steps."""

    type: Literal["nested"] = "nested"
    steps: int = Field(10, ge=1, le=4096, description="of the longest sequence; the shortest have half of them")
    vector: Side = Field(4, description="numbers in a step's vector")
    matrix: list[Side] = Field([3, 3], min_length=2, max_length=2, description="rows and columns of a step's matrix")
    classes: int = Field(3, ge=2, le=100, description="classes to tell apart")
    examples: int = Field(6_000, ge=2, le=1_000_000, description="sequences")
    held_out: int = Field(1_000, ge=1, description="of the sequences, kept from training to measure on")
    seed: Seed = Field(0, description="which sequences are generated, and what their classes follow from")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.held_out >= self.examples:
            raise conflict("held_out", f"must be less than task.examples ({self.examples})")
        return self


@dataclass(frozen=True)
class TaskEntry:
    """A task.

    Attributes:
        section: Its section of the config.
        classes: For each type of model that it works with, the class that makes the examples, as `module:Class`; see
            `rnncli.data.task.Task`. It is imported when it is needed.
        numeric_steps: Whether a source's steps are vectors of numbers instead of symbols.
    """

    section: type[TaskSection]
    classes: Mapping[str, str]
    numeric_steps: bool = False


TASKS: dict[str, TaskEntry] = {
    "addition": TaskEntry(
        AdditionTask,
        {
            "encoder_decoder": "rnncli.data.tasks.addition:Addition",
            "repeat_vector": "rnncli.data.tasks.addition:PaddedAddition",
            "classifier": "rnncli.data.tasks.addition:LastDigit",
        },
    ),
    "alphabet": TaskEntry(AlphabetTask, {"next_step": "rnncli.data.tasks.alphabet:Alphabet"}),
    "classify": TaskEntry(ClassifyTask, {"classifier": "rnncli.data.tasks.classify:Classify"}),
    "image_rows": TaskEntry(ImageRowsTask, {"classifier": "rnncli.data.tasks.image_rows:ImageRows"}, True),
    "nested": TaskEntry(NestedTask, {"classifier": "rnncli.data.tasks.nested:Nested"}, True),
    "pairs": TaskEntry(PairsTask, {"encoder_decoder": "rnncli.data.tasks.pairs:Pairs"}),
    "text": TaskEntry(TextTask, {"next_step": "rnncli.data.tasks.text:Text"}),
}
"""Every task by its name, the `task.type` of a config."""
