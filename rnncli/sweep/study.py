"""A sweep's directory, which any number of processes may share.

    DIR/sweep.yaml         what is swept; all keys with their values
        config.yaml        the base config
        journal.log        Optuna's journal: the settings and the metrics of every trial
        trials/0003/       the run directory of trial 3, like any other
        best.yaml          the config of the best trial

Each process that works on a trial holds a lock on `trials/0003.lock`, and so does the training that it starts. A
trial that runs by the journal and is not locked was left by a killed process; it is taken up with the same number.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from rnncli.config import CustomCell
from rnncli.errors import RunDirError, RunFailedError, explain_os_errors
from rnncli.files import write_atomically
from rnncli.runtime.user_code import config_search_path, source_file
from rnncli.sweep.pruners import PRUNERS
from rnncli.sweep.reader import read_sweep
from rnncli.sweep.samplers import PointSampler
from rnncli.sweep.spec import SweepSpec
from rnncli.text import summarize_error

if TYPE_CHECKING:
    from collections.abc import Mapping

SWEEP, CONFIG, JOURNAL, TRIALS, BEST = "sweep.yaml", "config.yaml", "journal.log", "trials", "best.yaml"
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
SEED_ATTRIBUTE, ERROR_ATTRIBUTE = "seed", "error"
MAY_DIFFER = ("trials", "max_time", "jobs")
"""Keys of a sweep that may change when it is taken up again."""


class _JournalLock:
    """A lock on the journal that the system releases when its process ends, however it ends.

    Optuna's own locks are files, which a killed process leaves, so that others wait for 30 s.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class ClaimedTrial:
    """A trial that this process works on.

    Attributes:
        trial: Optuna's trial.
        settings: The value of each key of the space.
        seed: The training seed.
        run: The run directory.
        lock: The descriptor of the lock, for the training to hold it too.
    """

    def __init__(self, spec: SweepSpec, trial: Trial, run: Path, lock: int) -> None:
        self.trial, self.run, self.lock = trial, run, lock
        self.settings = settings_of(spec, trial.params)
        self.seed = spec.seeds[trial.number % len(spec.seeds)]

    @property
    def number(self) -> int:
        """The number of the trial, from 0."""
        return self.trial.number

    def release(self) -> None:
        """Let other processes take up the trial."""
        os.close(self.lock)


class Sweep:
    """A sweep in its directory.

    Args:
        path: The directory, which `begin` has made.

    Attributes:
        path: The directory.
        spec: What is swept.
        study: Optuna's study.

    Raises:
        InputError: There is no sweep, or its files cannot be read.
    """

    def __init__(self, path: Path) -> None:
        if not (path / SWEEP).is_file():
            raise RunDirError(
                f"{path}: not the directory of a sweep (it has no {SWEEP})", "rnncli sweep CONFIG makes one"
            )
        self.path, self.spec = path, read_sweep(str(path / SWEEP))
        optuna.logging.set_verbosity(logging.ERROR)
        with explain_os_errors(path / JOURNAL, "written"), self.locked():
            lock: Any = _JournalLock(path / f"{JOURNAL}.lock")
            _repair(path / JOURNAL, lock)
            try:
                self.study = _open_study(self.spec, JournalFileBackend(str(path / JOURNAL), lock))
            except (ValueError, KeyError, TypeError, AssertionError) as error:
                hint = "bring back a copy of it; the runs in trials/ are whole"
                raise RunDirError(f"{path / JOURNAL}: damaged: {summarize_error(error)}", hint) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other process chooses a trial, and let none do so in the block."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def trials(self) -> list[FrozenTrial]:
        """Return all trials, by number."""
        return self.study.get_trials(deepcopy=False)

    def unfinished(self) -> int:
        """Return the number of trials that have not ended, those that have not begun included."""
        return self.spec.trials - sum(trial.state in ENDED for trial in self.trials()[: self.spec.trials])

    def run_of(self, number: int) -> Path:
        """Return the run directory of a trial."""
        return self.path / TRIALS / f"{number:04d}"

    def claim(self) -> ClaimedTrial | None:
        """Return a trial to work on: one that was left unfinished, else a new one; None if there is none."""
        with self.locked():
            trials = self.trials()
            for frozen in trials[: self.spec.trials]:
                if frozen.state == TrialState.RUNNING and (claimed := self._take_up(frozen)) is not None:
                    return claimed
            if len(trials) >= self.spec.trials:
                return None
            lock = self._lock(len(trials))
            if lock is None:  # its training outlives a journal that was removed
                raise RunFailedError(f"{self.run_of(len(trials))}: another process trains there")
            return self._suggested(self.study.ask(), lock)

    def _take_up(self, frozen: FrozenTrial) -> ClaimedTrial | None:
        """Return a trial that was left unfinished; None if somebody works on it."""
        if (lock := self._lock(frozen.number)) is None:
            return None
        if self.trials()[frozen.number].state != TrialState.RUNNING:  # it has ended just now
            os.close(lock)
            return None
        trial = Trial(self.study, frozen._trial_id)  # Optuna has no public way to go on with one
        return self._suggested(trial, lock)

    def _suggested(self, trial: Trial, lock: int) -> ClaimedTrial:
        """Choose the settings of a trial, if that was not done before."""
        for key, parameter in self.spec.space.items():
            parameter.suggest(trial, key)
        if SEED_ATTRIBUTE not in trial.user_attrs:
            trial.set_user_attr(SEED_ATTRIBUTE, self.spec.seeds[trial.number % len(self.spec.seeds)])
        return ClaimedTrial(self.spec, trial, self.run_of(trial.number), lock)

    def _lock(self, number: int) -> int | None:
        path = self.run_of(number).with_suffix(".lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor

    def end(self, claimed: ClaimedTrial, state: TrialState, value: float | None = None, error: str = "") -> None:
        """Record the end of a trial; it is never run again."""
        if error:
            claimed.trial.set_user_attr(ERROR_ATTRIBUTE, error)
        self.study.tell(claimed.trial, value if state == TrialState.COMPLETE else None, state=state)
        self.run_of(claimed.number).with_suffix(".lock").unlink(missing_ok=True)
        claimed.release()


def _open_study(spec: SweepSpec, journal: JournalFileBackend) -> optuna.Study:
    return optuna.create_study(
        storage=JournalStorage(journal),
        study_name="sweep",
        direction="maximize" if spec.higher_is_better else "minimize",
        sampler=PointSampler(spec),
        pruner=PRUNERS[spec.pruning].make(),
        load_if_exists=True,
    )


def settings_of(spec: SweepSpec, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value of each key of the space, given Optuna's forms."""
    return {key: parameter.value(params[key]) for key, parameter in spec.space.items() if key in params}


def begin(spec: SweepSpec, path: Path) -> Sweep:
    """Make the directory of a sweep; or take up the one that is there, if it is the same sweep.

    Raises:
        RunDirError: Something else is there, or it cannot be written.
    """
    with explain_os_errors(path, "written", RunDirError, "choose another place with --dir"):
        if (path / SWEEP).is_file():
            _refuse_other(spec, Sweep(path).spec, path)
        elif path.exists() and any(path.iterdir()):
            raise RunDirError(f"{path}: exists and is no sweep; nothing was written", "choose another with --dir")
        (path / TRIALS).mkdir(parents=True, exist_ok=True)
        for file in _cell_files(spec):
            write_atomically(path / file.name, file.read_bytes())
        if not (path / CONFIG).is_file():
            write_atomically(path / CONFIG, spec.base_text().encode())
        write_atomically(path / SWEEP, spec.text(CONFIG).encode())
    return Sweep(path)


def change(path: Path, options: Mapping[str, Any]) -> None:
    """Change what may change of a sweep that is there: the number of trials, the time, the jobs.

    Raises:
        InputError: There is no sweep, or something else would change.
    """
    old = Sweep(path).spec
    new = read_sweep(str(path / SWEEP), options=options)
    _refuse_other(new, old, path)
    if options:
        with explain_os_errors(path, "written", RunDirError):
            write_atomically(path / SWEEP, new.text(CONFIG).encode())


def _refuse_other(new: SweepSpec, old: SweepSpec, path: Path) -> None:
    alike = replace(new, trials=old.trials, max_time=old.max_time, jobs=old.jobs)
    wrong = ""
    if alike.text(CONFIG) != old.text(CONFIG):
        pairs = zip(alike.text(CONFIG).splitlines(), old.text(CONFIG).splitlines(), strict=False)
        wrong = next((f"{theirs.strip()} there, {ours.strip()} here" for ours, theirs in pairs if ours != theirs), "")
        wrong = wrong or "other keys"
    elif new.base_text() != old.base_text():
        wrong = "the base config differs"
    if wrong:
        hint = f"give another directory with --dir; what may change: {', '.join(MAY_DIFFER)}"
        raise RunDirError(f"{path}: holds another sweep: {wrong}", hint)


def _cell_files(spec: SweepSpec) -> list[Path]:
    """Return the source files of the custom cells of a sweep."""
    settings = [{key: parameter.samples[0] for key, parameter in spec.space.items()}]
    settings += [{**settings[0], key: value} for key, parameter in spec.space.items() for value in parameter.samples]
    cells = (spec.config(each, spec.seeds[0]).model.cell for each in settings)
    search_path = config_search_path(spec.config_path)
    files = {source_file(cell.module, search_path) for cell in cells if isinstance(cell, CustomCell)}
    return sorted(file for file in files if file is not None)


def _repair(journal: Path, lock: _JournalLock) -> None:
    """Remove a last line that a killed process, or a full disk, left unfinished."""
    lock.acquire()
    try:
        data = journal.read_bytes() if journal.exists() else b""
        if data and not data.endswith(b"\n"):
            with journal.open("r+b") as file:
                file.truncate(data.rfind(b"\n") + 1)
    finally:
        lock.release()
