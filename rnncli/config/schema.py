"""The config as pydantic models: every key, its type, its bounds and its default, in one place.

Nothing here imports TensorFlow, and a config is never changed after it was read.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from rnncli.config.base import OneOf, Section, SectionOf, Seed, TaskSection, conflict
from rnncli.config.cells import CustomCell
from rnncli.config.cudnn import cudnn_blockers
from rnncli.config.models import ClassifierModel, EncoderDecoderModel, NextStepModel, RepeatVectorModel
from rnncli.config.optimizers import OPTIMIZERS
from rnncli.config.tasks import TASKS
from rnncli.metrics import MONITORED


def uneven_batches(batch_size: int, examples: int) -> str | None:
    """What is wrong with a batch size of a stateful model, whose batches must all have the same rows."""
    if examples % batch_size == 0:
        return None
    able = sorted((n for n in range(1, examples + 1) if examples % n == 0), key=lambda n: abs(n - batch_size))
    proposed = ", ".join(map(str, sorted(able[:3])))
    return f"a stateful model needs a size that divides the {examples} examples; {proposed} do"


_EVERY = re.compile(r"auto|epoch|(?P<steps>[0-9]{1,9}) steps?|(?P<minutes>[0-9]{1,6}(\.[0-9]{1,6})?) minutes?")


class EarlyStopping(Section):
    """Stop when a metric has not improved for some epochs."""

    metric: Annotated[str, OneOf(MONITORED)] = Field(
        "exact_match",
        description="metric on the validation data, or loss on the training data; also selects the best epoch",
    )
    patience: int = Field(5, ge=1, description="epochs without a better value")


class Training(Section):
    """How the weights are found."""

    epochs: int = Field(10, ge=1, le=1_000_000, description="times that every example is trained on")
    batch_size: int = Field(128, ge=1, le=1_000_000, description="examples of a step")
    optimizer: Annotated[str, OneOf(OPTIMIZERS)] = "adam"
    learning_rate: float = Field(1e-3, gt=0.0, description="the highest, where a schedule changes it")
    schedule: Literal["constant", "warmup_cosine"] = Field(
        "constant", description="warmup_cosine rises to the learning rate, then falls to 0 along a cosine"
    )
    warmup_steps: int = Field(
        0, ge=0, description="steps that lead up to the learning rate, for warmup_cosine; at most all but one"
    )
    clip_norm: float | None = Field(None, gt=0.0, description="longest gradient, over all weights together")
    buckets: int | None = Field(
        None,
        ge=1,
        le=64,
        description="lengths that batches are padded to, each compiled once; 1 pads all to the longest",
    )
    label_smoothing: float = Field(
        0.0, ge=0.0, lt=1.0, description="share of the target's probability that all symbols get alike in training"
    )
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


class Checkpoint(Section):
    """When training writes down where it is."""

    every: str = Field(
        "auto",
        description="`auto`, `epoch`, `N steps` or `M minutes`: auto is at the ends of epochs, as often as takes "
        "less than 2% of the time, and at the end; the others come beside it",
    )
    keep: int = Field(2, ge=1, le=1000, description="newest checkpoints that stay, beside the best")

    @property
    def steps(self) -> int | None:
        """Steps between checkpoints."""
        found = _EVERY.fullmatch(self.every)
        return int(found["steps"]) if found and found["steps"] else None

    @property
    def seconds(self) -> float | None:
        """Time between checkpoints."""
        found = _EVERY.fullmatch(self.every)
        return 60 * float(found["minutes"]) if found and found["minutes"] else None

    @model_validator(mode="after")
    def _every_something(self) -> Self:
        if not _EVERY.fullmatch(self.every) or self.steps == 0 or self.seconds == 0:
            raise conflict("every", "not auto, epoch, or a number with its unit, such as 500 steps or 10 minutes")
        return self


class Runtime(Section):
    """Where and how it runs; changes no result beyond rounding."""

    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="auto is a GPU where TensorFlow sees one")
    kernel: Literal["auto", "cudnn", "fused", "generic"] = Field(
        "auto", description="of recurrent layers; cudnn means required"
    )
    cores: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="of a CPU: parts of a batch and threads in training, most batches answered at once; "
        "default: all that help",
    )
    precision: Literal["float32", "tensorfloat32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="in which a GPU trains; weights and loss stay float32, as does all prediction"
    )

    @model_validator(mode="after")
    def _precise(self) -> Self:
        if self.precision != "float32" and self.device == "cpu":
            raise conflict("precision", f"{self.precision} is for GPUs, not for runtime.device: cpu; use float32")
        return self


Model = Annotated[
    EncoderDecoderModel | RepeatVectorModel | NextStepModel | ClassifierModel, Field(discriminator="type")
]


class Config(Section):
    """A whole config file."""

    @property
    def stateful(self) -> bool:
        """Whether states are carried from batch to batch."""
        return isinstance(self.model, NextStepModel) and self.model.stateful

    @property
    def together(self) -> int | None:
        """Rows that a stateful model answers together, those of its batch; None where any number may be asked for."""
        return self.training.batch_size if self.stateful else None

    @property
    def writes(self) -> bool:
        """Whether the model writes its answer symbol by symbol."""
        return isinstance(self.model, EncoderDecoderModel)

    task: Annotated[TaskSection, SectionOf(TASKS)]
    model: Model
    training: Training = Training()
    checkpoint: Checkpoint = Checkpoint()
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
        entry = TASKS[self.task.type]
        able = list(entry.classes)
        if self.model.type not in able:
            raise conflict("model.type", f"task {self.task.type} works with {' or '.join(able)}")
        self._kernel_can_run()
        if self.stateful and (count := self.task.num_train_examples) is not None:
            wrong = uneven_batches(self.training.batch_size, count)
            if wrong is not None:
                raise conflict("training.batch_size", wrong)
        if entry.numeric_steps and isinstance(self.model, ClassifierModel):
            for key in ("symbols", "embedding"):
                if getattr(self.model, key) != ClassifierModel.model_fields[key].default:
                    reason = f"the steps of task {self.task.type} are numbers, not symbols; leave it out"
                    raise conflict(f"model.{key}", reason)
        return self

    def _kernel_can_run(self) -> None:
        kernel, cell, implementation = self.runtime.kernel, self.model.cell, self.model.implementation
        dropping = self.model.recurrent_dropout_keys
        if kernel == "generic" and dropping:
            reason = f"only the fused kernel drops of the state, as {dropping[0]} asks; use auto or fused"
            raise conflict("runtime.kernel", reason)
        if kernel == "cudnn":
            no_gpu = "cpu (cuDNN needs a GPU)" if self.runtime.device == "cpu" else None
            if blockers := cudnn_blockers(cell, implementation, no_gpu, dropping):
                raise conflict("runtime.kernel", f"cudnn is ruled out by {'; '.join(blockers)}; use auto")
        if kernel == "fused" and isinstance(cell, CustomCell):
            known = "fused knows only lstm, gru and simple_rnn, not model.cell: custom; use auto"
            raise conflict("runtime.kernel", known)
        if kernel == "fused" and implementation == "cell":
            raise conflict("runtime.kernel", "fused runs whole layers, not model.implementation: cell; use auto")
