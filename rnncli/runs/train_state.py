"""The training state that is not in variables: epoch, step, best metrics, losses."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from rnncli.config import Plateau, Training
from rnncli.metrics import MONITORED


class TrainState(BaseModel):
    """The training state that is not in variables. Field names are the keys of checkpoint.json.

    Attributes:
        epoch: Epochs that have ended.
        done: Steps done in the current epoch.
        steps: Steps of an epoch.
        step: Steps done in all.
        seconds: Time that the current epoch has taken so far.
        metrics: Metrics of the last epoch that has ended.
        best: Metrics of the best epoch.
        best_metric: The metric that selects the best epoch; None in checkpoints of version 0.1.0, see `monitored`.
        tie_metric: The metric that decides between epochs of equal `best_metric`: the loss of training in checkpoints
            of version 0.1.0.
        improved: The last epoch whose metric was better than any before, by `early_stopping.min_delta` at least.
        reference: The value that it had then; None is that of the best epoch.
        reduced: The last epoch after which schedule plateau reduced the learning rate.
        trained_seconds: Time that all epochs before the current one have taken.
        averaged: Steps of the checkpoints whose weights were averaged; empty for a checkpoint of training.
        losses: Losses of the current epoch's steps, float32 [steps], in one or more arrays.
        gradient_norms: Norms of the gradients of these steps, likewise; NaN where an earlier version recorded none.
    """

    model_config = ConfigDict(strict=True, extra="ignore", arbitrary_types_allowed=True)

    epoch: int = Field(0, ge=0, lt=2**31)
    done: int = Field(0, ge=0)
    steps: int = Field(0, ge=0, lt=2**31)
    step: int = Field(0, ge=0, lt=2**31)
    seconds: float = Field(0.0, ge=0)
    metrics: dict[str, float | int] = {}
    best: dict[str, float | int] = {}
    best_metric: str | None = None
    tie_metric: str = "loss"
    improved: int = Field(0, ge=0, lt=2**31)
    reference: float | None = None
    reduced: int = Field(0, ge=0, lt=2**31)
    trained_seconds: float = Field(0.0, ge=0)
    averaged: list[Annotated[int, Field(ge=0, lt=2**31)]] = Field([], max_length=1000)
    losses: list[NDArray[np.float32]] = Field(default=[], exclude=True)
    gradient_norms: list[NDArray[np.float32]] = Field(default=[], exclude=True)

    def loss(self) -> float:
        """Return the mean loss of the current epoch."""
        return float(np.concatenate(self.losses).mean(dtype=np.float64))

    def gradient_norm(self) -> float:
        """Return the mean norm of the gradients of the current epoch's steps.

        Steps whose gradient was not finite are left out: with float16 they update nothing. With no other step it is
        the largest number of float32.
        """
        norms = np.concatenate(self.gradient_norms)
        finite = norms[np.isfinite(norms)]
        return float(finite.mean(dtype=np.float64)) if len(finite) else float(np.finfo(np.float32).max)

    def monitored(self, training: Training) -> str:
        """Return the metric that selects the best epoch; version 0.1.0 recorded none, and had one default."""
        stopping = training.early_stopping
        return self.best_metric or (stopping.metric if stopping else None) or "exact_match"

    def begin_epoch(self) -> None:
        """Forget the steps of the current epoch, which has ended or starts again."""
        self.done, self.seconds, self.losses, self.gradient_norms = 0, 0.0, [], []

    def end_epoch(self, values: dict[str, float | int], min_delta: float = 0.0) -> bool:
        """Record the metrics of the current epoch, and begin the next one.

        Args:
            values: Its metrics, with its number and its time.
            min_delta: The change of the metric from which on early stopping counts it as better.

        Returns:
            True if the epoch is the best so far. Of epochs with equal metrics that is the one with the smaller loss.
        """
        assert self.best_metric is not None, "which is set before the first epoch"
        is_best = not self.best or self._is_better(values, self.best)
        sign = 1 if MONITORED[self.best_metric].higher_is_better else -1
        value = values[self.best_metric]
        before = self.best.get(self.best_metric) if self.reference is None else self.reference
        if before is None or sign * (value - before) > min_delta:
            self.improved, self.reference = int(values["epoch"]), float(value) if min_delta else None
        self.metrics, self.best, self.epoch = values, values if is_best else self.best, self.epoch + 1
        self.trained_seconds += values["seconds"]
        self.begin_epoch()
        return is_best

    def _is_better(self, values: dict[str, float | int], best: dict[str, float | int]) -> bool:
        name, tie = self.best_metric or "", self.tie_metric
        if values[name] != best[name]:
            return (values[name] > best[name]) == MONITORED[name].higher_is_better
        return values[tie] < best[tie]

    def on_plateau(self, training: Training) -> bool:
        """Return True if the metric has not improved for so long that schedule plateau reduces the learning rate."""
        patience = (training.plateau or Plateau()).patience
        return training.schedule == "plateau" and self.epoch - max(self.improved, self.reduced) >= patience

    def time_is_up(self, training: Training) -> bool:
        """Return True if training has taken the time that the config allows."""
        limit = training.max_seconds
        return limit is not None and self.trained_seconds + self.seconds >= limit

    def finished(self, training: Training) -> bool:
        """Return True if all epochs have ended, or training ends before, see `early_end`, or it is an average."""
        return bool(self.averaged) or self.epoch >= training.epochs or self.early_end(training) is not None

    def early_end(self, training: Training) -> str | None:
        """Return why training ends before its last epoch, by early stopping or its maximum time; None if it does not.

        Within an epoch it does not end: one that is out of time is cut short, measured and ended.
        """
        stopping, at = training.early_stopping, f"training ended after epoch {self.epoch} of {training.epochs}"
        if self.epoch >= training.epochs or self.done:
            return None
        if stopping is not None and self.epoch - self.improved >= stopping.patience:
            better = f" by {stopping.min_delta:g}" if stopping.min_delta else ""
            name = MONITORED[self.monitored(training)].label
            rule = f"training.early_stopping.patience: {stopping.patience}"
            return f"{at}: {name} has not improved{better} since epoch {self.improved} ({rule})"
        if self.time_is_up(training):
            return f"{at}: its time is up (training.max_time: {training.max_time})"
        return None
