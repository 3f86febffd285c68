"""The table of tasks, and the section of each: every key, its type, its bounds and its default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from rnncli.config.base import CacheLimit, DataPlace, FileName, Seed, TaskSection, conflict
from rnncli.config.pairs import PairsTask
from rnncli.config.tables import NormalForm, TableTask


def check_both_files(train: str | None, validation: str | None) -> None:
    """Refuse one file without the other."""
    if (train is None) != (validation is None):
        given, missing = ("validation", "train") if train is None else ("train", "validation")
        raise conflict(given, f"needs task.{missing} too; give both files or neither")


class AdditionTask(TaskSection):
    """Sums of two numbers, `12+345` to `357`."""

    type: Literal["addition"] = "addition"
    digits: int = Field(3, ge=1, le=9, description="maximum number of digits of an operand")
    examples: int = Field(
        50_000, ge=2, le=10_000_000, description="number of distinct sums; a+b and b+a count as one"
    )
    held_out: int = Field(5_000, ge=1, description="number of these examples held out for validation")
    reverse: bool = Field(True, description="reverse the source")
    reverse_answer: bool = Field(
        False, description="reverse the target, so that the last digit comes first: much easier to learn"
    )
    short_sums: Literal["repeated", "once"] = Field(
        "repeated",
        description="repeated: an epoch shows short sums several times, as there are few, and some are held out; "
        "once: each sum once, the short ones all in training, as in version 0.1.0",
    )
    seed: Seed = Field(0, description="random seed of the sums")

    @property
    def distinct_sums(self) -> int:
        """The number of unordered pairs of numbers below 10^digits."""
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
    """Windows of an alphabet and the letter after each."""

    type: Literal["alphabet"] = "alphabet"
    alphabet: str = Field(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZA", min_length=2, max_length=100_000, description="letters in order"
    )
    window: int = Field(3, ge=1, le=1000, description="length of a source in letters")

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


class ClassifyTask(TableTask):
    """Documents, or pairs of texts, and their labels, from files of `label<TAB>text` lines or generated."""

    type: Literal["classify"] = "classify"
    train: FileName | None = Field(
        None,
        description="training file of `label<TAB>text` lines; a relative path starts from the config's directory; "
        "null generates documents, or pairs of words",
    )
    validation: FileName | None = Field(None, description="held-out file of `label<TAB>text` lines")
    texts: Literal[1, 2] = Field(
        1,
        description="2: a line is `label<TAB>first text<TAB>second text`, each text with a vocabulary of its own; "
        "needs model.encoder, which reads the first one",
    )
    tokenize: Literal["characters", "whitespace"] = Field("whitespace", description="tokenizer of texts")
    max_length: int = Field(
        200,
        ge=1,
        le=100_000,
        description="maximum length of a text in symbols; the first of two texts is always padded to it",
    )
    too_long: Literal["error", "skip"] = Field("error", description="skip drops longer examples and counts them")
    examples: int = Field(5_000, ge=2, le=1_000_000, description="number of generated documents or pairs")
    held_out: int = Field(1_000, ge=1, description="number of generated documents held out for validation")
    seed: Seed = Field(0, description="random seed of generated documents")

    @property
    def leading_features(self) -> int:
        """See `TaskSection`; these are the ids of the first of two texts."""
        return self.max_length if self.texts == 2 else 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        check_both_files(self.train, self.validation)
        if self.held_out >= self.examples:
            raise conflict("held_out", f"must be less than task.examples ({self.examples})")
        return self


class TextTask(TaskSection):
    """A long text in windows: predict each next symbol."""

    continuing: ClassVar[bool] = True
    best_metric: ClassVar[str | None] = "validation_loss"
    type: Literal["text"] = "text"
    train: FileName | None = Field(
        None,
        description="training text: a file, a glob such as `books/*.txt`, or a directory, whose .txt and .txt.gz "
        "files are read in the order of their names; a relative path starts from the config's directory; null "
        "generates text",
    )
    validation: FileName | None = Field(
        None, description="held-out text, likewise; null holds out the end of the training text, see split"
    )
    split: float | None = Field(
        None, gt=0.0, lt=1.0, description="share of the training text that is held out at its end; null is 0.1"
    )
    tokenize: Literal["characters", "bytes", "graphemes", "words"] = Field(
        "characters",
        description="symbols of the text; words are runs of letters and digits, and each other character is a symbol",
    )
    min_frequency: int = Field(1, ge=1, le=1_000_000, description="rarer symbols become the unknown symbol")
    normalize: NormalForm = Field("nfc", description="Unicode normalization of the text")
    window: int = Field(
        32, ge=1, le=100_000, description="symbols of a window: the length of backpropagation through time"
    )
    windows: int = Field(2_560, ge=1, le=10_000_000, description="number of windows of generated training text")
    held_out: int = Field(256, ge=1, le=10_000_000, description="number of windows of generated held-out text")
    seed: Seed = Field(0, description="random seed of generated text")
    data: DataPlace = "auto"
    cache_limit: CacheLimit = 50.0

    @property
    def num_train_examples(self) -> int | None:
        """The number of windows of generated text."""
        return self.windows if self.train is None else None

    @model_validator(mode="after")
    def _both_files(self) -> Self:
        if self.train is None:
            check_both_files(self.train, self.validation)
        if self.train is None and self.data == "mapped":
            raise conflict("data", "mapped needs a file; give task.train")
        if self.split is not None and (self.train is None or self.validation is not None):
            raise conflict("split", "holds out the end of task.train; remove it, or task.validation")
        return self


class ImageRowsTask(TaskSection):
    """Images read row by row, and their classes."""

    type: Literal["image_rows"] = "image_rows"
    path: FileName | None = Field(
        None,
        description="path of an mnist.npz; a relative path starts from the config's directory; "
        "null uses the 8 x 8 digits of scikit-learn",
    )
    rows: int = Field(28, ge=1, le=4096, description="rows of an image in path")
    columns: int = Field(28, ge=1, le=4096, description="columns of an image in path")
    held_out: int = Field(
        360, ge=1, le=1796, description="number of scikit-learn's 1,797 digits held out for validation"
    )
    seed: Seed = Field(0, description="random seed of the split")


Side = Annotated[int, Field(ge=1, le=256)]


class NestedTask(TaskSection):
    """Generated sequences whose steps are a vector and a matrix each, and their classes."""

    type: Literal["nested"] = "nested"
    steps: int = Field(10, ge=1, le=4096, description="maximum length of a sequence; the minimum is half of it")
    vector: Side = Field(4, description="size of the vector of a step")
    matrix: list[Side] = Field(
        [3, 3], min_length=2, max_length=2, description="rows and columns of the matrix of a step"
    )
    classes: int = Field(3, ge=2, le=100, description="number of classes")
    examples: int = Field(6_000, ge=2, le=1_000_000, description="number of sequences")
    held_out: int = Field(1_000, ge=1, description="number of these sequences held out for validation")
    seed: Seed = Field(0, description="random seed of the sequences and their classes")

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
        classes: The task's class for each type of model that it works with, as `module:Class`; it is imported when it
            is needed, and implements `rnncli.data.task.Task`.
        numeric_steps: Whether a source's steps are vectors of numbers instead of symbols.
        copies: Whether a model may copy source symbols into the target; the task is a `CopiesSource` then.
        numbers_of: A function from the text of a source to numbers by name, for plots, as `module:function`.
    """

    section: type[TaskSection]
    classes: Mapping[str, str]
    numeric_steps: bool = False
    copies: bool = False
    numbers_of: str | None = None


TASKS: dict[str, TaskEntry] = {
    "addition": TaskEntry(
        AdditionTask,
        {
            "encoder_decoder": "rnncli.data.tasks.addition:Addition",
            "repeat_vector": "rnncli.data.tasks.addition:PaddedAddition",
            "classifier": "rnncli.data.tasks.addition:LastDigit",
        },
        numbers_of="rnncli.data.tasks.addition:groups_of",
    ),
    "alphabet": TaskEntry(AlphabetTask, {"next_step": "rnncli.data.tasks.alphabet:Alphabet"}),
    "classify": TaskEntry(ClassifyTask, {"classifier": "rnncli.data.tasks.classify:Classify"}),
    "image_rows": TaskEntry(ImageRowsTask, {"classifier": "rnncli.data.tasks.image_rows:ImageRows"}, True),
    "nested": TaskEntry(NestedTask, {"classifier": "rnncli.data.tasks.nested:Nested"}, True),
    "pairs": TaskEntry(PairsTask, {"encoder_decoder": "rnncli.data.tasks.pairs:Pairs"}, copies=True),
    "text": TaskEntry(TextTask, {"next_step": "rnncli.data.tasks.text:Text"}),
}
"""Every task by its name, the `task.type` of a config."""
