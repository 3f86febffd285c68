"""The training loop: epochs of compiled steps, each followed by a measurement and a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from rnncli.config import Config, CustomCell, NextStepModel, dump_config
from rnncli.data.examples import Examples
from rnncli.data.task import HasTest, Task
from rnncli.data.vocabulary import vocabulary_digest
from rnncli.errors import InputError, RunDirError, explain_os_errors
from rnncli.inference.decoder import Decoder
from rnncli.metrics import METRICS, MONITORED, metrics_of_training
from rnncli.models import NetworkModel, build_model
from rnncli.runs.checkpoints import STATES, WEIGHTS
from rnncli.runs.directory import RunDir
from rnncli.runs.provenance import TEST, data_digest, data_digests, note_changes
from rnncli.runs.resume import ResumePoint, rollback_to_resume_point
from rnncli.runs.train_state import TrainState
from rnncli.runtime.tensorflow_setup import Runtime, versions
from rnncli.runtime.user_code import NO_SEARCH_PATH, ModuleSearchPath
from rnncli.training.batches import Batches, build_step
from rnncli.training.checkpointing import Saver
from rnncli.training.interruption import Stop, Stopped
from rnncli.training.loggers import build_loggers
from rnncli.training.state_dict import TrainingVariables
from rnncli.training.validation import Measurer, Sample

CALL_SECONDS = 0.2
"""A call of the compiled step is made to last about this long: often enough for a smooth progress bar."""


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
    search_path: ModuleSearchPath = NO_SEARCH_PATH,
    resumed: ResumePoint | None = None,
    stop: Stop | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome | Stopped:
    """Train a model into a run directory.

    Args:
        config: The validated config.
        task: Its task.
        splits: The task's examples to train on and to measure on.
        directory: A new run directory, or one to go on in.
        runtime: Where to run.
        callbacks: Keras callbacks; `on_train_batch_end` comes once a call of several steps.
        search_path: Where the class of a custom cell is looked for.
        resumed: From where to go on; None begins anew.
        stop: Tells when to stop before the end; without one, only SIGTERM and SIGINT do.
        say: Is told why a run that goes on may end at other bits.

    Raises:
        RunFailedError: The loss stopped being a number; the last good checkpoint stays.
        RunDirError: The checkpoint to go on from is not of this config.
    """
    keras.utils.set_random_seed(config.training.seed)
    with runtime.strategy.scope():
        model = build_model(config, task.sizes, runtime.on_gpu, search_path)
    trainer = Trainer(config, task, splits, directory, runtime, model, callbacks, stop or Stop())
    facts = {
        "versions": versions(),
        "device": "gpu" if runtime.on_gpu else "cpu",
        "parts": runtime.shards,
        "threads": runtime.threads,
        "kernels": {x.prefix: {"kernel": x.choice.kernel, "reason": x.choice.reason} for x in model.recurrent_layers},
        "parameters": model.network.count_params(),
        "notes": [note for examples in splits for note in examples.notes],
        "data": data_digests(splits) | ({TEST: data_digest(test)} if (test := _test_split(task)) else {}),
        "config": dump_config(config),
        "vocabulary": vocabulary_digest(task.source_vocabulary, task.target_vocabulary),
    }
    if resumed is None:
        _write_facts(config, task, directory, search_path, facts)
    else:
        trainer.go_on_from(resumed)
        lost = rollback_to_resume_point(directory, resumed, config)
        for note in [*lost, *note_changes(directory, facts, resumed.checkpoint.step)]:
            say(note)
    return trainer.run()


def _test_split(task: Task) -> Examples | None:
    return task.test_split() if isinstance(task, HasTest) and task.has_test else None


def _write_facts(
    config: Config, task: Task, directory: RunDir, search_path: ModuleSearchPath, facts: dict[str, Any]
) -> None:
    with explain_os_errors(directory.path, "written", inside=True):
        if isinstance(config.model.cell, CustomCell):
            directory.write_code(config.model.cell, search_path)
        directory.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
        directory.write_manifest(facts)


class Trainer:
    """One run of training; see `train`."""

    def __init__(
        self,
        config: Config,
        task: Task,
        splits: tuple[Examples, Examples],
        directory: RunDir,
        runtime: Runtime,
        model: NetworkModel,
        callbacks: Sequence[keras.callbacks.Callback],
        stop: Stop,
    ) -> None:
        self.config, self.directory, self.model = config.training, directory, model
        self.examples, held_out = splits
        self.stop = stop
        self.reset = isinstance(config.model, NextStepModel) and config.model.reset == "epoch"
        self.batches = Batches(config, self.examples, runtime.shards)
        self.steps = self.batches.steps
        self.at = TrainState(steps=self.steps)
        self.step = build_step(config, self.batches, model, runtime)
        self.optimizer = self.step.optimizer
        self.variables = TrainingVariables(model, self.optimizer, self.step.carried, self.batches.rows)
        self.saver = Saver(directory, config, self.variables)
        model.network.optimizer = self.optimizer  # where Keras's callbacks look for it
        decoder = Decoder(model, runtime, config.fixed_batch_size)
        metrics = metrics_of_training(self.config.best_metric)
        self.measure = Measurer(decoder, task, held_out, metrics)
        self.callbacks = keras.callbacks.CallbackList(
            [*callbacks, *build_loggers(self.config, directory)],
            model=model.network,
            epochs=self.config.epochs,
            steps=self.steps,
            verbose=0,
        )
        self.call_steps = 1

    def go_on_from(self, resumed: ResumePoint) -> None:
        """Be where training was at a checkpoint.

        Raises:
            RunDirError: The checkpoint is not of this config; nothing was changed.
        """
        name = f"{self.directory.path}: checkpoint {resumed.checkpoint.step}"
        try:
            self.variables.assign(resumed.checkpoint.arrays)
        except InputError as error:
            raise RunDirError(f"{name}: {error.message}", error.hint) from error
        self.at = resumed.state
        if self.at.steps != self.steps:  # other data, by leave of --allow-changed-data
            self.at.begin_epoch()
            self.at.steps = self.steps
        self.saver.written = resumed.checkpoint.step

    def run(self) -> Outcome | Stopped:
        """Train for all epochs, until the metric stops improving, a callback says so, or it is told to stop."""
        network = self.model.network
        network.stop_training = False
        self.callbacks.on_train_begin()
        try:
            with self.stop.listening():
                while not self.at.finished(self.config) and not network.stop_training:
                    if not self._epoch():
                        return Stopped(self.at.step, self.config.epochs * self.steps, self.stop.signal)
                self.saver.save(self.at)  # if a callback stopped training it is not yet written
        finally:
            self.callbacks.on_train_end()  # loggers close their files, the bar goes away
        weights, _ = self.directory.checkpoints.load_arrays(WEIGHTS)
        self.model.assign(weights)
        carried = self.directory.checkpoints.load_arrays(STATES)[0] if self.variables.carried() else {}
        return Outcome(self.at.best, self.measure.samples(carried))

    def _epoch(self) -> bool:
        """Train for an epoch, or what is left of it, and measure; False where it was told to stop meanwhile."""
        at, began = self.at, time.perf_counter() - self.at.seconds
        self.callbacks.on_epoch_begin(at.epoch)
        if not self._train_epoch(began):
            return False
        trained = time.perf_counter() - began
        values: dict[str, Any] = {
            "epoch": at.epoch + 1,
            "step": at.step,
            "loss": at.loss(),
            **self.measure(self.variables.carried()),
            "learning_rate": float(self.optimizer.learning_rate.numpy()),
            "examples_per_second": round(len(self.examples) / trained, 1),
            "seconds": round(time.perf_counter() - began, 3),
        }
        better = self._is_better(values)
        at.metrics, at.best, at.epoch = values, values if better else at.best, at.epoch + 1
        at.begin_epoch()
        self.directory.append_metrics(values)
        logs = {f"val_{key}" if key in METRICS else key: value for key, value in values.items() if key != "epoch"}
        self.callbacks.on_epoch_end(at.epoch - 1, logs)
        self.saver.epoch_ended(at, better)  # when all logs have the epoch, so that none lacks it after a kill
        return at.finished(self.config) or not self._stopped()

    def _stopped(self) -> bool:
        """Whether it was told to stop; then there is a checkpoint of this step."""
        if not self.stop.told(self.at.step):
            return False
        self.saver.save(self.at)
        return True

    def _train_epoch(self, began: float) -> bool:
        at = self.at
        if self.reset and not at.done:
            self.step.reset_states()
        order = self.batches.order(at.epoch)
        while at.done < self.steps:
            self.callbacks.on_train_batch_begin(at.done)
            rows = order[at.done : at.done + self._call_size()]
            compiles, started = self.batches.compiles(rows), time.perf_counter()
            some = self.step(rows, at.step)
            self.stop.check()
            ended = time.perf_counter()
            self.saver.training_seconds += 0.0 if compiles else ended - started
            self._check_finite(some, at.step)
            at.losses.append(some)
            at.done, at.step, at.seconds = at.done + len(some), at.step + len(some), ended - began
            self.callbacks.on_train_batch_end(at.done - 1, {"loss": float(some.mean())})
            most = 2 * self.call_steps
            if not compiles:
                self.call_steps = int(np.clip(len(some) * CALL_SECONDS / (ended - started), 1, most))
            if at.done < self.steps:
                if self.saver.due(at.step):
                    self.saver.save(at)
                if self._stopped():
                    return False
        return True

    def _call_size(self) -> int:
        """Steps of the next call; what they give does not depend on how many are done in one call."""
        ends = [self.call_steps, self.saver.most_steps(self.at.step), self.stop.at and self.stop.at - self.at.step]
        return max(1, min(end for end in ends if end is not None))

    def _check_finite(self, losses: np.ndarray, first: int) -> None:
        if np.isfinite(losses).all():
            return
        step = first + int(np.argmin(np.isfinite(losses))) + 1
        raise self.saver.diverged(f"the loss became {losses[step - first - 1]} at step {step}", self.at)

    def _is_better(self, values: dict[str, Any]) -> bool:
        """Whether the metric is better than ever; of equal ones the smaller loss is."""
        metric = self.config.best_metric
        sign = 1 if MONITORED[metric].higher_is_better else -1
        old, new = (sign * epoch[metric] if epoch else -np.inf for epoch in (self.at.best, values))
        if new > old:
            self.at.improved = values["epoch"]
        return bool((new, -values["loss"]) > (old, -self.at.best.get("loss", np.inf)))
