"""The config as pydantic models: every key, its type, its bounds and its default, in one place.

It imports no TensorFlow. A config never changes after it was read.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from rnncli.config.base import (
    FileName,
    Names,
    OneOf,
    Section,
    SectionOf,
    Seed,
    TaskSection,
    conflict,
    refuse_number_without_unit,
)
from rnncli.config.cells import CustomCell
from rnncli.config.initializers import INITIALIZERS
from rnncli.config.kernels import Kernel, cudnn_blockers, fused_blockers
from rnncli.config.models import ClassifierModel, EncoderDecoderModel, NextStepModel, RepeatVectorModel
from rnncli.config.optimizers import OPTIMIZERS
from rnncli.config.schedules import SCHEDULES
from rnncli.config.tasks import TASKS
from rnncli.config.user_classes import CLASS_PATTERN, MAX_CLASS, UserClass, class_problem, option_problem
from rnncli.text import shorten


def uneven_batches(batch_size: int, examples: int, continuing: bool) -> str | None:
    """Return why a batch size does not suit a stateful model, whose batches must be equal; None if it does.

    Args:
        batch_size: The mini-batch size.
        examples: Number of training examples.
        continuing: True if they are the windows of a text, of which the last may be left out.
    """
    if examples % batch_size == 0 or (continuing and batch_size <= examples):
        return None
    if continuing:
        return f"must be at most {examples}, the number of windows"
    able = sorted((n for n in range(1, examples + 1) if examples % n == 0), key=lambda n: abs(n - batch_size))
    proposed = ", ".join(map(str, sorted(able[:3])))
    return f"a stateful model needs a batch size that divides the {examples} examples, such as {proposed}"


_EVERY = re.compile(r"auto|epoch|(?P<steps>[0-9]{1,9}) steps?|(?P<minutes>[0-9]{1,6}(\.[0-9]{1,6})?) minutes?")
_EVERY_HELP = "must be auto, epoch, or a number with a unit, such as 500 steps or 10 minutes"
_DURATION = re.compile(r"(?P<number>[0-9]{1,6}(\.[0-9]{1,6})?) (?P<unit>second|minute|hour)s?")
_SECONDS = {"second": 1, "minute": 60, "hour": 3600}

MAX_CLASS_WEIGHT = 1e6


def _monitored() -> Names:
    from rnncli.metrics import MONITORED  # imports NumPy, which most configs do not need

    return MONITORED


class EarlyStopping(Section):
    """Stop when a metric has not improved for some epochs."""

    metric: Annotated[str, OneOf(_monitored)] | None = Field(
        None,
        description="metric on the held-out data, or loss on the training data; also selects the best epoch; null: "
        "validation_loss for texts, symbol_accuracy for other next_step models, exact_match for others",
    )
    patience: int = Field(5, ge=1, description="epochs without a better value")
    min_delta: float = Field(
        0.0, ge=0.0, lt=1e6, description="a value counts as better for patience if it is so much better at least"
    )


class Plateau(Section):
    """Settings of schedule plateau: the metric is that of early stopping, or selects the best epoch without it."""

    factor: float = Field(0.5, gt=0.0, lt=1.0, description="factor of the learning rate at each reduction")
    patience: int = Field(2, ge=1, description="epochs without a better value before each reduction")
    min_rate: float = Field(0.0, ge=0.0, description="the learning rate is not reduced below this")


class InitialWeights(Section):
    """Distributions that the weights begin with, by the names of Keras's initializers; biases begin as always."""

    kernel: Annotated[str, OneOf(INITIALIZERS)] | None = Field(
        None, description="of what multiplies inputs, in all layers; null is glorot_uniform"
    )
    recurrent: Annotated[str, OneOf(INITIALIZERS)] | None = Field(
        None, description="of what multiplies states; null is orthogonal"
    )
    embedding: Annotated[str, OneOf(INITIALIZERS)] | None = Field(
        None, description="of embeddings of symbols; null is random_uniform"
    )


class ScheduledSampling(Section):
    """Train an encoder_decoder on some of its own predictions in place of the target (Bengio et al. 2015)."""

    short_form: ClassVar[dict[str, object]] = {"type": "number", "minimum": 0, "maximum": 1}

    probability: float = Field(
        ge=0.0,
        le=1.0,
        description="share of the previous symbols that are samples of the model's predictions, in the end; "
        "`scheduled_sampling: 0.25` sets it alone",
    )
    ramp: Literal["linear", "inverse_sigmoid"] = Field(
        "linear",
        description="course of the probability to its final value: from 0, or from near 0 if the ramp is long",
    )
    ramp_epochs: int | None = Field(
        None,
        ge=0,
        le=1_000_000,
        description="epochs after which the final value is reached; 0 begins with it; null is training.epochs",
    )

    @model_validator(mode="before")
    @classmethod
    def _probability_alone(cls, values: object) -> object:
        """Expand `scheduled_sampling: 0.25`."""
        is_number = isinstance(values, int | float) and not isinstance(values, bool)
        return {"probability": values} if is_number else values


class Training(Section):
    """Training: optimizer, mini-batches, stopping."""

    epochs: int = Field(10, ge=1, le=1_000_000, description="number of epochs")
    batch_size: int = Field(128, ge=1, le=1_000_000, description="mini-batch size")
    steps_per_epoch: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="steps of an epoch, after which the held-out data is measured: fewer than a pass over the "
        "training data has, or more; the next epoch goes on where it ended. null is a pass",
    )
    optimizer: Annotated[str, OneOf(OPTIMIZERS)] = Field(
        "adam", description="its other settings are Keras's defaults, such as the weight decay of adamw"
    )
    learning_rate: float = Field(1e-3, gt=0.0, description="learning rate; with a schedule, its maximum")
    schedule: Annotated[str, OneOf(SCHEDULES)] = Field(
        "constant",
        description="plateau reduces the rate after epochs without a better metric; the others but constant begin "
        "with a linear warm-up, then warmup_cosine and linear decay to 0 at the last step, cosine_restarts does so "
        "in cycles (Loshchilov & Hutter 2017), and inverse_sqrt decays with the square root of the steps (Vaswani et "
        "al. 2017)",
    )
    warmup_steps: int = Field(0, ge=0, description="warm-up steps of a schedule")
    plateau: Plateau | None = None
    cycles: int = Field(1, ge=1, le=1000, description="cycles of equal length of cosine_restarts")
    clip_norm: float | None = Field(None, gt=0.0, description="clip gradients to this global norm")
    clip_value: float | None = Field(
        None, gt=0.0, description="clip every number in the gradients to this absolute value; not with clip_norm"
    )
    buckets: int | None = Field(
        None,
        ge=1,
        le=64,
        description="number of length buckets, each compiled once; 1 pads every batch to the longest example",
    )
    ema: float | None = Field(
        None,
        gt=0.0,
        lt=1.0,
        description="decay of an exponential moving average of the weights, such as 0.999: what is measured, saved "
        "and predicted with is the average (Polyak & Juditsky 1992); null uses the weights themselves",
    )
    label_smoothing: float = Field(0.0, ge=0.0, lt=1.0, description="label smoothing factor")
    scheduled_sampling: ScheduledSampling | None = None
    class_weight: Literal["balanced"] | dict[str, float] | None = Field(
        None,
        description="weights of classes in the loss of a classifier, inversely proportional to their training "
        "examples; or a mapping of labels to weights, 1 for others; null weighs all examples alike",
    )
    early_stopping: EarlyStopping | None = None
    max_time: str | None = Field(
        None,
        description="end training after this time, such as `90 seconds`, `10 minutes` or `1.5 hours`, in which no "
        "interruption counts; the epoch is then cut short and measured; null trains all epochs",
    )
    train_metrics: int = Field(
        0,
        ge=0,
        le=10_000_000,
        description="training examples that are measured in every epoch like the held-out ones; `train_` stands "
        "before the names of these metrics in the logs",
    )
    initial_weights: InitialWeights | None = None
    init_from: FileName | None = Field(
        None,
        description="run directory whose weights training starts from (warm start, fine-tuning), those of its best "
        "epoch; symbols that it lacks are added to the vocabulary; null starts from random weights",
    )
    seed: Seed = Field(
        0, description="random seed of initial weights, order, dropout and samples; same seed and cores, same bits"
    )
    csv_log: bool = Field(False, description="write metrics.csv into the run directory")
    tensorboard: bool = Field(False, description="write event files into the run directory's tensorboard/")
    histograms: bool = Field(False, description="write histograms of the weights of every epoch to TensorBoard, too")
    log_every: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="steps after which TensorBoard and callbacks get their mean loss, within epochs; a small number "
        "slows training; null logs epochs only",
    )
    callbacks: list[dict[str, Any]] = Field(
        [],
        max_length=100,
        description="Keras callbacks: each a `class`, `module:Class`, imported as that of a custom cell; all other "
        "keys are arguments of the class",
        json_schema_extra={
            "items": {
                "type": "object",
                "required": ["class"],
                "properties": {"class": {"type": "string", "pattern": CLASS_PATTERN, "maxLength": MAX_CLASS}},
            }
        },
    )
    export: Literal["onnx"] | None = Field(
        None, description="write the best checkpoint in this format too, by which predict answers without TensorFlow"
    )

    @model_validator(mode="before")
    @classmethod
    def _weighted(cls, values: Any) -> Any:
        """Refuse what are no weights, and read whole numbers as weights."""
        weights = values.get("class_weight") if isinstance(values, dict) else None
        if weights is None or weights == "balanced":
            return values
        if not isinstance(weights, dict):
            raise conflict("class_weight", "must be balanced, or the weight of each label, as in {good: 1, bad: 19}")
        for label, weight in weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < MAX_CLASS_WEIGHT:
                raise conflict("class_weight", f"{label}: the weight must be a number above 0, below 1e6")
        return {**values, "class_weight": {label: float(weight) for label, weight in weights.items()}}

    @model_validator(mode="before")
    @classmethod
    def _with_unit(cls, values: Any) -> Any:
        refuse_number_without_unit(values, "max_time", "seconds", "minutes")
        return values

    @property
    def samples(self) -> bool:
        """Return True if the decoder reads some of its own predictions in training."""
        return self.scheduled_sampling is not None and self.scheduled_sampling.probability > 0

    @property
    def user_callbacks(self) -> list[UserClass]:
        """Return the classes of the callbacks."""
        return [
            UserClass(f"training.callbacks.{number}", "callback", each["class"], _without(each, "class"))
            for number, each in enumerate(self.callbacks)
        ]

    @model_validator(mode="after")
    def _named_callbacks(self) -> Self:
        for number, each in enumerate(self.callbacks):
            if "class" not in each:
                raise conflict("callbacks", f"number {number}: has no class; write {{class: my_module:MyCallback}}")
            if problem := class_problem(each["class"]):
                raise conflict("callbacks", f"number {number}: class: {problem}")
            for name, option in _without(each, "class").items():
                if problem := option_problem(name, option):
                    raise conflict("callbacks", f"number {number}: {shorten(str(name))}: {problem}")
        if self.histograms and not self.tensorboard:
            raise conflict("histograms", "needs tensorboard: true")
        return self

    @property
    def max_seconds(self) -> float | None:
        """Return the seconds after which training ends; None without a limit."""
        found = _DURATION.fullmatch(self.max_time or "")
        return float(found["number"]) * _SECONDS[found["unit"]] if found else None

    @model_validator(mode="after")
    def _timed(self) -> Self:
        if self.max_time is not None and not self.max_seconds:
            raise conflict("max_time", "must be a number with a unit, such as 90 seconds, 10 minutes or 1.5 hours")
        return self

    @model_validator(mode="after")
    def _scheduled(self) -> Self:
        if self.warmup_steps and not SCHEDULES[self.schedule].warms_up:
            raise conflict(
                "warmup_steps", f"has no effect with schedule: {self.schedule}; set it to 0, or use warmup_cosine"
            )
        if self.plateau is not None and self.schedule != "plateau":
            raise conflict("plateau", "is for schedule: plateau; remove it, or set the schedule")
        if self.schedule == "inverse_sqrt" and not self.warmup_steps:
            raise conflict("warmup_steps", "schedule: inverse_sqrt decays from the end of its warm-up; set 1 or more")
        if self.cycles > 1 and self.schedule != "cosine_restarts":
            raise conflict("cycles", "is for schedule: cosine_restarts; remove it")
        if self.cycles == 1 and self.schedule == "cosine_restarts":
            raise conflict("cycles", "schedule: cosine_restarts needs 2 or more; warmup_cosine has one cycle")
        if self.clip_norm is not None and self.clip_value is not None:
            raise conflict("clip_value", "gradients are clipped by clip_norm already; remove one of them")
        return self

    @model_validator(mode="after")
    def _initialized(self) -> Self:
        if self.initial_weights is not None and self.init_from is not None:
            raise conflict("initial_weights", "training.init_from gives the weights; remove one of them")
        return self


def _without(values: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != key}


class CheckpointConfig(Section):
    """Schedule of the checkpoints, and the number to keep."""

    every: str = Field(
        "auto",
        description="`auto`, `epoch`, `N steps` or `M minutes`; auto saves at the end of training and of "
        "epochs, using at most 2% of the time; the others save more often",
    )
    keep: int = Field(2, ge=1, le=1000, description="number of newest checkpoints to keep, besides the best")

    @property
    def steps(self) -> int | None:
        """Return the steps between checkpoints; None without a number of steps."""
        found = _EVERY.fullmatch(self.every)
        return int(found["steps"]) if found and found["steps"] else None

    @property
    def seconds(self) -> float | None:
        """Return the seconds between checkpoints; None without a time."""
        found = _EVERY.fullmatch(self.every)
        return 60 * float(found["minutes"]) if found and found["minutes"] else None

    @model_validator(mode="before")
    @classmethod
    def _with_unit(cls, values: object) -> object:
        every = values.get("every", "auto") if isinstance(values, dict) else "auto"
        refuse_number_without_unit(values, "every", "steps", "minutes")
        if not isinstance(every, str):
            raise conflict("every", _EVERY_HELP)
        return values

    @model_validator(mode="after")
    def _known_interval(self) -> Self:
        if not _EVERY.fullmatch(self.every) or self.steps == 0 or self.seconds == 0:
            raise conflict("every", _EVERY_HELP)
        return self


class RuntimeConfig(Section):
    """Device, kernels, cores and precision; they change results by rounding only."""

    device: Literal["auto", "cpu", "gpu"] = Field("auto", description="auto: a GPU if TensorFlow sees one")
    kernel: Kernel = Field("auto", description="kernel of recurrent layers; auto takes the fastest that can run")
    cores: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="CPU cores of each worker: data-parallel shards and threads; null chooses for you",
    )
    micro_batches: int = Field(
        1,
        ge=1,
        le=1024,
        description="parts of a mini-batch that are computed one after another, so that it needs less memory; their "
        "gradients are summed, and the parameters updated once",
    )
    workers: int = Field(
        1,
        ge=1,
        le=4096,
        description="processes that train together, each on its part of every mini-batch; `rnncli train` starts them "
        "on this machine, unless TF_CONFIG or SLURM have started them",
    )
    worker_timeout: float = Field(
        600.0, ge=1.0, le=1e6, description="seconds that a worker waits for the others before it gives up"
    )
    precision: Literal["float32", "tensorfloat32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="precision of training on a GPU; weights, loss and prediction stay float32"
    )

    @model_validator(mode="after")
    def _precise(self) -> Self:
        if self.precision != "float32" and self.device == "cpu":
            raise conflict("precision", f"{self.precision} needs a GPU, not runtime.device: cpu; use float32")
        return self


Model = Annotated[
    EncoderDecoderModel | RepeatVectorModel | NextStepModel | ClassifierModel, Field(discriminator="type")
]


class Config(Section):
    """A config file."""

    @property
    def best_metric(self) -> str:
        """Return the metric that selects the best epoch."""
        stopping = self.training.early_stopping
        return (stopping.metric if stopping else None) or self.task.best_metric or self.model.best_metric

    @property
    def kind(self) -> str:
        """Return the kind of model that metrics tell apart: its type, or language_model for one of a text."""
        from rnncli.metrics.base import LANGUAGE_MODEL

        return LANGUAGE_MODEL if self.task.continuing else self.model.type

    def on_device(self, device: Literal["auto", "cpu", "gpu"]) -> Config:
        """Return the config for a device of this machine: in float32, and with any kernel if it requires cuDNN."""
        kernel = "auto" if self.runtime.kernel == "cudnn" else self.runtime.kernel
        here = {"device": device, "kernel": kernel, "precision": "float32"}
        return self.model_copy(update={"runtime": self.runtime.model_copy(update=here)})

    @property
    def prediction_code(self) -> list[UserClass]:
        """Return the classes of the user that prediction executes."""
        return [self.model.cell.user_class] if isinstance(self.model.cell, CustomCell) else []

    @property
    def training_code(self) -> list[UserClass]:
        """Return the classes of the user that training executes."""
        return [*self.prediction_code, *self.training.user_callbacks]

    def without_callbacks(self) -> Config:
        """Return the config without callbacks, for training that is only a check."""
        return self.model_copy(update={"training": self.training.model_copy(update={"callbacks": []})})

    @property
    def stateful(self) -> bool:
        """Return True if states are carried from batch to batch."""
        return isinstance(self.model, NextStepModel) and self.model.stateful

    @property
    def resets_states(self) -> bool:
        """Return True if the carried states are reset to zeros at the start of each epoch."""
        return isinstance(self.model, NextStepModel) and self.model.reset == "epoch"

    @property
    def fixed_batch_size(self) -> int | None:
        """Return the rows of every batch of a stateful model, in training and prediction; None for other models."""
        return self.training.batch_size if self.stateful else None

    @property
    def is_autoregressive(self) -> bool:
        """Return True if the model predicts a target symbol by symbol, each from those before it."""
        return isinstance(self.model, EncoderDecoderModel)

    task: Annotated[TaskSection, SectionOf(TASKS)]
    model: Model
    training: Training = Training()
    checkpoint: CheckpointConfig = CheckpointConfig()
    runtime: RuntimeConfig = RuntimeConfig()

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, values: object) -> object:
        """Read `task: addition` as `task: {type: addition}`, and likewise the model."""
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
        if self.runtime.micro_batches > self.training.batch_size:
            reason = f"must be at most training.batch_size ({self.training.batch_size})"
            raise conflict("runtime.micro_batches", reason)
        self._kernel_can_run()
        self._can_copy(entry.copies)
        self._reads_its_texts()
        if self.training.export is not None and getattr(self.model, "attention", "none") == "monotonic":
            raise conflict("training.export", "no export can hold model.attention: monotonic; remove one of them")
        if self.training.export is not None and isinstance(self.model.cell, CustomCell):
            raise conflict("training.export", "model.cell: custom is Python code, which onnx cannot hold; remove it")
        self._measures_and_weights_fit()
        if self.stateful and (count := self.task.num_train_examples) is not None:
            wrong = uneven_batches(self.training.batch_size, count, self.task.continuing)
            if wrong is not None:
                raise conflict("training.batch_size", wrong)
        if entry.numeric_steps and isinstance(self.model, ClassifierModel):
            for key in ("symbols", "embedding"):
                if getattr(self.model, key) != ClassifierModel.model_fields[key].default:
                    reason = f"the steps of task {self.task.type} are numbers, not symbols; remove this key"
                    raise conflict(f"model.{key}", reason)
        return self

    def _can_copy(self, task_can: bool) -> None:
        if not self.model.copies_source:
            return
        if not task_can:
            able = " or ".join(name for name, entry in TASKS.items() if entry.copies)
            raise conflict("model.copy", f"is for task {able}, not {self.task.type}; remove this key")

    def _reads_its_texts(self) -> None:
        two, encoder = getattr(self.task, "texts", 1) == 2, None
        if isinstance(self.model, ClassifierModel):
            encoder = self.model.encoder
        if two and encoder is None:
            reason = "2 needs layers that read the first text; give model.encoder, such as {units: 64, embedding: 64}"
            raise conflict("task.texts", reason)
        if encoder is not None and self.task.type != "classify":
            reason = f"is for task classify with texts: 2, not {self.task.type}; remove this key"
            raise conflict("model.encoder", reason)
        if encoder is not None and not two:
            raise conflict("model.encoder", "reads the first of two texts; set task.texts: 2, or remove this key")

    def _measures_and_weights_fit(self) -> None:
        if getattr(self.model, "shared_embedding", False) and not getattr(self.task, "shared_vocabulary", False):
            if self.task.type != "pairs":
                raise conflict("model.shared_embedding", f"is for task pairs, not {self.task.type}; remove this key")
            raise conflict("model.shared_embedding", "needs one vocabulary on both sides; set task.shared_vocabulary")
        initial, stacks = self.training.initial_weights, self.model.stacks_by_key().values()
        if initial is not None and initial.embedding is not None and all(x.embedding_size is None for x in stacks):
            reason = "the model has no embedding; set one, or remove this key"
            raise conflict("training.initial_weights.embedding", reason)
        if self.training.class_weight is not None and not isinstance(self.model, ClassifierModel):
            raise conflict("training.class_weight", f"model {self.model.type} has no classes; remove this key")
        if self.training.scheduled_sampling is not None and not self.is_autoregressive:
            reason = f"is for model encoder_decoder, not {self.model.type}; remove this key"
            raise conflict("training.scheduled_sampling", reason)
        if self.training.early_stopping is None:
            return
        from rnncli.metrics import MONITORED, metrics_for

        metric, able = self.training.early_stopping.metric, metrics_for(self.kind)
        if metric in MONITORED and metric not in (*able, "loss"):
            reason = f"model {self.model.type} is not measured by {metric}; choose from {', '.join(able)}, loss"
            raise conflict("training.early_stopping.metric", reason)

    def _kernel_can_run(self) -> None:
        kernel, cell, implementation = self.runtime.kernel, self.model.cell, self.model.implementation
        dropping = self.model.recurrent_dropout_keys
        if kernel == "generic" and dropping:
            reason = f"only the fused kernel has recurrent dropout, which {dropping[0]} asks for; use auto or fused"
            raise conflict("runtime.kernel", reason)
        if kernel == "cudnn":
            no_gpu = "cpu (cuDNN needs a GPU)" if self.runtime.device == "cpu" else None
            if blockers := cudnn_blockers(cell, implementation, no_gpu, dropping):
                raise conflict("runtime.kernel", f"cudnn is ruled out by {'; '.join(blockers)}; use auto")
        if kernel == "fused" and (blockers := fused_blockers(cell, implementation)):
            raise conflict("runtime.kernel", f"fused is ruled out by {'; '.join(blockers)}; use auto")
