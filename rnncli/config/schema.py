"""The config as pydantic models: every key, its type, its bounds and its default, in one place.

Nothing here imports TensorFlow, and a config is never changed after it was read.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

CellName = Literal["lstm", "gru", "simple_rnn"]
Units = Annotated[int, Field(ge=1, le=16384)]
Layers = Annotated[int, Field(ge=1, le=32)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
EmbeddingWidth = Annotated[int, Field(ge=1, le=16384)] | None


def conflict(key: str, message: str) -> PydanticCustomError:
    """A rule between fields is broken; `key` is the field, below the model that checks, to blame."""
    return PydanticCustomError("conflict", "{reason}", {"key": key, "reason": message})


class Section(BaseModel):
    """A mapping of the config: unknown keys are refused, values are not coerced, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class AdditionTask(Section):
    """Sums of two numbers, `12+345` to `357`."""

    type: Literal["addition"] = "addition"
    digits: int = Field(3, ge=1, le=9, description="most digits of a number")
    examples: int = Field(50_000, ge=2, le=10_000_000, description="distinct sums, a+b and b+a counted once")
    held_out: int = Field(5_000, ge=1, description="of the examples, kept from training to measure on")
    reverse: bool = Field(True, description="read the question from its last symbol to its first")
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


class AlphabetTask(Section):
    """Windows of an alphabet, each with the letter that follows it."""

    type: Literal["alphabet"] = "alphabet"
    alphabet: str = Field(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZA", min_length=2, max_length=100_000, description="the letters in order"
    )
    window: int = Field(3, ge=1, le=1000, description="letters that are read before one is predicted")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.window >= len(self.alphabet):
            raise conflict("window", f"must be less than the alphabet's length ({len(self.alphabet)})")
        if any(not letter.isprintable() or letter.isspace() for letter in self.alphabet):
            raise conflict("alphabet", "must be printable letters without white space")
        return self


class Stack(Section):
    """Recurrent layers one above the other."""

    units: Units = Field(128, description="width of each layer's state, in each direction")
    layers: Layers = Field(1, description="one above the other")
    dropout: Rate = Field(0.0, description="share of each layer's input that is dropped in training")


class Encoder(Stack):
    """The layers that read the source."""

    bidirectional: bool = False
    embedding: EmbeddingWidth = Field(None, description="width of a learned vector a symbol; without it, one-hot")


class Decoder(Stack):
    """The layers that write the target."""

    embedding: EmbeddingWidth = Field(None, description="width of a learned vector a symbol; without it, one-hot")


class EncoderDecoderModel(Section):
    """The encoder's final state is the decoder's initial state; the decoder reads what it wrote."""

    type: Literal["encoder_decoder"]
    cell: CellName = "lstm"
    encoder: Encoder = Encoder()
    decoder: Decoder = Decoder()
    bridge: Literal["auto", "copy", "dense"] = Field(
        "auto", description="how the encoder's state becomes the decoder's; auto copies where the sizes fit"
    )

    @property
    def states_fit(self) -> bool:
        """Whether the encoder's final states can be the decoder's as they are."""
        encoder, decoder = self.encoder, self.decoder
        same = encoder.units == decoder.units and encoder.layers == decoder.layers
        return same and not encoder.bidirectional

    @model_validator(mode="after")
    def _bridged(self) -> Self:
        if self.bridge == "copy" and not self.states_fit:
            raise conflict(
                "bridge",
                "copy needs an encoder in one direction with the decoder's units and layers; use auto or dense",
            )
        return self


class RepeatVectorModel(Section):
    """The encoder's final output, repeated, is the decoder's input at every step of an answer of fixed length."""

    type: Literal["repeat_vector"]
    cell: CellName = "lstm"
    encoder: Encoder = Encoder()
    decoder: Stack = Stack()


class NextStepModel(Section):
    """A window of symbols is read; the symbol that follows is predicted from the last output (many-to-one)."""

    type: Literal["next_step"]
    cell: CellName = "lstm"
    units: Units = Field(32, description="width of each layer's state")
    layers: Layers = Field(1, description="one above the other")
    dropout: Rate = Field(0.0, description="share of each layer's input that is dropped in training")
    symbols: Literal["one_hot", "number"] = Field(
        "one_hot", description="number: one value a step, the symbol's index over their count"
    )
    embedding: EmbeddingWidth = Field(None, description="width of a learned vector a symbol, in place of one-hot")

    @model_validator(mode="after")
    def _one_input(self) -> Self:
        if self.embedding is not None and self.symbols == "number":
            raise conflict("embedding", "symbols are either numbers or embedded; leave out symbols: number")
        return self


class EarlyStopping(Section):
    """Stop when a metric has not improved for some epochs."""

    metric: Literal["exact_match", "symbol_accuracy", "loss"] = Field(
        "exact_match", description="on the held-out examples, but for the loss; also decides which epoch is the best"
    )
    patience: int = Field(5, ge=1, description="epochs without a better value")


class Training(Section):
    """How the weights are found."""

    epochs: int = Field(10, ge=1, le=1_000_000, description="times that every example is trained on")
    batch_size: int = Field(128, ge=1, le=1_000_000, description="examples of a step")
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    learning_rate: float = Field(1e-3, gt=0.0, description="the highest, where a schedule changes it")
    schedule: Literal["constant", "warmup_cosine"] = Field(
        "constant", description="warmup_cosine rises to the learning rate, then falls to 0 along a cosine"
    )
    warmup_steps: int = Field(0, ge=0, description="steps that lead up to the learning rate, for warmup_cosine")
    clip_norm: float | None = Field(None, gt=0.0, description="longest gradient, over all weights together")
    early_stopping: EarlyStopping | None = None
    seed: Seed = Field(0, description="of weights, order and dropout; the same seed gives the same bits")
    csv_log: bool = Field(False, description="write metrics.csv into the run directory")
    tensorboard: bool = Field(False, description="write event files into the run directory's tensorboard/")

    @model_validator(mode="after")
    def _scheduled(self) -> Self:
        if self.warmup_steps and self.schedule == "constant":
            raise conflict("warmup_steps", "does nothing with schedule: constant; use schedule: warmup_cosine")
        return self


class Runtime(Section):
    """Where and how it runs; changes no result beyond rounding."""

    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="auto is a GPU where TensorFlow sees one")
    kernel: Literal["auto", "cudnn", "fused", "generic"] = Field(
        "auto", description="of recurrent layers; cudnn means required"
    )
    cores: int | None = Field(None, ge=1, le=1024, description="parts a batch is split into on a CPU; default: all")


Task = Annotated[AdditionTask | AlphabetTask, Field(discriminator="type")]
Model = Annotated[EncoderDecoderModel | RepeatVectorModel | NextStepModel, Field(discriminator="type")]

MODELS_OF_TASK: dict[str, tuple[str, ...]] = {
    "addition": ("encoder_decoder", "repeat_vector"),
    "alphabet": ("next_step",),
}


class Config(Section):
    """A whole config file."""

    task: Task
    model: Model
    training: Training = Training()
    runtime: Runtime = Runtime()

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, values: Any) -> Any:
        """`task: addition` stands for `task: {type: addition}`, and likewise for the model."""
        if not isinstance(values, dict):
            return values
        short = {key: {"type": values[key]} for key in ("task", "model") if isinstance(values.get(key), str)}
        return {**values, **short}

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        able = MODELS_OF_TASK[self.task.type]
        if self.model.type not in able:
            raise conflict("model.type", f"task {self.task.type} works with {' or '.join(able)}")
        return self
