"""Training on several workers of a Ray cluster, by Ray Train.

Ray places the workers, tells each one the addresses of all in TF_CONFIG, and starts all of them again after a
failure. On every worker runs `work`, which starts `rnncli train` as a process, and goes on with the run if it has
been begun. What the first one prints comes to the terminal of the driver, and signals that the driver gets go to
all, by a small actor, the mailbox.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from rnncli.engines.child import Child, Order, describe_end
from rnncli.engines.connection import Resources, shows_all_messages
from rnncli.errors import InputError, RunFailedError
from rnncli.runs.directory import RunDir
from rnncli.runtime.held_messages import hold_messages
from rnncli.runtime.signals import SIGNALS, handled
from rnncli.text import summarize_error

POLL_SECONDS, REPEAT_SECONDS = 0.2, 2.0
ROOM_SECONDS = 60.0
"""Time in which workers start where there is room for them."""
ALIKE_SECONDS = 3.0
"""Workers that fail alike end within this time."""
FINAL = (0, InputError.exit_status, *(128 + number for number in SIGNALS))
"""Exit statuses after which training does not start again: it has finished, cannot begin, or was told to stop."""

Report = Callable[[str], None]


class Event(NamedTuple):
    """A message to the driver.

    Attributes:
        worker: The number of the worker that it is from; None if all start.
        line: A line that it printed; None as it ends.
        status: Its exit status, as it ends.
        told: The last lines that it printed, as it ends.
    """

    worker: int | None = None
    line: str | None = None
    status: int = 0
    told: tuple[str, ...] = ()


class Mailbox:
    """An actor on the driver's machine: messages of the workers, and signals for them."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._signals: list[int] = []

    def post(self, event: Event) -> None:
        """Take a message."""
        self._events.append(event)

    def take(self) -> list[Event]:
        """Return the messages since the last call."""
        events, self._events = self._events, []
        return events

    def tell(self, number: int) -> None:
        """Take a signal that all workers shall get."""
        self._signals.append(number)

    def signals(self) -> list[int]:
        """Return all signals so far."""
        return self._signals


class WorkerFailedError(Exception):
    """A worker failed in a way that another start may mend."""


def work(settings: dict[str, Any]) -> None:
    """Train as one worker; Ray Train runs this on each, with TF_CONFIG.

    Args:
        settings: `order` and `mailbox`.

    Raises:
        WorkerFailedError: The training ended with a failure; Ray starts all workers again.
    """
    import ray
    import ray.train
    from ray.train.collective import broadcast_from_rank_zero

    order, mailbox = settings["order"], settings["mailbox"]
    index = ray.train.get_context().get_world_rank()
    begun = order.is_begun() if index == 0 else None
    if index == 0:
        ray.get(mailbox.post.remote(Event()))
    begun = broadcast_from_rank_zero(begun)
    if begun:
        order.wait_for_run()
    if ray.get(mailbox.signals.remote()):  # told to stop before it could begin
        return
    status, told = _train(index, order, begun, mailbox)
    ray.get(mailbox.post.remote(Event(index, status=status, told=told)))  # before Ray ends this process
    if status not in FINAL:
        raise WorkerFailedError(f"worker {index} {describe_end(status, told)}")


def _train(index: int, order: Order, begun: bool, mailbox: Any) -> tuple[int, tuple[str, ...]]:
    """Run `rnncli train`; returns its exit status, and the last lines that it printed."""
    import ray

    def print_line(line: str) -> None:
        if index == 0:
            mailbox.post.remote(Event(index, line))

    passed = 0
    try:
        child = Child(order, begun, os.environ, print_line)
        while (status := child.wait(POLL_SECONDS)) is None:
            signals = ray.get(mailbox.signals.remote())
            for number in signals[passed:]:
                child.send(number)
            passed = len(signals)
    except InputError as error:
        return error.exit_status, (f"error: {error.message}", f"  hint: {error.hint}")
    return status, tuple(child.lines)


@dataclass(frozen=True)
class Plan:
    """The workers of a training.

    Attributes:
        order: What is trained.
        workers: Their number.
        cpus: CPUs of each.
        restarts: Times that all are started again after a failure.
        resume: The command that goes on later.
    """

    order: Order
    workers: int
    cpus: int
    restarts: int
    resume: str


class Driver:
    """Runs a plan on a cluster that this process is connected to.

    Args:
        plan: The workers.
        resources: What the cluster has.
        print_line: Prints a line of a worker.
        note: Is given what happens.
        warn: Is given what went wrong, and is mended.
    """

    def __init__(self, plan: Plan, resources: Resources, print_line: Report, note: Report, warn: Report) -> None:
        self.plan, self.resources = plan, resources
        self._print, self._note, self._warn = print_line, note, warn
        self._starts = 0
        self._statuses: dict[int, int] = {}
        self._failure: Event | None = None
        self._failed_at = self._repeat_at = 0.0
        self._received: list[int] = []
        self._sent = 0
        self._error: Exception | None = None

    def run(self) -> int:
        """Train; returns the exit status.

        Raises:
            RunFailedError: It failed more often than it may start again.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        mailbox = ray.remote(num_cpus=0, scheduling_strategy=here)(Mailbox).remote()
        fitting = threading.Thread(target=self._fit, args=(self._trainer(mailbox),), daemon=True)
        with handled(lambda number, _frame: self._received.append(number)):
            fitting.start()
            room_at = time.monotonic() + ROOM_SECONDS
            while fitting.is_alive() and not self.may_leave():
                for event in ray.get(mailbox.take.remote()):
                    self.take(event)
                for number in self.signals_due(time.monotonic()):
                    ray.get(mailbox.tell.remote(number))
                if not self._starts and time.monotonic() > room_at:
                    self._note(self._wanted())
                    room_at = math.inf
                fitting.join(POLL_SECONDS)
            for event in ray.get(mailbox.take.remote()):
                self.take(event)
        return self.status()

    def _trainer(self, mailbox: Any) -> Any:
        """Return Ray's trainer; its own files are few, and only on this machine."""
        with contextlib.nullcontext() if shows_all_messages() else hold_messages():
            from ray.train import FailureConfig, RunConfig, ScalingConfig
            from ray.train.tensorflow import TensorflowTrainer  # which imports TensorFlow

            from rnncli.engines.ray_backend import TensorflowAddresses

        plan = self.plan
        gpu = {"GPU": 1} if plan.order.gpu else {}
        return TensorflowTrainer(
            work,
            tensorflow_config=TensorflowAddresses(),
            train_loop_config={"order": plan.order, "mailbox": mailbox},
            scaling_config=ScalingConfig(
                num_workers=plan.workers, use_gpu=plan.order.gpu, resources_per_worker={"CPU": plan.cpus, **gpu}
            ),
            run_config=RunConfig(
                name=plan.order.run.name,
                storage_path=self.resources.folder,
                failure_config=FailureConfig(max_failures=plan.restarts),
            ),
        )

    def _fit(self, trainer: Any) -> None:
        try:
            trainer.fit()
        except Exception as error:
            self._error = error

    def _wanted(self) -> str:
        plan, found = self.plan, self.resources
        gpu = " and a GPU" if plan.order.gpu else ""
        cpus = f"{plan.cpus} CPU{'s' * (plan.cpus > 1)}"
        there = f"{found.cpus} CPUs and {found.gpus} GPUs in all"
        return f"waiting for Ray to start {plan.workers} workers with {cpus}{gpu} each; the cluster has {there}"

    def take(self, event: Event) -> None:
        """Heed a message of a worker."""
        if event.worker is None:
            self._starts += 1
            if self._starts > 1:
                why = self._describe() if self._failure else "a worker was lost"
                self._warn(f"{why}; all workers start again (restart {self._starts - 1} of {self.plan.restarts})")
            self._failure = None
            self._statuses.clear()
        elif event.line is not None:
            self._print(event.line)
        else:
            self._statuses[event.worker] = event.status
            if event.status and self._failure is None:
                self._failure, self._failed_at = event, time.monotonic()

    def signals_due(self, now: float) -> list[int]:
        """Return the signals that the workers shall get now: those received, and the end of what cannot begin.

        SIGTERM is sent again and again, as TensorFlow takes one that comes while it connects.
        """
        due = self._received[self._sent :]
        self._sent += len(due)
        cannot = self._failure is not None and self._failure.status in FINAL and now > self._failed_at + ALIKE_SECONDS
        if self._repeat_at <= now and (cannot or (self._received and self._received[-1] != signal.SIGINT)):
            due = due or [self._received[-1] if self._received else signal.SIGTERM]
        if due:
            self._repeat_at = now + REPEAT_SECONDS
        return due

    def may_leave(self) -> bool:
        """Return True if training was told to stop, and no worker trains that could do so."""
        failed = self._failure is not None and self._failure.status not in FINAL
        return bool(self._received) and (not self._starts or failed)

    def status(self) -> int:
        """Return the exit status.

        Raises:
            RunFailedError: Training failed, and the first worker has not told why.
        """
        failure = self._failure
        if self._received:
            status = self._statuses.get(0, 128 + self._received[0])
            return 1 if status < 0 else status
        if failure is not None and failure.worker == 0 and failure.status > 0:  # it has told why
            return failure.status
        if failure is not None and failure.status in FINAL:
            for line in failure.told if failure.status == InputError.exit_status else ():
                self._print(f"worker {failure.worker}: {line}")
            return failure.status
        if failure is None and self._error is None:
            return 0
        message = self._describe() if self._error is None or failure is not None else _reason(self._error)
        trained = RunDir(self.plan.order.place).may_be_trained
        raise RunFailedError(message, f"resume with: {self.plan.resume}" if trained else "")

    def _describe(self) -> str:
        assert self._failure is not None
        return f"worker {self._failure.worker} {describe_end(self._failure.status, self._failure.told)}"


def _reason(error: Exception) -> str:
    """Return in words why Ray ended a training of which no worker tells."""
    lost = getattr(error, "worker_failures", None)
    if lost:
        number, problem = next(iter(lost.items()))
        return f"worker {number} was lost: {summarize_error(problem)}"
    problem = getattr(error, "controller_failure", error)
    return f"Ray cannot train: {summarize_error(problem)}"
