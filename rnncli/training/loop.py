"""The training loop: epochs of compiled steps, each followed by validation and a checkpoint."""

from __future__ import annotations

import json
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
from rnncli.errors import InputError, RunDirError, RunFailedError, command_line, explain_os_errors
from rnncli.inference.decoder import Decoder
from rnncli.inference.evaluation import Scores
from rnncli.inference.initial_states import first_states
from rnncli.metrics import metrics_of_training
from rnncli.metrics.base import LANGUAGE_MODEL
from rnncli.models import NetworkModel, build_model
from rnncli.runs.arrays import Arrays, weights_digest
from rnncli.runs.checkpoints import SEEDS, STATES, WEIGHTS
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
from rnncli.training.initial_weights import set_initial_weights
from rnncli.training.inputs import Report, TrainingInputs, ignore
from rnncli.training.interruption import Stop, Stopped
from rnncli.training.loggers import CsvLog, TensorBoardLog, keras_logs
from rnncli.training.moving_average import averages_in_place
from rnncli.training.sharing import pack, unpack
from rnncli.training.state_dict import TrainingVariables
from rnncli.training.step import StepResults
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
    directory: RunDir | None,
    runtime: Runtime,
    resumed: ResumePoint | None = None,
    hooks: Hooks | None = None,
) -> Outcome | Stopped:
    """Train a model into a run directory.

    Of several workers the first one has the directory and the point to resume from; the others get all from it.

    Args:
        inputs: The config and its data.
        directory: A new run directory, or the one to resume; None writes nothing, as a worker that is not the first.
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
    if inputs.config.training.initial_weights is not None:
        set_initial_weights(model, inputs.config.training.initial_weights, inputs.config.training.seed)
    taken = None
    if directory is not None and resumed is None and inputs.start is not None:
        taken = take_weights(model, inputs.start, inputs)
    trainer = Trainer(inputs, directory, runtime, model, hooks)
    if directory is not None:
        facts = _manifest_facts(inputs, runtime, model)
        if resumed is None:
            _write_facts(inputs, directory, facts | ({} if taken is None else {INIT_FROM: taken.facts()}))
            for line in [] if taken is None else taken.lines():
                hooks.note(line)
        else:
            trainer.restore(resumed)
            lost = rollback_to_resume_point(directory, resumed, inputs.config)
            for note in [*lost, *note_changes(directory, facts, resumed.checkpoint.step)]:
                hooks.warn(note)
    if trainer.share(taken is not None):
        trainer.checkpointer.save(trainer.state)  # resuming needs the other run no more
    return trainer.run()


def _manifest_facts(inputs: TrainingInputs, runtime: Runtime, model: NetworkModel) -> dict[str, Any]:
    task, splits = inputs.task, inputs.splits
    test = task.test_split() if isinstance(task, HasTest) and task.has_test else None
    return {
        "versions": versions(),
        "device": "gpu" if runtime.on_gpu else "cpu",
        "workers": runtime.group.count,
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
    """Trains one run; see `train` for the arguments.

    Raises:
        InputError: Several workers cannot train the model.
    """

    def __init__(
        self, inputs: TrainingInputs, directory: RunDir | None, runtime: Runtime, model: NetworkModel, hooks: Hooks
    ) -> None:
        config, task, (train_examples, held_out) = inputs.config, inputs.task, inputs.splits
        self.config, self.directory, self.model = config.training, directory, model
        self.workers, self.stop, self.warn = runtime.group, hooks.stop, hooks.warn
        self.resets_states, self.first_states = config.resets_states, partial(first_states, config)
        self.batches = Batches(config, train_examples, self.workers.count * runtime.shards)
        self.steps = self.batches.steps
        self.state = TrainState(steps=self.steps, best_metric=config.best_metric, tie_metric=VALIDATION_LOSS)
        weights = class_weights(config, train_examples, task.target_vocabulary)
        self.train_step = build_step(config, self.batches, model, runtime, weights)
        self.optimizer = self.train_step.optimizer
        step, rows = self.train_step, self.batches.rows
        self.variables = TrainingVariables(
            model, self.optimizer, step.carried, rows, step.own_rows, self.workers, step.averages
        )
        self.checkpointer = Checkpointer(directory, config, self.variables)
        self.metrics_to_watch = partial(metrics_of_training, model=config.kind)
        decoder, metrics = Decoder(model, runtime, config.fixed_batch_size), self.metrics_to_watch(config.best_metric)
        self.validator = Validator(decoder, task, held_out, metrics, config.kind)
        measured = leading_examples(train_examples, self.config.train_metrics, config.fixed_batch_size)
        self.train_validator = Validator(decoder, task, measured, metrics, config.kind)
        self.callbacks, self.told_of_calls = self._callbacks(inputs, hooks)
        self.csv_log = CsvLog(directory.path / CSV) if self.config.csv_log and directory is not None else None
        self.steps_per_call, self.epochs_far_above, self.checkpoint_due = 1, 0, False
        self.restored_states: dict[str, Arrays] = {}
        self.run_path, self.trust = "", ["--trust-code"] if config.training_code else []
        self.guessing_loss = math.log(max(2, task.sizes.target_symbols)) * mean_weight(weights, train_examples)

    def _callbacks(
        self, inputs: TrainingInputs, hooks: Hooks
    ) -> tuple[keras.callbacks.CallbackList, keras.callbacks.CallbackList]:
        """Return all callbacks, and those that are told of every call of several steps.

        The others are told of the steps that `training.log_every` is due at, if it is given.
        """
        network = self.model.network
        network.optimizer = self.optimizer  # Keras callbacks read it, as from a compiled model
        network.stop_training = False
        of_config, board, path = [], [], ""
        if self.directory is not None:  # of several workers, the first one's
            of_config, path = load_callbacks(self.config.user_callbacks, inputs.search_path), str(self.directory.path)
            board = [self._tensorboard(inputs.config, self.directory)] if self.config.tensorboard else []
        make = partial(
            keras.callbacks.CallbackList,
            model=network,
            epochs=self.config.epochs,
            steps=self.steps,
            verbose=0,
            run_dir=path,
            config=inputs.config.model_dump(mode="json", by_alias=True),
        )
        every = make([*hooks.callbacks, *of_config, *board])
        return every, every if self.config.log_every is None else make(list(hooks.callbacks))

    def _tensorboard(self, config: Config, directory: RunDir) -> TensorBoardLog:
        def samples() -> str:
            if config.prediction_code or (config.stateful and self.validator.kind != LANGUAGE_MODEL):
                return ""  # a cell may draw random numbers, and a stateful model reads all examples to show some
            return self.validator.as_text()

        folder, training = directory.path / TENSORBOARD, config.training
        return TensorBoardLog(folder, training.log_every, config, samples, training.histograms)

    def restore(self, resumed: ResumePoint) -> None:
        """Set the training state and all variables to those of a checkpoint.

        Raises:
            RunDirError: The checkpoint does not fit the config; nothing was changed.
        """
        assert self.directory is not None, "which the checkpoint is in"
        name = f"{self.directory.path}: checkpoint {resumed.checkpoint.step}"
        try:
            self.variables.assign(resumed.checkpoint.arrays)
        except InputError as error:
            raise RunDirError(f"{name}: {error.message}", error.hint) from error
        self.restored_states = {
            file: resumed.checkpoint.arrays[file] for file in (STATES,) if self.train_step.carried
        }
        self._go_on_from(resumed.state)
        self.checkpointer.written_step = resumed.checkpoint.step

    def _go_on_from(self, state: TrainState) -> None:
        self.state = state
        self.validator.metrics = self.metrics_to_watch(self.state.monitored(self.config))
        if self.state.steps != self.steps:  # other data, which --allow-changed-data allows
            self.state.begin_epoch()
            self.state.steps = self.steps

    def share(self, warm: bool) -> bool:
        """Give the training state and all variables of the first worker to the others.

        Args:
            warm: Whether training starts from the weights of another run.

        Returns:
            What the first worker says of that.
        """
        if self.workers.count == 1:
            return warm
        arrays = self.variables.arrays() | self.restored_states  # those of other workers' rows are not yet restored
        data = self.workers.share(pack(self.state, arrays))
        if not self.workers.leads:
            state, arrays = unpack(data)
            self.variables.assign(arrays)
            self._go_on_from(state)
        told = {"run": "" if self.directory is None else str(self.directory.path), "warm": warm}
        told = json.loads(self.workers.share(json.dumps(told).encode()))
        self.run_path = str(told["run"])
        self._agree()
        return bool(told["warm"])

    def run(self) -> Outcome | Stopped:
        """Train until the last epoch, early stopping, a callback's `stop_training`, or a request to stop."""
        network = self.model.network
        try:
            self.callbacks.on_train_begin()
            with self.stop.handling_signals():
                while not self.state.finished(self.config) and not network.stop_training:
                    if not self._run_epoch():
                        return Stopped(self.state.step, self.config.epochs * self.steps, self.stop.signal)
                self.checkpointer.save(self.state)  # not yet done if a callback stopped training
        finally:
            self.callbacks.on_train_end()  # closes log files and the progress bar
        early, metric = self.state.early_end(self.config), self.state.monitored(self.config)
        if early is None and self.state.epoch < self.config.epochs:
            early = f"training ended after epoch {self.state.epoch} of {self.config.epochs}: a callback stopped it"
        if self.directory is None:
            return Outcome(self.state.best, metric, [], {}, early)
        weights, _ = self.directory.checkpoints.load_arrays(WEIGHTS)
        self.model.assign(weights)
        carried = self.directory.checkpoints.load_arrays(STATES)[0] if self.train_step.carried else {}
        samples, groups = self.validator.samples(self.first_states(carried)), self.validator.groups()
        return Outcome(self.state.best, metric, samples, groups, early, self.validator.written())

    def _run_epoch(self) -> bool:
        """Train the rest of an epoch and validate; return False if training was stopped."""
        state, began = self.state, time.perf_counter() - self.state.seconds
        self.callbacks.on_epoch_begin(state.epoch)
        if not self._train_epoch(began):
            return False
        self._refuse_drift()
        with averages_in_place(self.train_step.variables, self.train_step.averages):
            is_best = self._end_epoch(began)
        self.checkpointer.end_epoch(state, is_best)  # after all logs, so that none lacks the epoch after a kill
        publish_compilations()  # or a kill would lose them
        self._agree()
        return state.finished(self.config) or not self._stop_if_requested()

    def _end_epoch(self, began: float) -> bool:
        """Measure an epoch and log it; return True if it is the best so far."""
        state = self.state
        values = self._of_first_worker(self._measure_epoch(began))
        is_best = state.end_epoch(values, self.min_delta)
        if state.on_plateau(self.config):
            self._reduce_rate()
        if self.directory is not None:
            self.directory.append_metrics(values)
        if self.csv_log is not None:
            self.csv_log.append(values)
        self.callbacks.on_epoch_end(state.epoch - 1, keras_logs(values))
        return is_best

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
            "gradient_norm": state.gradient_norm(),
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
        due = True  # also where a resumed epoch goes on, so that no end is told without its beginning
        while state.done < self.steps and not (state.done and state.time_is_up(self.config)):
            if self.resets_states and self._steps_left_of_pass() == self.batches.pass_steps:
                self.train_step.reset_states()
            self._callbacks_of(due).on_train_batch_begin(state.done)
            (losses, norms), ended = self._call_step(order[state.done : state.done + self._next_call_steps()])
            state.losses.append(losses)
            state.gradient_norms.append(norms)
            state.done, state.step = state.done + len(losses), state.step + len(losses)
            state.seconds = ended - began
            due = self._log_is_due() or state.done == self.steps
            loss = self._loss_to_log(losses) if due else float(losses.mean())
            self._callbacks_of(due).on_train_batch_end(state.done - 1, {"loss": loss})
            self._agree()
            if state.done < self.steps and not state.time_is_up(self.config):
                if self.checkpoint_due:
                    self.checkpointer.save(state)
                if self._stop_if_requested():
                    return False
        return True

    def _call_step(self, rows: NDArray[np.int32]) -> tuple[StepResults, float]:
        """Train on some batches; return their results and the time at the end."""
        compiles, began = self.batches.compiles(rows), time.perf_counter()
        if compiles:
            results = self._compile_and_call(rows)
        else:
            with self.workers.waiting():
                results = self.train_step(rows, self.state.step)
        self.stop.raise_if_immediate()
        ended = time.perf_counter()
        self._check_finite(results.losses)
        if not compiles:
            self.checkpointer.training_seconds += ended - began
            wanted = len(rows) * CALL_SECONDS / (ended - began)
            self.steps_per_call = int(np.clip(wanted, 1, 2 * self.steps_per_call))
        return results, ended

    def _compile_and_call(self, rows: NDArray[np.int32]) -> StepResults:
        """Call the step for the first time with batches of this shape, again if XLA's cache fails meanwhile."""
        before = self.variables.arrays()
        while True:
            failures = cache_failures()
            try:
                results = self.train_step(rows, self.state.step)
                if self.workers.count > 1:
                    self._refuse_random_cells(before.get(SEEDS, {}))
                return results
            except InputError:
                raise
            except Exception as error:
                if self.workers.count > 1 or not recover_from_cache_failure(error, failures):
                    raise  # other workers would not try again
            self.variables.assign(before)  # some may have been updated
            self.train_step.make_functions()

    def _agree(self) -> None:
        """Let all workers know alike what depends on time and on signals, so that they decide alike."""
        state, network = self.state, self.model.network
        self.checkpoint_due = self.checkpointer.is_due(state.step)
        if self.workers.count == 1:
            return
        votes = [*self.stop.votes(), int(network.stop_training)]
        known = [state.seconds, self.steps_per_call, self.checkpoint_due, self.checkpointer.written_step is not None]
        agreed = self.workers.total(
            np.array([*(known if self.workers.leads else [0] * len(known)), *votes], np.float64)
        )
        seconds, steps, due, written, *counts, stopped = agreed.tolist()
        state.seconds, self.steps_per_call, self.checkpoint_due = seconds, int(steps), bool(due)
        self.stop.decide([int(count) for count in counts])
        network.stop_training = bool(stopped)
        self.workers.reached = state.step
        if written:
            resume = command_line("train", "--resume", self.run_path, *self.trust)
            self.workers.resume = f"resume from the last checkpoint with: {resume}"

    def _of_first_worker(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the metrics of an epoch as the first worker has them: times differ, and can end training."""
        own = np.array(list(values.values()), np.float64)
        agreed = self.workers.total(own if self.workers.leads else np.zeros_like(own)).tolist()
        return {name: type(old)(new) for (name, old), new in zip(values.items(), agreed, strict=True)}

    def _refuse_drift(self) -> None:
        """Refuse to go on if workers have no longer the same weights.

        Raises:
            RunFailedError: They have not.
        """
        if self.workers.count == 1:
            return
        digests = np.zeros((self.workers.count, 8), np.int64)
        digests[self.workers.index] = np.frombuffer(bytes.fromhex(weights_digest(self.model.arrays())), np.uint32)
        digests = self.workers.total(digests)
        others = [number for number, digest in enumerate(digests) if (digest != digests[0]).any()]
        if others:
            names = " and ".join(map(self.workers.cluster.name, others))
            raise RunFailedError(
                f"the weights of {names} are no longer those of worker 0 after step {self.state.step}",
                "use machines of the same kind; a memory fault may be another reason. " + self.workers.resume,
            )

    def _refuse_random_cells(self, before: Arrays) -> None:
        """Refuse a custom cell whose seed generators the first call has advanced: each worker draws the same numbers.

        Args:
            before: The variables of seed generators before that call.

        Raises:
            InputError: It draws random numbers.
        """
        now = self.variables.arrays().get(SEEDS, {})
        if any(not np.array_equal(value, now[name]) for name, value in before.items()):
            raise InputError(
                "model.cell: the custom cell draws random numbers, and all workers would draw the same",
                "train it in one process: --workers 1",
            )

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
