"""Trials on a Ray cluster: each is an actor that takes CPUs, and perhaps a GPU, wherever there are some.

The trial's lock is held by this process, not by the training. A training that outlives it, for the seconds until it
has written its checkpoint, holds the lock of the run, which the next one waits for.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

from rnncli.cluster.find import TF_CONFIG
from rnncli.config import Config
from rnncli.engines.child import Child, Order
from rnncli.engines.connection import Resources
from rnncli.errors import InputError
from rnncli.sweep.training import Engine, TrialOrder, TrialTraining, reason_of_end
from rnncli.text import summarize_error

CORES = 1
"""CPUs of a trial, unless its config says how many."""
KILLED, STOPPED = -signal.SIGKILL, 128 + signal.SIGTERM
"""Exit statuses: of a training whose actor or machine is gone; and of one that was told to stop."""


def cpus_of(config: Config) -> int:
    """Return the CPUs that a trial takes, all on one machine."""
    return (config.runtime.cores or CORES) * config.runtime.workers


class RayEngine(Engine):
    """Trains on the Ray cluster that this process is connected to.

    Args:
        resources: What the cluster has.
        config: The config of a trial.
        jobs: How many at a time; None is as many as the cluster has room for.

    Raises:
        RunFailedError: It has no room for one, and nobody says that it grows.
    """

    def __init__(self, resources: Resources, config: Config, jobs: int | None) -> None:
        self._resources = resources
        cpus, gpu = cpus_of(config), resources.uses_gpu(config.runtime.device, 1)
        if jobs is None or resources.own:
            resources.require(cpus, int(gpu), "" if resources.own else "for a cluster that grows, say --jobs")
        self.jobs = jobs or min(resources.cpus // cpus, resources.gpus if gpu else resources.cpus)

    def start(self, order: TrialOrder, slot: int) -> TrialTraining:
        """Start a training, which waits until there is room; see `Engine.start`."""
        del slot
        return RayTrial(order, self._resources.uses_gpu(order.config.runtime.device, 1))


class RayTrial(TrialTraining):
    """A training that runs as an actor.

    Args:
        order: What is trained.
        gpu: Whether it takes a GPU.
    """

    def __init__(self, order: TrialOrder, gpu: bool) -> None:
        import ray

        super().__init__(order.run)
        cores = [f"runtime.cores={CORES}"] if order.config.runtime.cores is None and not gpu else []
        there = Order(order.run, Path.cwd(), tuple(order.begin(*cores)), tuple(order.resume()), gpu)
        options = {"num_cpus": cpus_of(order.config), "num_gpus": int(gpu), "max_concurrency": 3}
        self._actor = ray.remote(**options)(TrialActor).remote(there)
        self._placed, self._ended = self._actor.answer.remote(), self._actor.run.remote()
        self._status: int | None = None
        self._lines: list[str] = []

    @property
    def status(self) -> int | None:
        """The exit status, negative if a signal killed it; None while it runs, or waits for room."""
        import ray

        if self._status is None and ray.wait([self._ended], timeout=0)[0]:
            self._read_end()
        return self._status

    def _read_end(self) -> None:
        import ray

        try:
            self._status, self._lines = ray.get(self._ended)
        except ray.exceptions.RayActorError as error:
            self._status, self._lines = KILLED, [f"error: its Ray actor was lost: {summarize_error(error)}"]
        except ray.exceptions.RayError as error:
            self._status, self._lines = 1, [f"error: Ray: {summarize_error(error)}"]

    def stop(self) -> None:
        """Ask it to write a checkpoint and stop; one that waits for room ends at once."""
        import ray

        if self.status is not None:
            return
        if ray.wait([self._placed], timeout=0)[0]:
            self._actor.stop.remote()
        else:
            ray.kill(self._actor)
            self._status = STOPPED

    def wait(self) -> None:
        """Wait until it has ended."""
        import ray

        if self._status is None:
            ray.wait([self._ended])
            self._read_end()

    def close(self) -> str:
        """Give back its place in the cluster; returns the line that says why it failed, if it did."""
        import ray

        ray.kill(self._actor)
        return reason_of_end(self._status or 0, self._lines)


class TrialActor:
    """The training of a trial, on whichever machine of the cluster.

    Args:
        order: What is trained.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._child: Child | None = None
        self._stopped, self._lock = False, threading.Lock()

    def answer(self) -> None:
        """Do nothing, which says that there was room."""

    def run(self) -> tuple[int, list[str]]:
        """Train; returns the exit status, and the last lines that were printed."""
        environment = {name: value for name, value in os.environ.items() if name != TF_CONFIG}  # trials are alone
        begun = self._order.is_begun()
        with self._lock:
            if self._stopped:
                return STOPPED, []
            try:
                self._child = child = Child(self._order, begun, environment)
            except InputError as error:
                return error.exit_status, [f"error: {error.message}"]
        status: Any = child.wait()
        return status, child.lines

    def stop(self) -> None:
        """Ask the training to write a checkpoint and stop, or not to begin."""
        with self._lock:
            self._stopped = True
            if self._child is not None:
                self._child.send(signal.SIGTERM)
