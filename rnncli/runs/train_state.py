"""Where training is: all of it that is not in arrays of variables."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rnncli.config import Training
from rnncli.errors import RunDirError
from rnncli.runs.checkpoints import LOSSES, Checkpoint


class TrainState(BaseModel):
    """Where training is.

    Attributes:
        epoch: Epochs that ended.
        done: Steps of the epoch that has begun.
        steps: Of an epoch.
        step: Steps in all.
        seconds: That the epoch that has begun took so far.
        metrics: Of the last epoch that ended.
        best: Of the best epoch.
        improved: The last epoch whose metric was better than any before.
        losses: Of the steps of the epoch that has begun, float32, in one or more arrays.
    """

    model_config = ConfigDict(strict=True, extra="ignore", arbitrary_types_allowed=True)

    epoch: int = Field(0, ge=0, lt=2**31)
    done: int = Field(0, ge=0)
    steps: int = Field(0, ge=0, lt=2**31)
    step: int = Field(0, ge=0, lt=2**31)
    seconds: float = Field(0.0, ge=0)
    metrics: dict[str, float | int] = {}
    best: dict[str, float | int] = {}
    improved: int = Field(0, ge=0, lt=2**31)
    losses: list[NDArray[np.float32]] = Field(default=[], exclude=True)

    @classmethod
    def of(cls, checkpoint: Checkpoint, training: Training) -> TrainState:
        """As a checkpoint says.

        Raises:
            RunDirError: It does not say it.
        """
        needed = {"epoch", "loss", training.best_metric}
        try:
            state = cls.model_validate(checkpoint.values)
        except ValidationError as error:
            wrong = error.errors()[0]
            raise RunDirError(f"checkpoint {checkpoint.step}: {wrong['loc'][0]}: {wrong['msg']}") from error
        losses = checkpoint.arrays.get(LOSSES, {}).get("loss", np.zeros(0, np.float32))
        if losses.dtype != np.float32 or losses.shape != (state.done,):
            raise RunDirError(f"checkpoint {checkpoint.step}: it has not the losses of {state.done} steps")
        if any(values and not needed <= values.keys() for values in (state.metrics, state.best)):
            raise RunDirError(f"checkpoint {checkpoint.step}: its metrics lack some of {', '.join(sorted(needed))}")
        state.losses = [losses] if state.done else []
        return state

    def as_values(self) -> dict[str, Any]:
        """What a checkpoint says of it, as JSON; the losses are in an array."""
        return self.model_dump()

    def loss(self) -> float:
        """The mean of the losses."""
        return float(np.concatenate(self.losses).mean(dtype=np.float64))

    def begin_epoch(self) -> None:
        """An epoch ended, or shall begin anew."""
        self.done, self.seconds, self.losses = 0, 0.0, []

    def finished(self, training: Training) -> bool:
        """Whether there is nothing left to train: all epochs ended, or it is time for early stopping."""
        stopping = training.early_stopping
        patient = stopping is None or self.epoch - self.improved < stopping.patience
        return self.epoch >= training.epochs or not patient
