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
import errno
import fcntl
import json
import logging
import mmap
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from rnncli.config import UserClass
from rnncli.errors import InputError, RunDirError, RunFailedError, explain_os_errors
from rnncli.files import is_temporary_of, read_plain, remove_temporaries, write_atomically
from rnncli.runtime.user_code import config_search_path, source_file
from rnncli.sweep.pruners import PRUNERS
from rnncli.sweep.reader import read_sweep
from rnncli.sweep.samplers import PointSampler
from rnncli.sweep.spec import SweepSpec
from rnncli.text import shorten, summarize_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SWEEP, CONFIG, JOURNAL, TRIALS, BEST = "sweep.yaml", "config.yaml", "journal.log", "trials", "best.yaml"
LOCK = "lock"
MAX_JOURNAL = 2**29
"""Bytes of a journal, which may come from anyone; a line has about 120, and a trial some lines and one an epoch."""
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
SEED_ATTRIBUTE, ERROR_ATTRIBUTE = "seed", "error"
MAX_SHOWN_VALUE = 60
"""Characters of a value in a message."""
MAY_DIFFER = ("trials", "max_time", "jobs")
"""Keys of a sweep that may change when it is taken up again."""


def _open_own(path: Path) -> int:
    """Open a file of the sweep for reading and writing, which is made if there is none.

    Raises:
        RunDirError: It is a link, which may lead to a file of others, or not a regular file.
        OSError: It cannot be opened.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        raise RunDirError(f"{path}: not a regular file, or behind a link") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RunDirError(f"{path}: not a regular file, or behind a link")
    return descriptor


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the lock of a sweep's directory, and hold it in the block."""
    descriptor = _open_own(path / LOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


class _JournalLock:
    """A lock on the journal that the system releases when its process ends, however it ends.

    Optuna's own locks are files, which a killed process leaves, so that others wait for 30 s.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        self._descriptor = _open_own(self._path)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class _JournalReader(BaseJournalBackend):
    """A journal as it was when it was opened: nothing is repaired, and what Optuna appends stays in memory.

    Raises:
        InputError: It is not a regular file, behind a link, or too large.
        ValueError: A line is not JSON.
    """

    def __init__(self, path: Path) -> None:
        try:
            data = read_plain(path, MAX_JOURNAL, path.parent)
        except FileNotFoundError:
            data = b""
        lines = data[: data.rfind(b"\n") + 1].splitlines()  # without a last line that is being written
        self._logs: list[dict[str, Any]] = [json.loads(line) for line in lines]

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._logs += logs


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
        read_only: Whether to look at its results only, and change nothing in its journal.

    Attributes:
        path: The directory.
        spec: What is swept.
        study: Optuna's study.

    Raises:
        InputError: There is no sweep, or its files cannot be read.
    """

    def __init__(self, path: Path, read_only: bool = False) -> None:
        if not (path / SWEEP).is_file():
            raise RunDirError(
                f"{path}: not the directory of a sweep (it has no {SWEEP})", "rnncli sweep CONFIG makes one"
            )
        self.path, self.spec = path, read_sweep(str(path / SWEEP))
        optuna.logging.set_verbosity(logging.ERROR)
        with explain_os_errors(path / JOURNAL, "read" if read_only else "written"):
            if read_only:
                self.study = self._opened(lambda: _JournalReader(path / JOURNAL))
                return
            with self.locked():
                lock: Any = _JournalLock(path / f"{JOURNAL}.lock")
                _repair(path / JOURNAL, lock)
                self.study = self._opened(lambda: JournalFileBackend(str(path / JOURNAL), lock))

    def _opened(self, journal: Callable[[], BaseJournalBackend]) -> optuna.Study:
        try:
            return _open_study(self.spec, journal())
        except InputError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError, RecursionError) as error:
            hint = "bring back a copy of it; the runs in trials/ are whole"
            raise RunDirError(f"{self.path / JOURNAL}: damaged: {summarize_error(error)}", hint) from error

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Wait until no other process chooses a trial, and let none do so in the block."""
        with _locked(self.path):
            yield

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
        descriptor = _open_own(self.run_of(number).with_suffix(".lock"))
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


def _open_study(spec: SweepSpec, journal: BaseJournalBackend) -> optuna.Study:
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
        if not (path / SWEEP).is_file():
            _make(spec, path)
        old = Sweep(path, read_only=True).spec
        _refuse_other(spec, old, path)
        (path / TRIALS).mkdir(exist_ok=True)
        if spec.text(CONFIG) != old.text(CONFIG):
            write_atomically(path / SWEEP, spec.text(CONFIG).encode())
    return Sweep(path)


def _make(spec: SweepSpec, path: Path) -> None:
    """Write the files of a new sweep, sweep.yaml as the last, unless another process has just done so.

    What a process that was killed here has left is written anew; the lock, which is the first file, tells that it was
    one of these.
    """
    files = {file.name: file.read_bytes() for file in _cell_files(spec)}
    files |= {CONFIG: spec.base_text().encode(), SWEEP: spec.text(CONFIG).encode()}
    path.mkdir(parents=True, exist_ok=True)
    if not (path / LOCK).exists():
        try:
            _refuse_occupied(path, ())
        except RunDirError:
            if not (path / LOCK).exists():  # else another process has begun the same sweep meanwhile
                raise
    with _locked(path):
        if (path / SWEEP).is_file():
            return
        _refuse_occupied(path, files)
        remove_temporaries(path)
        (path / TRIALS).mkdir(exist_ok=True)
        for name, data in files.items():
            write_atomically(path / name, data)


def _refuse_occupied(path: Path, files: Iterable[str]) -> None:
    """Refuse a directory that has more than a lock, no trials, and some files or what becomes of them."""
    own = {LOCK, *files}
    if not any((path / TRIALS).glob("*")):
        own.add(TRIALS)
    for entry in path.iterdir():
        if entry.name not in own and not any(is_temporary_of(entry, path / name) for name in files):
            raise RunDirError(f"{path}: exists and is no sweep; nothing was written", "choose another with --dir")


def change(path: Path, options: Mapping[str, Any], trust_code: bool) -> None:
    """Change what may change of a sweep that is there: the number of trials, the time, the jobs.

    Args:
        path: The directory.
        options: Keys of a sweep file.
        trust_code: Whether its custom cells may be imported.

    Raises:
        InputError: There is no sweep, or something else would change, or its cell is code that is not trusted.
    """
    old = Sweep(path, read_only=True).spec
    new = read_sweep(str(path / SWEEP), options=options)
    _refuse_other(new, old, path)
    if not trust_code:
        refuse_code(new, path)
    if options:
        with explain_os_errors(path, "written", RunDirError):
            write_atomically(path / SWEEP, new.text(CONFIG).encode())


def _refuse_other(new: SweepSpec, old: SweepSpec, path: Path) -> None:
    alike = replace(new, trials=old.trials, max_time=old.max_time, jobs=old.jobs)
    wrong = _first_difference(yaml.safe_load(old.text(CONFIG)), yaml.safe_load(alike.text(CONFIG)))
    wrong = wrong or _first_difference(yaml.safe_load(old.base_text()), yaml.safe_load(new.base_text()))
    if wrong:
        hint = f"give another directory with --dir; what may change: {', '.join(MAY_DIFFER)}"
        raise RunDirError(f"{path}: holds another sweep: {wrong}", hint)


def _first_difference(there: Any, here: Any, key: str = "") -> str:
    """Return the first key that two documents have other values of, with both; empty if they are equal."""
    if there == here:
        return ""
    if not (isinstance(there, dict) and isinstance(here, dict)):
        both = ("none" if value is None else shorten(json.dumps(value), MAX_SHOWN_VALUE) for value in (there, here))
        return f"{key} is {{}} there and {{}} here".format(*both)
    differing = next(name for name in {**there, **here} if there.get(name) != here.get(name))
    return _first_difference(there.get(differing), here.get(differing), f"{key}.{differing}".lstrip("."))


def _cell_files(spec: SweepSpec) -> list[Path]:
    """Return the source files of the custom cells and callbacks of a sweep."""
    search_path = config_search_path(spec.config_path)
    files = {source_file(each.module, search_path, each.key) for each in _code(spec)}
    return sorted(file for file in files if file is not None)


def _code(spec: SweepSpec) -> list[UserClass]:
    """Return the cells and callbacks of a sweep that are code."""
    settings = [{key: parameter.samples[0] for key, parameter in spec.space.items()}]
    settings += [{**settings[0], key: value} for key, parameter in spec.space.items() for value in parameter.samples]
    return [found for each in settings for found in spec.config(each, spec.seeds[0]).training_code]


def has_code(spec: SweepSpec) -> bool:
    """Return True if a sweep has custom cells or callbacks, which are code."""
    return bool(_code(spec))


def refuse_code(spec: SweepSpec, path: Path) -> None:
    """Refuse a directory whose trials execute code that came with it.

    Raises:
        RunDirError: The sweep has a custom cell or callback.
    """
    if code := _code(spec):
        raise RunDirError(
            f"{path}: its {code[0].kind} {code[0].class_} is code, which is executed only where you say so",
            "if you know who made the sweep, use --trust-code",
        )


def _repair(journal: Path, lock: _JournalLock) -> None:
    """Remove a last line that a killed process, or a full disk, left unfinished."""
    lock.acquire()
    try:
        descriptor = _open_own(journal)
        try:
            size = os.fstat(descriptor).st_size
            if size > MAX_JOURNAL:
                raise RunDirError(f"{journal}: larger than {MAX_JOURNAL:,} bytes")
            if size:
                with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as data:
                    whole = data.rfind(b"\n") + 1
                if whole < size:
                    os.ftruncate(descriptor, whole)
        finally:
            os.close(descriptor)
    finally:
        lock.release()
