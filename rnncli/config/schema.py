"""The config as pydantic models: every key, its type, its bounds and its default, in one place.

Nothing here imports TensorFlow, and a config is never changed after it was read.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from rnncli.config.cudnn import cudnn_blockers
from rnncli.config.pairs import PairsTask
from rnncli.config.section import Section, Seed, conflict
from rnncli.config.tasks import AdditionTask, AlphabetTask, ClassifyTask, ImageRowsTask, TextTask

CellName = Literal["lstm", "gru", "simple_rnn"]
Units = Annotated[int, Field(ge=1, le=16384)]
Layers = Annotated[int, Field(ge=1, le=32)]
Rate = Annotated[float, Field(ge=0.0, lt=1.0)]
Merge = Literal["concat", "sum", "mul", "ave"]
Pooling = Literal["last", "mean", "max"]
EmbeddingWidth = Annotated[int, Field(ge=1, le=16384)] | None


def check_merge(bidirectional: bool, merge: Merge) -> None:
    """Refuse a merge where there is nothing to merge."""
    if merge != "concat" and not bidirectional:
        raise conflict("merge", "merges the outputs of both directions; it needs bidirectional: true")


def uneven_batches(batch_size: int, examples: int) -> str | None:
    """What is wrong with a batch size of a stateful model, whose batches must all have the same rows."""
    if examples % batch_size == 0:
        return None
    able = sorted((n for n in range(1, examples + 1) if examples % n == 0), key=lambda n: abs(n - batch_size))
    proposed = ", ".join(map(str, sorted(able[:3])))
    return f"a stateful model needs a size that divides the {examples} examples; {proposed} do"


class Stack(Section):
    """Recurrent layers one above the other."""

    units: Units = Field(128, description="width of each layer's state, in each direction")
    layers: Layers = Field(1, description="one above the other")
    dropout: Rate = Field(0.0, description="share of each layer's input that is dropped in training")


class Encoder(Stack):
    """The layers that read the source."""

    bidirectional: bool = Field(False, description="a second set of weights reads from the end")
    merge: Merge = Field("concat", description="what the outputs of both directions become")
    embedding: EmbeddingWidth = Field(None, description="width of a learned vector a symbol; without it, one-hot")

    @model_validator(mode="after")
    def _merged(self) -> Self:
        check_merge(self.bidirectional, self.merge)
        return self


class Decoder(Stack):
    """The layers that write the target."""

    embedding: EmbeddingWidth = Field(None, description="width of a learned vector a symbol; without it, one-hot")


class RecurrentModel(Section):
    """What every model has."""

    type: str
    cell: CellName = "lstm"
    implementation: Literal["layer", "cell"] = Field(
        "layer", description="cell runs Keras's cell step by step through keras.layers.RNN: the same numbers, slower"
    )


class EncoderDecoderModel(RecurrentModel):
    """The encoder's final state is the decoder's initial state; the decoder reads what it wrote."""

    type: Literal["encoder_decoder"]
    encoder: Encoder = Encoder()
    decoder: Decoder = Decoder()
    bridge: Literal["auto", "copy", "concat", "dense"] = Field(
        "auto",
        description="how the encoder's state becomes the decoder's; concat puts those of both directions side by "
        "side; auto copies or puts side by side where the sizes fit",
    )

    @property
    def states_fit(self) -> bool:
        """Whether the encoder's final states can be the decoder's as they are."""
        encoder, decoder = self.encoder, self.decoder
        same = encoder.units == decoder.units and encoder.layers == decoder.layers
        return same and not encoder.bidirectional

    @property
    def states_join(self) -> bool:
        """Whether the final states of both of the encoder's directions, side by side, can be the decoder's."""
        encoder, decoder = self.encoder, self.decoder
        return encoder.bidirectional and decoder.units == 2 * encoder.units and encoder.layers == decoder.layers

    @model_validator(mode="after")
    def _bridged(self) -> Self:
        if self.bridge == "copy" and not self.states_fit:
            raise conflict(
                "bridge",
                "copy needs an encoder in one direction with the decoder's units and layers; use auto or dense",
            )
        if self.bridge == "concat" and not self.states_join:
            raise conflict(
                "bridge",
                "concat needs model.encoder.bidirectional: true, model.decoder.units twice the encoder's and as many "
                "layers in both; use auto or dense",
            )
        return self


class RepeatVectorModel(RecurrentModel):
    """The encoder's final output, repeated, is the decoder's input at every step of an answer of fixed length."""

    type: Literal["repeat_vector"]
    encoder: Encoder = Encoder()
    decoder: Stack = Stack()


class ManyToOne(RecurrentModel):
    """Steps are read; one answer follows from all of them."""

    units: Units = Field(32, description="width of each layer's state, in each direction")
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


class NextStepModel(ManyToOne):
    """A window of symbols is read; the symbol that follows is predicted from the last output."""

    type: Literal["next_step"]
    stateful: bool = Field(
        False, description="each row of a batch goes on from the state that it ended the last batch with"
    )
    reset: Literal["epoch", "never"] = Field("epoch", description="when stateful training starts from zeros again")
    bidirectional: ClassVar[bool] = False
    merge: ClassVar[Merge] = "concat"
    pooling: ClassVar[Pooling] = "last"


class ClassifierModel(ManyToOne):
    """A sequence is read; its class is predicted from the last output, or from the mean or maximum of all."""

    type: Literal["classifier"]
    bidirectional: bool = Field(False, description="a second set of weights reads from the end")
    merge: Merge = Field("concat", description="what the outputs of both directions become")
    pooling: Pooling = Field("last", description="what of a sequence's outputs is classified; padding plays no part")

    @model_validator(mode="after")
    def _merged(self) -> Self:
        check_merge(self.bidirectional, self.merge)
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
    warmup_steps: int = Field(
        0, ge=0, description="steps that lead up to the learning rate, for warmup_cosine; at most all but one"
    )
    clip_norm: float | None = Field(None, gt=0.0, description="longest gradient, over all weights together")
    early_stopping: EarlyStopping | None = None
    seed: Seed = Field(0, description="of weights, order and dropout; the same seed and cores give the same bits")
    csv_log: bool = Field(False, description="write metrics.csv into the run directory")
    tensorboard: bool = Field(False, description="write event files into the run directory's tensorboard/")

    @property
    def best_metric(self) -> str:
        """The metric that decides which epoch is the best."""
        return "exact_match" if self.early_stopping is None else self.early_stopping.metric

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
    precision: Literal["float32", "tensorfloat32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="in which a GPU trains; weights and loss stay float32, as does all prediction"
    )

    @model_validator(mode="after")
    def _precise(self) -> Self:
        if self.precision != "float32" and self.device == "cpu":
            raise conflict("precision", f"{self.precision} is for GPUs, not for runtime.device: cpu; use float32")
        return self


Task = Annotated[
    AdditionTask | AlphabetTask | ClassifyTask | ImageRowsTask | PairsTask | TextTask, Field(discriminator="type")
]
Model = Annotated[
    EncoderDecoderModel | RepeatVectorModel | NextStepModel | ClassifierModel, Field(discriminator="type")
]

MODELS_OF_TASK: dict[str, tuple[str, ...]] = {
    "addition": ("encoder_decoder", "repeat_vector", "classifier"),
    "alphabet": ("next_step",),
    "classify": ("classifier",),
    "image_rows": ("classifier",),
    "pairs": ("encoder_decoder",),
    "text": ("next_step",),
}


class Config(Section):
    """A whole config file."""

    @property
    def stateful(self) -> bool:
        """Whether states are carried from batch to batch."""
        return isinstance(self.model, NextStepModel) and self.model.stateful

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
        self._kernel_can_run()
        task = self.task
        if self.stateful and (isinstance(task, AlphabetTask) or (isinstance(task, TextTask) and task.train is None)):
            wrong = uneven_batches(self.training.batch_size, task.windows)
            if wrong is not None:
                raise conflict("training.batch_size", wrong)
        if self.task.type == "image_rows" and isinstance(self.model, ClassifierModel):
            for key in ("symbols", "embedding"):
                if getattr(self.model, key) != ClassifierModel.model_fields[key].default:
                    raise conflict(f"model.{key}", "rows of an image are numbers, not symbols; leave it out")
        return self

    def _kernel_can_run(self) -> None:
        kernel, implementation = self.runtime.kernel, self.model.implementation
        if kernel == "cudnn":
            no_gpu = "cpu (cuDNN needs a GPU)" if self.runtime.device == "cpu" else None
            if blockers := cudnn_blockers(self.model.cell, implementation, no_gpu):
                raise conflict("runtime.kernel", f"cudnn is ruled out by {'; '.join(blockers)}; use auto")
        if kernel == "fused" and implementation == "cell":
            raise conflict("runtime.kernel", "fused runs whole layers, not model.implementation: cell; use auto")
