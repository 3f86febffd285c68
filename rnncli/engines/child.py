"""`rnncli train` as a process of a Ray worker: signals, threads and exit status are those of the command."""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnncli.errors import InputError
from rnncli.runs.directory import RunDir
from rnncli.runs.lock import is_locked
from rnncli.runtime.lifeline import COMMAND, LIFELINE
from rnncli.runtime.run_files import CONFIG
from rnncli.runtime.signals import signal_name

SET_BY_RAY = ("OMP_NUM_THREADS",)
"""Environment variables that Ray sets for its workers, and that training does not have elsewhere."""
GPUS = "CUDA_VISIBLE_DEVICES"
MAX_KEPT_LINES = 50
UNLOCK_SECONDS, APPEAR_SECONDS, LOOK_SECONDS = 120.0, 60.0, 0.2
"""Time that a training before may take to end, and a file system of several machines to show a new file."""


@dataclass(frozen=True)
class Order:
    """A training that any machine of a cluster can do.

    Attributes:
        run: The run directory.
        directory: The directory that relative paths start from.
        begin: Arguments of `rnncli train` for a new run.
        resume: Those to go on with the run, if it has been begun.
        gpu: Whether it has a GPU; it sees none otherwise.
    """

    run: Path
    directory: Path
    begin: tuple[str, ...]
    resume: tuple[str, ...]
    gpu: bool

    @property
    def place(self) -> Path:
        """The run directory, from wherever."""
        return self.directory / self.run

    def is_begun(self) -> bool:
        """Return True if the run has been begun; waits until nobody trains there, and tidies up first.

        A training whose worker is gone ends some seconds later.
        """
        until = time.monotonic() + UNLOCK_SECONDS
        while is_locked(self.place) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        RunDir(self.place).discard_unbegun()
        return (self.place / CONFIG).is_file()

    def wait_for_run(self) -> None:
        """Wait until this machine sees the config of the run, which another one has seen."""
        until = time.monotonic() + APPEAR_SECONDS
        while not (self.place / CONFIG).is_file() and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)


class Child:
    """A process of `rnncli train`, which stops with a checkpoint if this process is gone.

    Args:
        order: What it trains.
        begun: Whether the run has been begun, and so is resumed.
        environment: The variables that it has.
        on_line: Is given each line that it writes to stderr, by another thread.

    Raises:
        InputError: This machine does not have the directory.
    """

    def __init__(
        self,
        order: Order,
        begun: bool,
        environment: Mapping[str, str],
        on_line: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._on_line = on_line
        self._kept: collections.deque[str] = collections.deque(maxlen=MAX_KEPT_LINES)
        if not order.directory.is_dir():
            raise InputError(
                f"{order.directory}: not on the machine {os.uname().nodename} of the cluster",
                "start from a directory that all machines of the cluster share",
            )
        reader, writer = os.pipe()
        self._lifeline: int | None = writer
        blocked = signal.pthread_sigmask(signal.SIG_SETMASK, ())  # Ray's processes block SIGINT, and hand that on
        try:
            self._process = subprocess.Popen(  # noqa: S603 (rnncli itself)
                [*COMMAND, *(order.resume if begun else order.begin)],
                cwd=order.directory,
                env={**without_ray(environment, order.gpu), LIFELINE: str(reader)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=[reader],
                process_group=0,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            os.close(reader)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            for line in stderr:
                text = line.decode(errors="replace").rstrip("\n")
                self._kept.append(text)
                self._on_line(text)

    @property
    def lines(self) -> list[str]:
        """The last lines of its stderr."""
        return list(self._kept)

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait until it ends; returns its exit status, negative if a signal killed it, or None if it lasts longer."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        self._reading.join(1.0)  # another process may have its stderr still
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        return status

    def send(self, number: int) -> None:
        """Send a signal."""
        if self._process.poll() is None:
            self._process.send_signal(number)


def without_ray(environment: Mapping[str, str], gpu: bool) -> dict[str, str]:
    """Return environment variables as training has them without Ray, and without GPUs if it shall have none."""
    kept = {name: value for name, value in environment.items() if name not in SET_BY_RAY}
    return kept if gpu else {**kept, GPUS: ""}


def describe_end(status: int, lines: Sequence[str]) -> str:
    """Return in words how a training ended that failed: what killed it, or the last error that it told."""
    if status < 0:
        return f"was killed by {signal_name(-status)}"
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return f"failed: {told[-1]}" if told else f"ended with status {status}"
