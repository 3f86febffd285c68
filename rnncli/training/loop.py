"""The training loop: epochs of compiled steps, each followed by a measurement and a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from rnncli import metrics
from rnncli.arrays import Arrays, weights_digest
from rnncli.checkpoints import OPTIMIZER, STATES, WEIGHTS
from rnncli.config import Config, CustomCell, NextStepModel
from rnncli.errors import RunFailedError
from rnncli.models import Model, build_model
from rnncli.prediction import Decoder, predict_examples
from rnncli.rundir import RunDir
from rnncli.runtime import Runtime, versions
from rnncli.tasks import Examples, Task
from rnncli.training.batches import Batches, build_step
from rnncli.usercode import NOWHERE, Places

CALL_SECONDS = 0.2
"""A call of the compiled step is made to last about this long: often enough for a smooth progress bar."""

SMALLER_IS_BETTER = {"loss"}
MEASURED = {"symbol_accuracy", "exact_match"}
"""Metrics on the held-out examples; Keras's callbacks know them by names that begin with `val_`."""


@dataclass(frozen=True)
class Sample:
    """A held-out example as people read it."""

    source: str
    prediction: str
    target: str


@dataclass(frozen=True)
class Outcome:
    """What came of training.

    Attributes:
        best: The metrics of the best epoch, whose weights predictions will use.
        samples: Some held-out examples, predicted with those weights.
    """

    best: dict[str, Any]
    samples: list[Sample]


def train(
    config: Config,
    task: Task,
    splits: tuple[Examples, Examples],
    directory: RunDir,
    runtime: Runtime,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    places: Places = NOWHERE,
) -> Outcome:
    """Train a model into a run directory.

    Args:
        config: The validated config.
        task: Its task.
        splits: The task's examples to train on and to measure on.
        directory: A new run directory.
        runtime: Where to run.
        callbacks: Keras callbacks; `on_train_batch_end` comes once a call of several steps.
        places: Where the class of a custom cell is looked for.

    Raises:
        RunFailedError: The loss stopped being a number; the last good checkpoint stays.
    """
    keras.utils.set_random_seed(config.training.seed)
    with runtime.strategy.scope():
        model = build_model(config, task.sizes, runtime.on_gpu, places)
    if isinstance(config.model.cell, CustomCell):
        directory.write_code(config.model.cell, places)
    directory.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
    directory.write_manifest(
        {
            "versions": versions(),
            "device": "gpu" if runtime.on_gpu else "cpu",
            "parts": runtime.parts,
            "kernels": {
                x.prefix: {"kernel": x.choice.kernel, "reason": x.choice.reason} for x in model.recurrent_layers
            },
            "parameters": model.network.count_params(),
            "notes": [note for examples in splits for note in examples.notes],
        }
    )
    return Trainer(config, task, splits, directory, runtime, model, callbacks).run()


class Trainer:
    """One run of training; see `train`."""

    def __init__(
        self,
        config: Config,
        task: Task,
        splits: tuple[Examples, Examples],
        directory: RunDir,
        runtime: Runtime,
        model: Model,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        self.config, self.task, self.directory, self.model = config.training, task, directory, model
        self.examples, self.held_out = splits
        self.stateful = config.stateful
        self.reset = isinstance(config.model, NextStepModel) and config.model.reset == "epoch"
        self.batches = Batches(config, self.examples, runtime.parts)
        self.batch_rows, self.steps = self.batches.rows, self.batches.steps
        self.step = build_step(config, self.batches, model, runtime)
        self.optimizer = self.step.optimizer
        model.network.optimizer = self.optimizer  # where Keras's callbacks look for it
        self.decode = Decoder(model, runtime)
        self.callbacks = keras.callbacks.CallbackList(
            [*callbacks, *self._loggers()],
            model=model.network,
            epochs=self.config.epochs,
            steps=self.steps,
            verbose=0,
        )
        self.best: dict[str, Any] = {}
        self.improved = 0  # the last epoch whose metric was better than any before
        self.call_steps = 1

    def _loggers(self) -> list[keras.callbacks.Callback]:
        loggers = []
        if self.config.csv_log:
            loggers.append(keras.callbacks.CSVLogger(self.directory.path / "metrics.csv"))
        if self.config.tensorboard:
            loggers.append(keras.callbacks.TensorBoard(self.directory.path / "tensorboard", write_graph=False))
        return loggers

    def run(self) -> Outcome:
        """Train for all epochs, or until the metric stops improving or a callback says so."""
        network = self.model.network
        network.stop_training = False
        self.callbacks.on_train_begin()
        try:
            for epoch in range(self.config.epochs):
                values = self._epoch(epoch)
                if network.stop_training or self._patience_is_over(values):
                    break
        finally:
            self.callbacks.on_train_end()  # loggers close their files, the bar goes away
        weights, _ = self.directory.checkpoints.load_arrays(WEIGHTS)
        self.model.assign(weights)
        carried = self.directory.checkpoints.load_arrays(STATES)[0] if self.stateful else {}
        return Outcome(self.best, self._samples(carried))

    def _carried(self) -> Arrays:
        """The states that the next step would start from, float32 [batch rows, units]."""
        return {name: np.array(value.numpy())[: self.batch_rows] for name, value in self.step.carried.items()}

    def _epoch(self, epoch: int) -> dict[str, Any]:
        began = time.perf_counter()
        self.callbacks.on_epoch_begin(epoch)
        loss = self._train_epoch(epoch)
        trained = time.perf_counter() - began
        values: dict[str, Any] = {
            "epoch": epoch + 1,
            "step": (epoch + 1) * self.steps,
            "loss": loss,
            **self._measure(),
            "learning_rate": float(self.optimizer.learning_rate.numpy()),
            "examples_per_second": round(len(self.examples) / trained, 1),
            "seconds": round(time.perf_counter() - began, 3),
        }
        better = self._is_better(values)
        if better:
            self.best = values
        self._checkpoint(values, better)
        self.directory.append_metrics(values)
        logs = {f"val_{key}" if key in MEASURED else key: value for key, value in values.items() if key != "epoch"}
        self.callbacks.on_epoch_end(epoch, logs)
        return values

    def _train_epoch(self, epoch: int) -> float:
        if self.reset:
            self.step.reset_states()
        order = self.batches.order(epoch)
        losses: list[np.ndarray] = []
        done = 0
        while done < self.steps:
            first = epoch * self.steps + done
            self.callbacks.on_train_batch_begin(done)
            began = time.perf_counter()
            some = self.step(order[done : done + self.call_steps], first)
            seconds = time.perf_counter() - began
            self._check_finite(some, first)
            losses.append(some)
            done += len(some)
            self.callbacks.on_train_batch_end(done - 1, {"loss": float(some.mean())})
            self.call_steps = int(np.clip(len(some) * CALL_SECONDS / seconds, 1, 2 * self.call_steps))
        return float(np.concatenate(losses).mean(dtype=np.float64))

    def _check_finite(self, losses: np.ndarray, first: int) -> None:
        if np.isfinite(losses).all():
            return
        step = first + int(np.argmin(np.isfinite(losses))) + 1
        raise self._diverged(f"the loss became {losses[step - first - 1]} at step {step}")

    def _diverged(self, what: str) -> RunFailedError:
        kept = f"; the checkpoint of epoch {self.best['epoch']}, the best so far, stays" if self.best else ""
        return RunFailedError(
            f"{what}{kept}",
            "likely causes: training.learning_rate is too high, training.clip_norm is not set (try 1.0), "
            "or there is no warm-up (training.schedule: warmup_cosine)",
        )

    def _measure(self) -> dict[str, float]:
        target, lengths = self.held_out.target, self.held_out.target_lengths
        predicted = predict_examples(self.decode, self.held_out, self._carried())
        return {
            "symbol_accuracy": float(metrics.symbols_right(predicted, target, lengths).sum() / lengths.sum()),
            "exact_match": float(metrics.exact_match(predicted, target).mean()),
        }

    def _is_better(self, values: dict[str, Any]) -> bool:
        """Whether the metric is better than ever; of equal ones the smaller loss is."""
        metric = self.config.best_metric
        sign = -1 if metric in SMALLER_IS_BETTER else 1
        old, new = (sign * epoch[metric] if epoch else -np.inf for epoch in (self.best, values))
        if new > old:
            self.improved = values["epoch"]
        return bool((new, -values["loss"]) > (old, -self.best.get("loss", np.inf)))

    def _patience_is_over(self, values: dict[str, Any]) -> bool:
        stopping = self.config.early_stopping
        return stopping is not None and values["epoch"] - self.improved >= stopping.patience

    def _checkpoint(self, values: dict[str, Any], best: bool) -> None:
        weights = self.model.arrays()
        if not all(np.isfinite(value).all() for value in weights.values()):
            raise self._diverged(f"a weight is not finite after step {values['step']}")
        optimizer = {variable.path: np.array(variable.numpy()) for variable in self.optimizer.variables}
        state = {"metrics": values, "best": self.best, "weights_digest": weights_digest(weights)}
        try:
            arrays = {WEIGHTS: weights, OPTIMIZER: optimizer} | ({STATES: self._carried()} if self.stateful else {})
            self.directory.save_checkpoint(values["step"], arrays, state, best)
        except OSError as error:
            raise RunFailedError(
                f"{self.directory.checkpoints.path}: the checkpoint of step {values['step']} cannot be written: "
                f"{error.strerror}",
                f"the checkpoint of epoch {self.best['epoch']} stays" if self.directory.trained else "",
            ) from error

    def _samples(self, carried: Arrays, most: int = 8) -> list[Sample]:
        sources, lengths = self.held_out.source[:most], self.held_out.source_lengths[:most]
        predicted = predict_examples(self.decode, self.held_out, carried)[:most]
        return [
            Sample(
                self.task.show_source(source[:length].tolist()),
                self.task.show_target(ids.tolist()),
                self.task.show_target(target.tolist()),
            )
            for source, length, ids, target in zip(sources, lengths, predicted, self.held_out.target, strict=False)
        ]
