"""A lock on a run directory: two processes never train into it at once."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from rnncli.errors import InputError, RunFailedError, explain_os_errors, reason_of
from rnncli.files import read_json
from rnncli.text import shorten

LOCK = "lock"
_CANNOT_LOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextlib.contextmanager
def locked(run: Path) -> Iterator[str | None]:
    """Hold the lock of a run directory, which the system lets go of when the process ends, however it ends.

    Args:
        run: The directory.

    Yields:
        What a person should know: a lock that nobody holds any more was taken over, or there is none.

    Raises:
        RunFailedError: Somebody trains there; says who. Or the directory cannot be written.
    """
    path = run / LOCK
    descriptor, note = _acquire(path)
    try:
        _sign(descriptor, path)
        yield note
    finally:
        path.unlink(missing_ok=True)  # before it is let go of: whoever opened it meanwhile sees that it is gone
        os.close(descriptor)


def _sign(descriptor: int, path: Path) -> None:
    about = {"pid": os.getpid(), "host": socket.gethostname(), "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
    with explain_os_errors(path, "written"):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(about).encode(), 0)


def _acquire(path: Path) -> tuple[int, str | None]:
    while True:
        with explain_os_errors(path, "written"):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        note = _left_by(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor, note
        except BlockingIOError:
            os.close(descriptor)
            raise _refusal(path) from None
        except FileNotFoundError:
            pass  # its holder ended and removed it
        except OSError as error:
            if error.errno not in _CANNOT_LOCK:
                os.close(descriptor)
                raise RunFailedError(f"{path}: cannot be locked: {reason_of(error)}") from error
            return descriptor, f"{path}: this file system has no locks; nothing keeps a second trainer away"
        os.close(descriptor)


def _about(path: Path) -> dict[str, Any]:
    with contextlib.suppress(InputError):
        return read_json(path)
    return {}


def _who(about: dict[str, Any]) -> str:
    return f"process {shorten(str(about.get('pid', '?')))} on {shorten(str(about.get('host', '?')))}"


def _left_by(path: Path) -> str | None:
    about = _about(path)
    return f"{path}: {_who(about)} ended without removing it; taken over" if about else None


def _refusal(path: Path) -> RunFailedError:
    about = _about(path)
    return RunFailedError(
        f"{path.parent}: {_who(about)} trains there since {shorten(str(about.get('since', '?')))}",
        "wait until it ends, or end it: it then writes a checkpoint that --resume goes on from",
    )
