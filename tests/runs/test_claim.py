"""Several processes that make or lock the same run directory: one gets it, and nobody removes another's files."""

import contextlib
import errno
import fcntl
import json
import multiprocessing
import os
import random
import socket
import stat
import threading
import time
from pathlib import Path

import pytest
from small_run import CONFIG, save

from rnncli.errors import RnncliError, RunDirError, RunFailedError
from rnncli.runs.directory import RunDir
from rnncli.runs.lock import is_locked, locked, remove_unused
from rnncli.runtime.run_files import LOCK

PROCESSES = 4
RACES = 60


def claim_at_barrier(barrier, folder, answers):
    """Claim each race's directory; answer which were won, after checking that all that was written is still there."""
    rng = random.Random(os.getpid())
    for race in range(RACES):
        path = folder / f"run{race}"
        barrier.wait()
        try:
            with RunDir.claim(path, CONFIG) as run:
                run.append_metrics({"epoch": 1, "pid": os.getpid()})
                time.sleep(rng.choice([0, 0.001]))
                if race % 3 == 2:
                    raise KeyError("training fails before its first checkpoint")
                save(run, 1)
                metrics = json.loads((path / "metrics.jsonl").read_text())
                answers.put((race, "won" if metrics["pid"] == os.getpid() else "mixed"))
        except KeyError:
            answers.put((race, "failed"))
        except RnncliError:
            answers.put((race, "refused"))


@pytest.mark.parametrize("existing", [pytest.param(False, marks=pytest.mark.long), True])
def test_one_of_racing_processes_claims_the_directory_and_keeps_its_files(tmp_path, existing):
    if existing:
        for race in range(RACES):
            (tmp_path / f"run{race}").mkdir()
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(PROCESSES), context.Queue()
    racers = [context.Process(target=claim_at_barrier, args=(barrier, tmp_path, answers)) for _ in range(PROCESSES)]
    for racer in racers:
        racer.start()
    found = [answers.get(timeout=60) for _ in range(PROCESSES * RACES)]
    for racer in racers:
        racer.join()
    for race in range(RACES):
        path, ended = tmp_path / f"run{race}", [answer for number, answer in found if number == race]
        if race % 3 == 2:  # every process may have had its turn, and each left nothing
            assert set(ended) <= {"failed", "refused"}
            assert not path.exists() or not list(path.iterdir())
        else:
            assert sorted(ended) == ["refused"] * (PROCESSES - 1) + ["won"]
            assert RunDir(path).checkpoints.names() == ["00000001"]
            assert not (path / LOCK).exists()


def test_lock_survives_removal_of_its_file(tmp_path):
    with locked(tmp_path):
        (tmp_path / LOCK).unlink()
        with pytest.raises(RunFailedError), locked(tmp_path):
            pass


def test_a_failed_claim_removes_no_directory_that_another_process_holds_without_its_lock_file(tmp_path):
    """Between the two locks the winner has an empty directory, and so it has when somebody removes the file."""
    path = tmp_path / "run"
    path.mkdir()
    with locked(path):
        (path / LOCK).unlink()
        remove_unused(path)
        assert path.is_dir()
    remove_unused(path)
    assert not path.exists()


@pytest.mark.parametrize("name", [".", LOCK])
def test_who_removes_an_unused_directory_refuses_no_trainer(tmp_path, name):
    (tmp_path / LOCK).touch()
    descriptor = os.open(tmp_path / name, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    threading.Timer(0.05, os.close, [descriptor]).start()
    with locked(tmp_path):
        assert is_locked(tmp_path)


def without_directory_locks(monkeypatch):
    """Let directories have no locks, as on NFS."""
    flock = fcntl.flock

    def refuse_directories(descriptor, operation):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EBADF, "no locks of directories")
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", refuse_directories)


def identity_of(status):
    """Return the device and the inode of a file, which no other file that is there has."""
    return status.st_dev, status.st_ino


def open_files():
    """Return the identities of the files that this process has open."""
    found = set()
    for descriptor in range(256):
        with contextlib.suppress(OSError):
            found.add(identity_of(os.fstat(descriptor)))
    return found


@pytest.mark.parametrize("directories", [True, False])
def test_who_removes_an_unused_directory_leaves_the_lock_of_who_makes_it_anew(tmp_path, monkeypatch, directories):
    path, rmdir, held = tmp_path / "run", Path.rmdir, contextlib.ExitStack()

    def remove_and_train(self):
        assert file not in open_files(), "NFS would keep an open file in the directory"
        rmdir(self)
        path.mkdir()
        held.enter_context(locked(path))

    path.mkdir()
    (path / LOCK).touch()
    file = identity_of((path / LOCK).stat())
    if not directories:
        without_directory_locks(monkeypatch)
    monkeypatch.setattr(Path, "rmdir", remove_and_train)
    remove_unused(path)
    with held:
        assert is_locked(path)
        with pytest.raises(RunFailedError, match=f"process {os.getpid()} "), locked(path):
            pass


def test_a_look_at_the_lock_keeps_no_unused_directory(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    (path / LOCK).touch()
    looking = os.open(path / LOCK, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.05, os.close, [looking]).start()
    remove_unused(path)
    assert not path.exists()


@pytest.mark.parametrize("function", ["pwrite", "open"])
def test_a_claim_on_a_full_disk_leaves_no_directory(tmp_path, monkeypatch, function):
    original = getattr(os, function)

    def full(where, *arguments, **options):
        if function == "pwrite" or (Path(where).name == LOCK and arguments[0] & os.O_CREAT):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(where, *arguments, **options)

    monkeypatch.setattr(os, function, full)
    with pytest.raises(RunFailedError), RunDir.claim(tmp_path / "run", CONFIG):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("look", ["is_dir", "iterdir"])
def test_a_directory_that_goes_while_it_is_looked_at_is_made_anew(tmp_path, monkeypatch, look):
    path, original = tmp_path / "run", getattr(Path, look)
    path.mkdir()

    def go(self, **kwargs):
        if self == path:
            monkeypatch.undo()
            path.rmdir()
        return original(self, **kwargs)

    monkeypatch.setattr(Path, look, go)
    with RunDir.claim(path, CONFIG) as run:
        assert run.path == path
        assert is_locked(path)


@pytest.mark.parametrize("look", ["is_dir", "exists"])
def test_a_claim_that_fails_removes_a_directory_that_it_made_anew(tmp_path, monkeypatch, look):
    path, original = tmp_path / "run", getattr(Path, look)
    path.mkdir()

    def go(self, **kwargs):
        answer = original(self, **kwargs)
        if self == path:
            monkeypatch.undo()
            path.rmdir()
            return answer if look == "exists" else original(self, **kwargs)
        return answer

    monkeypatch.setattr(Path, look, go)
    with pytest.raises(KeyError), RunDir.claim(path, CONFIG):
        raise KeyError("training fails before its first checkpoint")
    assert list(tmp_path.iterdir()) == []


def test_resuming_a_run_that_is_just_removed_says_that_there_is_none(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    def remove():
        path.rmdir()
        os.close(descriptor)

    threading.Timer(0.05, remove).start()
    with pytest.raises(RunDirError), RunDir(path).locked():
        pass


def test_refused_claim_leaves_a_locked_directory_alone(tmp_path):
    path = tmp_path / "run"
    path.mkdir()
    with locked(path):
        before = (path / LOCK).read_bytes()
        with pytest.raises(RunFailedError), RunDir.claim(path, CONFIG):
            pass
        assert (path / LOCK).read_bytes() == before
    assert list(path.iterdir()) == []


def test_claim_refuses_a_directory_that_was_occupied_before_the_lock(tmp_path, monkeypatch):
    """Another process trains in it between the look at the directory and its lock."""
    path = tmp_path / "run"
    path.mkdir()
    is_dir = Path.is_dir

    def train_meanwhile(self, **kwargs):
        answer = is_dir(self, **kwargs)
        if self == path and not list(path.iterdir()):
            monkeypatch.undo()
            thread = threading.Thread(target=lambda: save(RunDir(path), 1))
            thread.start()
            thread.join()
            monkeypatch.setattr(Path, "is_dir", is_dir)
        return answer

    monkeypatch.setattr(Path, "is_dir", train_meanwhile)
    with pytest.raises(RunDirError), RunDir.claim(path, CONFIG):
        pass
    assert RunDir(path).checkpoints.names() == ["00000001"]


class Interrupting:
    """Raises KeyboardInterrupt after the nth call of any function that changes or opens files, as Ctrl-C may."""

    FUNCTIONS = ((os, "mkdir"), (os, "open"), (os, "fsync"), (os, "replace"), (os, "pwrite"), (fcntl, "flock"))

    def __init__(self, patch, count):
        self.left = count
        for module, name in self.FUNCTIONS:
            patch.setattr(module, name, self.wrapped(getattr(module, name)))

    def wrapped(self, function):
        def call(*arguments, **options):
            result = function(*arguments, **options)
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
            return result

        return call


def test_ctrl_c_at_any_instant_of_a_claim_leaves_no_directory(tmp_path, monkeypatch):
    for count in range(1, 100):
        with monkeypatch.context() as patch:
            interrupting = Interrupting(patch, count)
            with contextlib.suppress(KeyboardInterrupt), RunDir.claim(tmp_path / "run", CONFIG):
                break
        assert interrupting.left <= 0
        assert list(tmp_path.iterdir()) == [], count
    assert count > 10, "it was interrupted at all these instants before the claim succeeded"


def test_is_locked_looks_at_the_lock_without_taking_it(tmp_path):
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        assert is_locked(tmp_path)
    (tmp_path / LOCK).write_text('{"pid": 1}')
    assert not is_locked(tmp_path)


@pytest.mark.parametrize(
    ("owner", "trains"),
    [
        ({"pid": os.getpid(), "host": socket.gethostname()}, True),
        ({"pid": 2**22 + 1, "host": socket.gethostname()}, False),
        ({"pid": "x", "host": socket.gethostname()}, True),
        ({"pid": 1, "host": "elsewhere"}, True),
        ({}, False),
    ],
)
def test_without_locks_the_text_of_the_file_decides(tmp_path, monkeypatch, owner, trains):
    def no_locks(*_arguments):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    (tmp_path / LOCK).write_text(json.dumps(owner))
    assert is_locked(tmp_path) == trains


def test_look_at_the_lock_does_not_refuse_a_trainer(tmp_path):
    (tmp_path / LOCK).touch()
    with (tmp_path / LOCK).open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.05, fcntl.flock, (looking, fcntl.LOCK_UN)).start()
        with locked(tmp_path):
            assert is_locked(tmp_path)
