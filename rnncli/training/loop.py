"""The training loop: epochs of compiled steps, each followed by validation and a checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from rnncli.config import Config, Plateau, dump_config
from rnncli.data.task import HasTest
from rnncli.data.vocabulary import vocabulary_digest
from rnncli.errors import InputError, RunDirError, explain_os_errors
from rnncli.inference.decoder import Decoder
from rnncli.inference.evaluation import Scores
from rnncli.inference.initial_states import first_states
from rnncli.metrics import metrics_of_training
from rnncli.metrics.base import LANGUAGE_MODEL
from rnncli.models import NetworkModel, build_model
from rnncli.runs.checkpoints import STATES, WEIGHTS
from rnncli.runs.directory import RunDir
from rnncli.runs.provenance import TEST, data_digest, data_digests, note_changes
from rnncli.runs.resume import ResumePoint, rollback_to_resume_point
from rnncli.runs.train_state import TrainState
from rnncli.runtime.run_files import CODE, CSV, TENSORBOARD
from rnncli.runtime.tensorflow_setup import (
    Runtime,
    cache_failures,
    publish_compilations,
    recover_from_cache_failure,
    versions,
    xla_flags,
)
from rnncli.training.batches import Batches, build_step
from rnncli.training.checkpointing import DIVERGENCE_HINT, Checkpointer
from rnncli.training.class_weights import class_weights, mean_weight
from rnncli.training.inputs import Report, TrainingInputs, ignore
from rnncli.training.interruption import Stop, Stopped
from rnncli.training.loggers import CsvLog, TensorBoardLog, keras_logs
from rnncli.training.state_dict import TrainingVariables
from rnncli.training.user_callbacks import load_callbacks
from rnncli.training.validation import Sample, Validator, WrittenText, leading_examples
from rnncli.training.warm_start import INIT_FROM, take_weights

FAR_ABOVE_GUESSING, FAR_ABOVE_EPOCHS = 1.5, 2
"""Loss relative to that of guessing, and epochs in a row with such a loss, that are worth a warning."""

VALIDATION_LOSS = "validation_loss"
"""The metric that decides between epochs whose other metric is equal."""

CALL_SECONDS = 0.2
"""The target duration of one call of the compiled step: short enough for a smooth progress bar."""


@dataclass(frozen=True)
class Outcome:
    """The result of training that ran to its end.

    Attributes:
        best: The metrics of the best epoch, whose weights predictions will use.
        best_metric: The metric that selected it.
        samples: Some held-out examples, predicted with those weights.
        groups: Scores of groups of held-out examples with those weights, by kind and value, such as digits of sums;
            empty where the task has none to show.
        early_end: Why training ended before its last epoch; None if it did not.
        written: What a model of texts writes; None for other models.
    """

    best: dict[str, Any]
    best_metric: str
    samples: list[Sample]
    groups: dict[str, dict[int | str, Scores]]
    early_end: str | None = None
    written: WrittenText | None = None


@dataclass(frozen=True)
class Hooks:
    """Callbacks that are told of training while it runs, and what can end it.

    Attributes:
        callbacks: Keras callbacks; `on_train_batch_end` is called after each call of several steps.
        stop: The request to stop early; by default only SIGTERM, SIGINT and SIGHUP stop it.
        warn: Called with what the user must know, such as why a resumed run may not be bit-identical.
        note: Called with what is taken of the weights to start from.
    """

    callbacks: Sequence[keras.callbacks.Callback] = ()
    stop: Stop = field(default_factory=Stop)
    warn: Report = ignore
    note: Report = ignore


def train(
    inputs: TrainingInputs,
    directory: RunDir,
    runtime: Runtime,
    resumed: ResumePoint | None = None,
    hooks: Hooks | None = None,
) -> Outcome | Stopped:
    """Train a model into a run directory.

    Args:
        inputs: The config and its data.
        directory: A new run directory, or the one to resume.
        runtime: The device and its parallelism.
        resumed: The point to resume from; None starts a new run.
        hooks: What is told of training; None is nothing.

    Raises:
        InputError: The weights to start from do not fit the model.
        RunFailedError: The loss or a weight is not finite, or a checkpoint cannot be written; earlier checkpoints
            are kept.
        RunDirError: The checkpoint to resume from does not fit the config.
    """
    keras.utils.set_random_seed(inputs.config.training.seed)
    with runtime.strategy.scope():
        model = build_model(inputs.config, inputs.task.sizes, runtime.on_gpu, inputs.search_path)
    hooks = hooks or Hooks()
    taken = take_weights(model, inputs.start, inputs) if resumed is None and inputs.start is not None else None
    trainer = Trainer(inputs, directory, runtime, model, hooks)
    facts = _manifest_facts(inputs, runtime, model)
    if resumed is None:
        _write_facts(inputs, directory, facts | ({} if taken is None else {INIT_FROM: taken.facts()}))
        if taken is not None:
            for line in taken.lines():
                hooks.note(line)
            trainer.checkpointer.save(trainer.state)  # resuming needs the other run no more
    else:
        trainer.restore(resumed)
        lost = rollback_to_resume_point(directory, resumed, inputs.config)
        for note in [*lost, *note_changes(directory, facts, resumed.checkpoint.step)]:
            hooks.warn(note)
    return trainer.run()


def _manifest_facts(inputs: TrainingInputs, runtime: Runtime, model: NetworkModel) -> dict[str, Any]:
    task, splits = inputs.task, inputs.splits
    test = task.test_split() if isinstance(task, HasTest) and task.has_test else None
    return {
        "versions": versions(),
        "device": "gpu" if runtime.on_gpu else "cpu",
        "parts": runtime.shards,
        "micro_batches": inputs.config.runtime.micro_batches,
        "threads": runtime.threads,
        "xla_flags": xla_flags(),
        "kernels": {x.prefix: {"kernel": x.choice.kernel, "reason": x.choice.reason} for x in model.recurrent_layers},
        "parameters": model.network.count_params(),
        "notes": [note for examples in splits for note in examples.notes],
        "data": data_digests(splits) | ({} if test is None else {TEST: data_digest(test)}),
        "config": dump_config(inputs.config),
        "vocabulary": vocabulary_digest(task.source_vocabulary, task.target_vocabulary),
    }


def _write_facts(inputs: TrainingInputs, directory: RunDir, facts: dict[str, Any]) -> None:
    code, task = inputs.config.training_code, inputs.task
    with explain_os_errors(directory.path, "written", inside=True):
        if code:
            facts = facts | {CODE: directory.write_code(code, inputs.search_path)}
        directory.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
        directory.write_manifest(facts)


class Trainer:
    """Trains one run; see `train` for the arguments."""

    def __init__(
        self, inputs: TrainingInputs, directory: RunDir, runtime: Runtime, model: NetworkModel, hooks: Hooks
    ) -> None:
        config, task, (train_examples, held_out) = inputs.config, inputs.task, inputs.splits
        self.config, self.directory, self.model = config.training, directory, model
        self.stop, self.warn = hooks.stop, hooks.warn
        self.resets_states, self.first_states = config.resets_states, partial(first_states, config)
        self.batches = Batches(config, train_examples, runtime.shards)
        self.steps = self.batches.steps
        self.state = TrainState(steps=self.steps, best_metric=config.best_metric, tie_metric=VALIDATION_LOSS)
        weights = class_weights(config, train_examples, task.target_vocabulary)
        self.train_step = build_step(config, self.batches, model, runtime, weights)
        self.optimizer = self.train_step.optimizer
        self.variables = TrainingVariables(model, self.optimizer, self.train_step.carried, self.batches.rows)
        self.checkpointer = Checkpointer(directory, config, self.variables)
        self.metrics_to_watch = partial(metrics_of_training, model=config.kind)
        decoder, metrics = Decoder(model, runtime, config.fixed_batch_size), self.metrics_to_watch(config.best_metric)
        self.validator = Validator(decoder, task, held_out, metrics, config.kind)
        measured = leading_examples(train_examples, self.config.train_metrics, config.fixed_batch_size)
        self.train_validator = Validator(decoder, task, measured, metrics, config.kind)
        self.callbacks, self.told_of_calls = self._callbacks(inputs, hooks)
        self.csv_log = CsvLog(directory.path / CSV) if self.config.csv_log else None
        self.steps_per_call, self.epochs_far_above = 1, 0
        self.guessing_loss = math.log(max(2, task.sizes.target_symbols)) * mean_weight(weights, train_examples)

    def _callbacks(
        self, inputs: TrainingInputs, hooks: Hooks
    ) -> tuple[keras.callbacks.CallbackList, keras.callbacks.CallbackList]:
        """Return all callbacks, and those that are told of every call of several steps.

        The others are told of the steps that `training.log_every` is due at, if it is given.
        """
        network = self.model.network
        network.optimizer = self.optimizer  # Keras callbacks read it, as from a compiled model
        of_config = load_callbacks(self.config.user_callbacks, inputs.search_path)
        board = [self._tensorboard(inputs.config)] if self.config.tensorboard else []
        make = partial(
            keras.callbacks.CallbackList,
            model=network,
            epochs=self.config.epochs,
            steps=self.steps,
            verbose=0,
            run_dir=str(self.directory.path),
            config=inputs.config.model_dump(mode="json", by_alias=True),
        )
        every = make([*hooks.callbacks, *of_config, *board])
        return every, every if self.config.log_every is None else make(list(hooks.callbacks))

    def _tensorboard(self, config: Config) -> TensorBoardLog:
        def samples() -> str:
            if config.prediction_code or (config.stateful and self.validator.kind != LANGUAGE_MODEL):
                return ""  # a cell may draw random numbers, and a stateful model reads all examples to show some
            return self.validator.as_text()

        folder, training = self.directory.path / TENSORBOARD, config.training
        return TensorBoardLog(folder, training.log_every, config, samples, training.histograms)

    def restore(self, resumed: ResumePoint) -> None:
        """Set the training state and all variables to those of a checkpoint.

        Raises:
            RunDirError: The checkpoint does not fit the config; nothing was changed.
        """
        name = f"{self.directory.path}: checkpoint {resumed.checkpoint.step}"
        try:
            self.variables.assign(resumed.checkpoint.arrays)
        except InputError as error:
            raise RunDirError(f"{name}: {error.message}", error.hint) from error
        self.state = resumed.state
        self.validator.metrics = self.metrics_to_watch(self.state.monitored(self.config))
        if self.state.steps != self.steps:  # other data, which --allow-changed-data allows
            self.state.begin_epoch()
            self.state.steps = self.steps
        self.checkpointer.written_step = resumed.checkpoint.step

    def run(self) -> Outcome | Stopped:
        """Train until the last epoch, early stopping, a callback's `stop_training`, or a request to stop."""
        network = self.model.network
        network.stop_training = False
        try:
            self.callbacks.on_train_begin()
            with self.stop.handling_signals():
                while not self.state.finished(self.config) and not network.stop_training:
                    if not self._run_epoch():
                        return Stopped(self.state.step, self.config.epochs * self.steps, self.stop.signal)
                self.checkpointer.save(self.state)  # not yet done if a callback stopped training
        finally:
            self.callbacks.on_train_end()  # closes log files and the progress bar
        weights, _ = self.directory.checkpoints.load_arrays(WEIGHTS)
        self.model.assign(weights)
        carried = self.directory.checkpoints.load_arrays(STATES)[0] if self.variables.carried() else {}
        samples, groups = self.validator.samples(self.first_states(carried)), self.validator.groups()
        early = self.state.early_end(self.config)
        if early is None and self.state.epoch < self.config.epochs:
            early = f"training ended after epoch {self.state.epoch} of {self.config.epochs}: a callback stopped it"
        written, metric = self.validator.written(), self.state.monitored(self.config)
        return Outcome(self.state.best, metric, samples, groups, early, written)

    def _run_epoch(self) -> bool:
        """Train the rest of an epoch and validate; return False if training was stopped."""
        state, began = self.state, time.perf_counter() - self.state.seconds
        self.callbacks.on_epoch_begin(state.epoch)
        if not self._train_epoch(began):
            return False
        values = self._measure_epoch(began)
        is_best = state.end_epoch(values, self.min_delta)
        if state.on_plateau(self.config):
            self._reduce_rate()
        self.directory.append_metrics(values)
        if self.csv_log is not None:
            self.csv_log.append(values)
        self.callbacks.on_epoch_end(state.epoch - 1, keras_logs(values))
        self.checkpointer.end_epoch(state, is_best)  # after all logs, so that none lacks the epoch after a kill
        publish_compilations()  # or a kill would lose them
        return state.finished(self.config) or not self._stop_if_requested()

    def _reduce_rate(self) -> None:
        """Reduce the learning rate, which the next checkpoint holds among the optimizer's variables."""
        plateau, rate = self.config.plateau or Plateau(), float(self.optimizer.learning_rate.numpy())
        self.optimizer.learning_rate = max(plateau.min_rate, rate * plateau.factor)
        self.state.reduced = self.state.epoch

    @property
    def min_delta(self) -> float:
        """Return the change of the metric that early stopping counts as better."""
        return 0.0 if self.config.early_stopping is None else self.config.early_stopping.min_delta

    def _measure_epoch(self, began: float) -> dict[str, Any]:
        """Return the metrics of the epoch whose steps are done; `began` is the time when it began."""
        state, trained = self.state, time.perf_counter() - began
        states = self.first_states(self.variables.carried())
        held_out = self.validator.measure(states)
        if wrong := [name for name, value in held_out.items() if not math.isfinite(value)]:
            problem = f"{wrong[0]} became {held_out[wrong[0]]} at step {state.step}"
            raise self.checkpointer.divergence_error(problem, state)
        of_train = self.train_validator.measure(states) if len(self.train_validator.examples) else {}
        values: dict[str, Any] = {
            "epoch": state.epoch + 1,
            "step": state.step,
            "loss": state.loss(),
            **held_out,
            **{f"train_{name.removeprefix('validation_')}": value for name, value in of_train.items()},
            "learning_rate": float(self.optimizer.learning_rate.numpy()),
            "examples_per_second": round(self.batches.epoch_size * state.done / self.steps / trained, 1),
            "seconds": round(time.perf_counter() - began, 3),
        }
        self._warn_if_far_above_guessing(values["loss"])
        return values

    def _warn_if_far_above_guessing(self, loss: float) -> None:
        """Warn once if the loss stays far above that of guessing for whole epochs."""
        far = loss > FAR_ABOVE_GUESSING * self.guessing_loss
        self.epochs_far_above = self.epochs_far_above + 1 if far else 0
        if self.epochs_far_above == FAR_ABOVE_EPOCHS:
            problem = f"the loss is {loss:.3g}; guessing gives {self.guessing_loss:.3g}"
            self.warn(f"{problem}; {DIVERGENCE_HINT}")

    def _train_epoch(self, began: float) -> bool:
        """Train the rest of an epoch; return False if training was stopped."""
        state = self.state
        order = self.batches.order(state.epoch)
        while state.done < self.steps and not (state.done and state.time_is_up(self.config)):
            if self.resets_states and self._steps_left_of_pass() == self.batches.pass_steps:
                self.train_step.reset_states()
            self._callbacks_of(not state.done or self._log_is_due()).on_train_batch_begin(state.done)
            losses, ended = self._call_step(order[state.done : state.done + self._next_call_steps()])
            state.losses.append(losses)
            state.done, state.step = state.done + len(losses), state.step + len(losses)
            state.seconds = ended - began
            due = self._log_is_due() or state.done == self.steps
            loss = self._loss_to_log(losses) if due else float(losses.mean())
            self._callbacks_of(due).on_train_batch_end(state.done - 1, {"loss": loss})
            if state.done < self.steps and not state.time_is_up(self.config):
                if self.checkpointer.is_due(state.step):
                    self.checkpointer.save(state)
                if self._stop_if_requested():
                    return False
        return True

    def _call_step(self, rows: NDArray[np.int32]) -> tuple[NDArray[np.float32], float]:
        """Train on some batches; return their losses and the time at the end."""
        compiles, began = self.batches.compiles(rows), time.perf_counter()
        losses = self._compile_and_call(rows) if compiles else self.train_step(rows, self.state.step)
        self.stop.raise_if_immediate()
        ended = time.perf_counter()
        self._check_finite(losses)
        if not compiles:
            self.checkpointer.training_seconds += ended - began
            wanted = len(losses) * CALL_SECONDS / (ended - began)
            self.steps_per_call = int(np.clip(wanted, 1, 2 * self.steps_per_call))
        return losses, ended

    def _compile_and_call(self, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """Call the step for the first time with batches of this shape, again if XLA's cache fails meanwhile."""
        before = self.variables.arrays()
        while True:
            failures = cache_failures()
            try:
                return self.train_step(rows, self.state.step)
            except Exception as error:
                if not recover_from_cache_failure(error, failures):
                    raise
            self.variables.assign(before)  # some may have been updated
            self.train_step.make_functions()

    def _next_call_steps(self) -> int:
        """Return the number of steps of the next call, which ends where a checkpoint or a stop is due.

        The result of training does not depend on it.
        """
        step = self.state.step
        limits = [self.steps_per_call, self.checkpointer.steps_left(step), self.stop.steps_left(step)]
        if self.resets_states:
            limits.append(self._steps_left_of_pass())
        if (every := self.config.log_every) is not None:
            limits.append(every - step % every)
        return max(1, min(limit for limit in limits if limit is not None))

    def _log_is_due(self) -> bool:
        """Return True if `training.log_every` steps are done."""
        return self.config.log_every is not None and self.state.step % self.config.log_every == 0

    def _callbacks_of(self, due: bool) -> keras.callbacks.CallbackList:
        return self.callbacks if due else self.told_of_calls

    def _loss_to_log(self, losses: NDArray[np.float32]) -> float:
        """Return the mean loss of a call's steps; with `training.log_every`, of all steps since it was due.

        Args:
            losses: Those of the call, float32 [steps].
        """
        if (every := self.config.log_every) is not None:
            count = self.state.step % every or min(every, self.state.done)
            losses = np.concatenate(self.state.losses[-count:])[-count:]
        return float(losses.mean())

    def _steps_left_of_pass(self) -> int:
        """Return the number of steps until the pass over the training data ends."""
        done = self.state.epoch * self.steps + self.state.done
        return self.batches.pass_steps - done % self.batches.pass_steps

    def _stop_if_requested(self) -> bool:
        """Write a checkpoint and return True if a stop was requested."""
        if not self.stop.requested(self.state.step):
            return False
        self.checkpointer.save(self.state)
        return True

    def _check_finite(self, losses: NDArray[np.float32]) -> None:
        finite = np.isfinite(losses)
        if not finite.all():
            first = int(np.argmin(finite))
            problem = f"the loss became {losses[first]} at step {self.state.step + first + 1}"
            raise self.checkpointer.divergence_error(problem, self.state)
