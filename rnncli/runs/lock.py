"""A lock on a run directory, so that two processes never train there at the same time."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from rnncli.errors import InputError, RunFailedError, explain_os_errors, reason_of
from rnncli.files import read_json
from rnncli.runtime.run_files import LOCK
from rnncli.text import shorten

SECONDS_OF_A_LOOK = 0.5
"""The time that a trainer waits for a lock, which `is_locked` and `remove_unused` take for an instant."""

_CANNOT_LOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(run: Path) -> Iterator[str | None]:
    """Lock a run directory; the system releases the lock when the process ends, however it ends.

    The directory itself is locked, so that removing the lock file lets nobody in. The file names the owner, and is
    locked too: for file systems that lock no directories, and for rnncli 0.1.0.

    Args:
        run: The directory.

    Yields:
        A warning: a lock that a killed process left was taken over, or the file system has no locks.

    Raises:
        RunFailedError: Another process trains there, or the directory cannot be written.
        FileNotFoundError: There is no such directory, or somebody has just removed it.
    """
    directory = _lock_directory(run)
    try:
        descriptor, warning = _lock_file(run / LOCK)
        try:
            _write_owner(descriptor, run / LOCK)
            yield warning
        finally:
            (run / LOCK).unlink(missing_ok=True)  # before the release: whoever has opened it sees that it is gone
            os.close(descriptor)
    finally:
        os.close(directory)


def is_locked(run: Path) -> bool:
    """Return True if a process trains in a run directory; never waits, and writes nothing.

    The lock of the file decides, not its text: a process that was killed leaves that, and its number may have become
    another one's. Only on a file system without locks is there nothing but the text.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(run / LOCK, flags)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        return error.errno in _CANNOT_LOCK and _may_live(_about(run / LOCK))
    finally:
        os.close(descriptor)
    return False


def remove_unused(run: Path) -> None:
    """Remove a directory that has nothing but an unused lock file, unless another process holds its lock.

    Its directory is locked until it is gone: whoever gets that lock next finds it gone, and makes it anew.
    """
    with contextlib.suppress(OSError, RunFailedError):
        if is_locked(run) or {entry.name for entry in run.iterdir()} - {LOCK}:
            return
        directory = _lock_directory(run, seconds=0)
        try:
            if os.path.lexists(run / LOCK):
                _remove_file(run / LOCK)
            run.rmdir()
        finally:
            os.close(directory)


def _remove_file(path: Path) -> None:
    """Remove a lock file while nobody holds it, and close it, as NFS keeps an open file in its directory."""
    descriptor, _ = _lock_file(path)
    try:
        path.unlink()
    finally:
        os.close(descriptor)


def _may_live(about: dict[str, Any]) -> bool:
    """Return False only if the process that a lock file names has certainly ended."""
    if about.get("host") != socket.gethostname():
        return bool(about)
    try:
        os.kill(int(about["pid"]), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, KeyError, ValueError, TypeError, OverflowError):
        return True
    return True


def _lock_directory(run: Path, seconds: float = SECONDS_OF_A_LOOK) -> int:
    deadline = time.monotonic() + seconds
    try:
        descriptor = os.open(run, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RunFailedError(f"{run}: cannot be locked: {reason_of(error)}") from error
    with _closing_after_errors(descriptor):
        try:
            _flock(descriptor, run / LOCK, deadline)
        except OSError as error:
            if error.errno not in (*_CANNOT_LOCK, errno.EBADF, errno.EINVAL):
                raise RunFailedError(f"{run}: cannot be locked: {reason_of(error)}") from error
        if not os.path.samestat(os.fstat(descriptor), run.stat()):  # it was removed and made anew
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(run))
    return descriptor


def _flock(descriptor: int, path: Path, deadline: float) -> None:
    """Lock an open file; refuse what another process holds still at the deadline, with the owner in the lock file."""
    while True:
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.monotonic() > deadline:
            raise _refusal(path)
        time.sleep(0.01)


@contextlib.contextmanager
def _closing_after_errors(descriptor: int) -> Iterator[None]:
    try:
        yield
    except BaseException:
        os.close(descriptor)
        raise


def _write_owner(descriptor: int, path: Path) -> None:
    about = {"pid": os.getpid(), "host": socket.gethostname(), "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
    with explain_os_errors(path, "written"):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(about).encode(), 0)


def _lock_file(path: Path) -> tuple[int, str | None]:
    deadline = time.monotonic() + SECONDS_OF_A_LOOK
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        except FileNotFoundError:
            raise  # somebody removed the directory
        except OSError as error:
            raise RunFailedError(f"{path}: cannot be written: {reason_of(error)}") from error
        with _closing_after_errors(descriptor):
            warning = _left_by(path)
            try:
                _flock(descriptor, path, deadline)
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor, warning
            except FileNotFoundError:
                pass  # its owner ended and removed it
            except OSError as error:
                if error.errno not in _CANNOT_LOCK:
                    raise RunFailedError(f"{path}: cannot be locked: {reason_of(error)}") from error
                return descriptor, f"{path}: this file system has no locks; do not train there twice at the same time"
        os.close(descriptor)


def _about(path: Path) -> dict[str, Any]:
    with contextlib.suppress(InputError):
        return read_json(path)
    return {}


def _who(about: dict[str, Any]) -> str:
    return f"process {shorten(str(about.get('pid', '?')))} on {shorten(str(about.get('host', '?')))}"


def _left_by(path: Path) -> str | None:
    about = _about(path)
    return f"{path}: {_who(about)} has ended without removing it; took over the lock" if about else None


def _refusal(path: Path) -> RunFailedError:
    about = _about(path)
    return RunFailedError(
        f"{path.parent}: {_who(about)} has been training there since {shorten(str(about.get('since', '?')))}",
        "wait until it ends, or stop it with Ctrl-C or SIGTERM: it saves a checkpoint for --resume",
    )
