"""Start of several workers on this machine: processes of this command, connected on the loopback interface.

Each one finds the others in `TF_CONFIG`, as workers on several machines do. The first one has the terminal; what the
others print is shown only if it says why training ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from types import FrameType
from typing import IO

import click

from rnncli.cluster.find import TF_CONFIG
from rnncli.cluster.meeting import free_addresses
from rnncli.errors import explain_os_errors
from rnncli.runtime.host import on_cores, shares_of_cores
from rnncli.runtime.lifeline import COMMAND, LIFELINE
from rnncli.runtime.signals import SIGNALS, handled, signal_name
from rnncli.text import printable

POLL_SECONDS, REPEAT_SECONDS = 0.05, 2.0
ALIKE_SECONDS = 3.0
"""Workers that fail alike end within this time, and the first one has told why."""
LAST_SECONDS, LAST_SECONDS_OF_OTHERS = 14.0, 6.0
"""Time after which workers are killed if one has failed, which TensorFlow notices in two thirds of it; and after the
first one has, which has told why."""
MAX_SHOWN_BYTES = 2**14


def launch(count: int, arguments: Sequence[str]) -> int:
    """Train on several workers on this machine; returns the exit status.

    Args:
        count: Their number.
        arguments: Those of `rnncli train`.

    Raises:
        RunFailedError: A process cannot be started.
    """
    addresses, shares = list(free_addresses(count)), shares_of_cores(count)
    reader, writer = os.pipe()
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, writer)
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(count)]
        launched = _Launched(addresses, logs)
        with handled(launched.pass_on):
            try:
                for index in range(count):
                    task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
                    environment = {**os.environ, TF_CONFIG: json.dumps(task), LIFELINE: str(reader)}
                    with on_cores(shares[index]), explain_os_errors(sys.executable, "started"):
                        launched.start(arguments, environment, reader)
            except BaseException:
                launched.kill()
                raise
            finally:
                os.close(reader)
            return launched.wait()


class _Launched:
    """The processes of all workers.

    Args:
        addresses: Their addresses.
        logs: Files for what the workers print to stderr; the first one prints to that of this process.
    """

    def __init__(self, addresses: Sequence[str], logs: Sequence[IO[bytes]]) -> None:
        self.addresses, self.logs = addresses, logs
        self.processes: list[subprocess.Popen[bytes]] = []
        self.told: int | None = None
        self.repeat_at = 0.0

    def start(self, arguments: Sequence[str], environment: dict[str, str], lifeline: int) -> None:
        """Start the next worker."""
        first = not self.processes
        process = subprocess.Popen(  # noqa: S603 (rnncli itself)
            [*COMMAND, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=None if first else subprocess.DEVNULL,
            stderr=None if first else self.logs[len(self.processes)],
            pass_fds=[lifeline],
            process_group=0,  # or Ctrl-C would reach them twice, which ends them at once
        )
        self.processes.append(process)

    def pass_on(self, number: int, _frame: FrameType | None) -> None:
        """Send a signal to all workers."""
        self.told, self.repeat_at = number, time.monotonic() + REPEAT_SECONDS
        self._send(number)

    def _send(self, number: int) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(number)

    def kill(self) -> None:
        """End all workers at once."""
        self._send(signal.SIGKILL)
        for process in self.processes:
            process.wait()

    def wait(self) -> int:
        """Wait until all have ended; returns the exit status. After a failure of one the others are ended."""
        failed, failed_at, shown = None, 0.0, False
        while any(process.poll() is None for process in self.processes):
            time.sleep(POLL_SECONDS)
            self._repeat()
            if failed is None:
                failed = next((i for i, each in enumerate(self.processes) if each.poll()), None)
                failed_at = time.monotonic()
                continue
            lasted = time.monotonic() - failed_at
            limit = LAST_SECONDS_OF_OTHERS if (self.processes[0].poll() or 0) > 0 else LAST_SECONDS
            if lasted > limit and self.told is None:
                self._send(signal.SIGKILL)
            elif lasted > ALIKE_SECONDS and not shown:
                shown = True
                if (self.processes[failed].returncode or 0) > 0:
                    self._show(failed)
                self._send(signal.SIGTERM)  # ends those that are not yet connected, and so notice nothing
        if failed is not None and self.told is None:
            self._explain_kill(failed)
        return self._status(failed)

    def _explain_kill(self, failed: int) -> None:
        """Say that a worker was killed, unless the first one has said it; what another one has said is shown."""
        statuses = [process.returncode or 0 for process in self.processes]
        if statuses[failed] > 0 or statuses[0] == 1:
            return
        for index in range(1, len(statuses)):
            if statuses[index] == 1:
                self._show(index)
                return
        how = signal_name(-statuses[failed])
        click.echo(f"error: worker {failed} ({self.addresses[failed]}) was killed by {how}", err=True)
        click.echo("  hint: if there is a checkpoint, resume with: rnncli train --resume RUN", err=True)

    def _repeat(self) -> None:
        """Send SIGTERM and SIGHUP again: TensorFlow takes one that comes while it connects."""
        if self.told not in (None, signal.SIGINT) and time.monotonic() >= self.repeat_at:
            self.repeat_at = time.monotonic() + REPEAT_SECONDS
            self._send(self.told or signal.SIGTERM)

    def _status(self, failed: int | None) -> int:
        """Return the status of the first worker if all were told to stop, else that of the one that failed first."""
        statuses = [process.returncode or 0 for process in self.processes]
        status = statuses[0] if self.told is not None or failed is None else statuses[failed]
        return 1 if status < 0 else status or next((1 for other in statuses if other), 0)

    def _show(self, index: int) -> None:
        """Print what a worker printed, unless it was told to stop."""
        if index == 0 or (self.processes[index].returncode or 0) - 128 in SIGNALS:
            return
        log = self.logs[index]
        log.seek(max(0, log.seek(0, os.SEEK_END) - MAX_SHOWN_BYTES))
        for line in log.read().decode(errors="replace").splitlines():
            click.echo(f"worker {index}: {printable(line)}", err=True)
