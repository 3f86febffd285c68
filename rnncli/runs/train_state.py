"""The training state that is not in variables: epoch, step, best metrics, losses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from rnncli.config import Training


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
        improved: The last epoch whose metric was better than any before.
        losses: Losses of the current epoch's steps, float32 [steps], in one or more arrays.
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
    improved: int = Field(0, ge=0, lt=2**31)
    losses: list[NDArray[np.float32]] = Field(default=[], exclude=True)

    def loss(self) -> float:
        """Return the mean loss of the current epoch."""
        return float(np.concatenate(self.losses).mean(dtype=np.float64))

    def monitored(self, training: Training) -> str:
        """Return the metric that selects the best epoch; version 0.1.0 recorded none, and had one default."""
        stopping = training.early_stopping
        return self.best_metric or (stopping.metric if stopping else None) or "exact_match"

    def begin_epoch(self) -> None:
        """Forget the steps of the current epoch, which has ended or starts again."""
        self.done, self.seconds, self.losses = 0, 0.0, []

    def finished(self, training: Training) -> bool:
        """Return True if all epochs have ended, or early stopping ends training."""
        stopping = training.early_stopping
        patient = stopping is None or self.epoch - self.improved < stopping.patience
        return self.epoch >= training.epochs or not patient
