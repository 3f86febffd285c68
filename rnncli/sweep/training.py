"""The training of one trial: `rnncli train` in a process of its own, so that a crash or a kill ends one trial.

An `Engine` starts them: on this machine (`LocalEngine`), or on a Ray cluster (`rnncli.sweep.ray_engine`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rnncli.cluster.find import TF_CONFIG
from rnncli.config import Config
from rnncli.errors import RnncliError, explain_os_errors
from rnncli.runs.directory import RunDir
from rnncli.runs.metrics_log import read_metrics
from rnncli.runtime.host import on_cores, shares_of_cores
from rnncli.runtime.lifeline import COMMAND
from rnncli.runtime.run_files import CONFIG, METRICS
from rnncli.text import shorten

MAX_ERROR = 2**16
"""Bytes at the end of what a training wrote to stderr that are searched for its error."""


class TrialOrder(NamedTuple):
    """The run and the config of a trial, and the commands that train it.

    Attributes:
        run: The run directory; a run that is there is resumed.
        config_path: The base config of the sweep.
        config: The config of the trial. Its custom cell is imported, from the run too: `rnncli.sweep.study.change`
            has refused one that is not trusted.
        overrides: What it has in place of the base config.
        lock: A descriptor that stays open until the training ends.
    """

    run: Path
    config_path: Path
    config: Config
    overrides: Sequence[str]
    lock: int

    def begin(self, *more: str) -> list[str]:
        """Return the arguments of `rnncli train` for a new run, with more overrides."""
        without_test = ["task.test=null"] if getattr(self.config.task, "test", 0) is None else []
        sets = [part for each in (*self.overrides, *without_test, *more) for part in ("--set", each)]
        return ["--quiet", str(self.config_path), "--run-dir", str(self.run), *sets]

    def resume(self) -> list[str]:
        """Return the arguments of `rnncli train` to go on with the run."""
        trust = ["--trust-code"] if self.config.training_code else []
        return ["--quiet", "--resume", str(self.run), *trust]


class TrialTraining(ABC):
    """A training that runs somewhere.

    Args:
        run: Its run directory.

    Attributes:
        run: The run directory.
    """

    def __init__(self, run: Path) -> None:
        self.run, self._changed = run, -1

    @property
    @abstractmethod
    def status(self) -> int | None:
        """The exit status, negative if a signal killed it; None while it runs."""

    @abstractmethod
    def stop(self) -> None:
        """Ask it to write a checkpoint and stop."""

    @abstractmethod
    def wait(self) -> None:
        """Wait until it has ended."""

    @abstractmethod
    def close(self) -> str:
        """Free what an ended training holds; returns the line that says why it failed, if it did."""

    def epochs(self) -> Sequence[Mapping[str, float]] | None:
        """Return the metrics of its epochs so far; None if they have not changed since the last call.

        A log that cannot be read has none: its training says so, or repairs it as it is resumed.
        """
        with contextlib.suppress(OSError):
            changed = (self.run / METRICS).stat().st_mtime_ns
            if changed == self._changed:
                return None
            self._changed = changed
        with contextlib.suppress(RnncliError):
            return read_metrics(RunDir(self.run))
        return []


class Engine(ABC):
    """Starts trainings.

    Attributes:
        jobs: How many at a time.
    """

    jobs: int

    @abstractmethod
    def start(self, order: TrialOrder, slot: int) -> TrialTraining:
        """Start a training.

        Args:
            order: What is trained.
            slot: Its place among those at a time, from 0.
        """


class TrialProcess(TrialTraining):
    """A training that runs in a process of this machine.

    Args:
        order: What is trained.
        cores: The cores that it may use; None is all.
    """

    def __init__(self, order: TrialOrder, cores: frozenset[int] | None = None) -> None:
        super().__init__(order.run)
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        arguments = order.resume() if (order.run / CONFIG).is_file() else order.begin()
        with explain_os_errors(sys.executable, "started"), on_cores(cores):
            self._process = subprocess.Popen(  # noqa: S603 (rnncli itself)
                [*COMMAND, *arguments],
                env={name: value for name, value in os.environ.items() if name != TF_CONFIG},  # trials are alone
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=[order.lock],
            )

    @property
    def status(self) -> int | None:
        """The exit status, negative if a signal killed it; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to write a checkpoint and stop."""
        if self.status is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Wait until it has ended."""
        self._process.wait()

    def close(self) -> str:
        """Free what an ended training holds; returns the line that says why it failed, if it did."""
        with self._stderr as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_ERROR))
            lines = file.read().decode(errors="replace").splitlines()
        return reason_of_end(self._process.returncode, lines)


class LocalEngine(Engine):
    """Trains in processes of this machine, which divide its cores.

    Args:
        jobs: How many at a time.
    """

    def __init__(self, jobs: int) -> None:
        self.jobs, self._cores = jobs, shares_of_cores(jobs)

    def start(self, order: TrialOrder, slot: int) -> TrialProcess:
        """Start a training; see `Engine.start`."""
        return TrialProcess(order, self._cores[slot])


def reason_of_end(status: int, lines: Sequence[str]) -> str:
    """Return a line that says why a training ended: the last error in what it printed, or its status."""
    found = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    how = f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
    return shorten(found[-1] if found else next((line for line in reversed(lines) if line.strip()), how), 300)
