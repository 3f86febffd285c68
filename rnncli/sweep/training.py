"""The training of one trial: `rnncli train` in a process of its own, so that a crash or a kill ends one trial."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from rnncli.cluster.find import TF_CONFIG
from rnncli.config import Config
from rnncli.errors import RnncliError, explain_os_errors
from rnncli.runs.directory import RunDir
from rnncli.runs.metrics_log import read_metrics
from rnncli.runtime.host import on_cores
from rnncli.runtime.run_files import CONFIG, METRICS
from rnncli.text import shorten

COMMAND = (sys.executable, "-P", "-m", "rnncli", "train", "--quiet")
"""The command that trains; `-P` keeps the modules of the current directory from hiding others."""
MAX_ERROR = 2**16
"""Bytes at the end of what a training wrote to stderr that are searched for its error."""


class TrialProcess:
    """A training that runs in a process.

    Args:
        run: Its run directory; a run that is there is resumed.
        config_path: The base config of the sweep.
        config: The config of the trial. Its custom cell is imported, from the run too: `rnncli.sweep.study.change`
            has refused one that is not trusted.
        overrides: What it has in place of the base config.
        lock: A descriptor that stays open until the training ends.
        cores: The cores that it may use; None is all.

    Attributes:
        run: The run directory.
    """

    def __init__(
        self,
        run: Path,
        config_path: Path,
        config: Config,
        overrides: Sequence[str],
        lock: int,
        cores: frozenset[int] | None = None,
    ) -> None:
        self.run, self._changed = run, -1
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        command = [*COMMAND]
        if (run / CONFIG).is_file():
            trust = ["--trust-code"] if config.training_code else []
            command += ["--resume", str(run), *trust]
        else:
            without_test = ["task.test=null"] if getattr(config.task, "test", 0) is None else []
            command += [str(config_path), "--run-dir", str(run)]
            command += [part for each in (*overrides, *without_test) for part in ("--set", each)]
        with explain_os_errors(sys.executable, "started"), on_cores(cores):
            self._process = subprocess.Popen(  # noqa: S603 (rnncli itself)
                command,
                env={name: value for name, value in os.environ.items() if name != TF_CONFIG},  # trials are alone
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=[lock],
            )

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to write a checkpoint and stop."""
        if self.status is None:
            self._process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Wait until it has ended."""
        self._process.wait()

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

    def close(self) -> str:
        """Free what an ended training holds; returns the line that says why it failed, if it did."""
        with self._stderr as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_ERROR))
            lines = file.read().decode(errors="replace").splitlines()
        found = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        status = self._process.returncode
        how = f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return shorten(found[-1] if found else next((line for line in reversed(lines) if line.strip()), how), 300)
