"""The loop of a sweep: claims trials, trains them side by side, prunes them, and records how they ended."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from rnncli.config import Config
from rnncli.errors import ConfigError, RnncliError, RunDirError
from rnncli.runs.directory import RunDir
from rnncli.runs.metrics_log import read_metrics
from rnncli.runtime.signals import postponed
from rnncli.sweep.study import CONFIG, ClaimedTrial, Sweep
from rnncli.sweep.training import Engine, TrialOrder, TrialTraining

POLL_SECONDS, WAIT_SECONDS = 0.1, 1.0
"""Seconds between looks at the trainings of this process, and at trials of others."""

STOPPED = (130, 143)
"""Exit statuses of a training that a signal stopped with a checkpoint."""
MAX_KILLS = 3
"""Times that a training is killed by others, as for want of memory, after which its trial fails."""

Report = Callable[[str], None]


class Running:
    """A trial that this process trains.

    Args:
        sweep: The sweep.
        claimed: The trial.
        process: Its training.
        config: Its config.

    Attributes:
        how: How the trial ended; None while it trains, and if it was stopped or killed, so that it can be resumed.
        error: Why its training failed, if it did.
    """

    how: str | None

    def __init__(self, sweep: Sweep, claimed: ClaimedTrial, process: TrialTraining, config: Config) -> None:
        self.sweep, self.claimed, self.process, self.config = sweep, claimed, process, config
        reported = sweep.trials()[claimed.number].intermediate_values
        self._seen = max(reported, default=0)
        self._pruned_at: int | None = None
        self.error, self.how = "", None
        if self._seen and claimed.trial.should_prune():  # it was killed before it could be told
            self._prune(self._seen)

    def _prune(self, epoch: int) -> None:
        self._pruned_at = epoch
        self.process.stop()

    def look(self) -> bool:
        """Report new epochs to Optuna and prune; returns True, and sets `how`, if the training has ended."""
        ended = self.process.status is not None  # before the epochs are read: they are all there then
        for values in self.process.epochs() or () if self._pruned_at is None else ():
            if values["epoch"] <= self._seen or self._pruned_at is not None or self._metric(values) is None:
                continue
            self._seen = int(values["epoch"])
            self.claimed.trial.report(float(values[self.sweep.spec.metric]), self._seen)
            if self.claimed.trial.should_prune():
                self._prune(self._seen)
        if ended:
            self.how = self._ended()
        return ended

    def _metric(self, values: Mapping[str, float]) -> float | None:
        return values.get(self.sweep.spec.metric)

    def _ended(self) -> str | None:
        """Record how a training ended; returns None if it was stopped or killed, but not to prune it."""
        self.error = self.process.close()
        status, problem = self.process.status or 0, f"its training measured no {self.sweep.spec.metric}"
        try:
            epochs = read_metrics(RunDir(self.process.run))
        except RnncliError as error:
            epochs, problem = [], error.message
        finished = status == 0 or _is_finished(self.process.run, self.config)
        if self._pruned_at is not None and not (finished and epochs and epochs[-1]["epoch"] == self._pruned_at):
            self.sweep.end(self.claimed, TrialState.PRUNED)
            return f"pruned after epoch {self._pruned_at}"
        if not finished and (status < 0 or status in STOPPED):
            return None
        found = [value for values in epochs if (value := self._metric(values)) is not None]
        if finished and found:
            best = max(found) if self.sweep.spec.higher_is_better else min(found)
            self.sweep.end(self.claimed, TrialState.COMPLETE, float(best))
            return f"{self.sweep.spec.metric} {best:.4f}"
        return self.fail(problem if finished else self.error)

    def fail(self, error: str) -> str:
        """Record that the trial failed."""
        self.sweep.end(self.claimed, TrialState.FAIL, error=error)
        return f"failed: {error}"


def _is_finished(run: Path, config: Config) -> bool:
    """Return True if the training of a run reached its end, however its process ended."""
    with contextlib.suppress(RnncliError, OSError):
        return RunDir(run).newest_state().finished(config.training)
    return False


class Runner:
    """Trains the trials of a sweep side by side.

    Args:
        sweep: The sweep.
        engine: Starts the trainings.
        report: Is given a line for each trial that ends.
    """

    def __init__(self, sweep: Sweep, engine: Engine, report: Report) -> None:
        self.sweep, self.engine, self.report = sweep, engine, report
        self._slots: list[Running | None] = [None] * engine.jobs
        self._kills: Counter[int] = Counter()
        self._next_claim = 0.0  # idle slots look for trials that other processes leave, now and then

    def run(self) -> bool:
        """Train until no trial is left, or the time of the sweep is over; returns False in that case.

        Trials that other processes train are waited for. Whatever ends the loop, the trainings that it started are
        stopped with a checkpoint, and taken up by the next process.
        """
        limit, waiting = self.sweep.spec.max_time, False
        until = None if limit is None else time.monotonic() + limit
        try:
            while until is None or time.monotonic() < until:
                for number in range(len(self._slots)):
                    self._look_at(number)
                busy, left = any(self._slots), self.sweep.unfinished()
                if not busy and not left:
                    return True
                if not busy and not waiting:
                    self.report(f"waiting for {left} trials that other processes train")
                    waiting = True
                time.sleep(POLL_SECONDS if busy else WAIT_SECONDS)
        finally:
            self._stop()
        return not self.sweep.unfinished()

    def _look_at(self, number: int) -> None:
        """Record a training that has ended, and begin another in its place."""
        running = self._slots[number]
        if running is not None:
            if not running.look():
                return
            how = running.how
            if how is None:
                self._kills[running.claimed.number] += 1
                if self._kills[running.claimed.number] < MAX_KILLS:
                    running.claimed.release()  # to be resumed
                else:
                    how = running.fail(running.error)
            if how is not None:
                self.report(_line(self.sweep, running.claimed, how))
        elif time.monotonic() < self._next_claim:
            return
        self._slots[number] = None
        self._begin(number)
        if self._slots[number] is None:
            self._next_claim = time.monotonic() + WAIT_SECONDS

    def _begin(self, number: int) -> None:
        """Begin a trial, if one is left; one whose settings do not fit together fails without a training."""
        while (claimed := self.sweep.claim()) is not None:
            spec = self.sweep.spec
            try:
                config = spec.config(claimed.settings, claimed.seed)
            except ConfigError as error:
                problem = error.message.splitlines()[0]
                self.sweep.end(claimed, TrialState.FAIL, error=problem)
                self.report(_line(self.sweep, claimed, f"failed: {problem}"))
                continue
            path = self.sweep.path / CONFIG
            order = TrialOrder(claimed.run, path, config, spec.overrides(config), claimed.lock)
            try:
                _remove_unbegun(claimed.run)
                with postponed():  # a training that started is in its slot, and so is stopped
                    process = self.engine.start(order, number)
                    self._slots[number] = Running(self.sweep, claimed, process, config)
            except BaseException:
                if self._slots[number] is None:
                    claimed.release()
                raise
            return

    def _stop(self) -> None:
        """Stop the trainings with a checkpoint; what has ended is recorded."""
        running = [each for each in self._slots if each is not None]
        for each in running:
            each.process.stop()
        for each in running:
            each.process.wait()
            each.look()
            if each.how is not None:
                self.report(_line(self.sweep, each.claimed, each.how))
            else:
                each.claimed.release()


def _remove_unbegun(run: Path) -> None:
    """Remove what a process that was killed wrote before there was a config; such a directory is no run.

    Raises:
        RunDirError: There is a link, which may lead to a directory of others.
    """
    for path in (run.parent, run):
        if path.is_symlink():
            raise RunDirError(f"{path}: is a link; trials are trained in the directory itself", "remove the link")
    RunDir(run).discard_unbegun()


def _line(sweep: Sweep, claimed: ClaimedTrial, how: str) -> str:
    """Return a line on a trial that has ended."""
    done = sweep.spec.trials - sweep.unfinished()
    settings = " ".join(f"{key}={show_value(value)}" for key, value in claimed.settings.items())
    seed = f" seed={claimed.seed}" if len(sweep.spec.seeds) > 1 else ""
    return f"trial {claimed.number} ({done} of {sweep.spec.trials}): {how}  {settings}{seed}"


def show_value(value: Any) -> str:
    """Return a setting in few characters."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
