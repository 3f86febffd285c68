"""Messages of C++ code that are held back, and shown only if the code fails or ends the process."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import warnings
from collections.abc import Iterator

MAX_HELD = 2**16
"""Bytes of messages that are kept, the last ones."""

_CHATTER = re.compile(rb"[IW]\d{4} |WARNING: All log messages before absl::")
_FATAL = re.compile(rb"F\d{4} .*?\] (?P<message>.*)")


@contextlib.contextmanager
def hold_messages() -> Iterator[None]:
    """Keep what is written to the descriptor of stderr in the block off it, unless the block fails.

    C++ code may also end the process, with its reason as the last message. So another process holds the messages, and
    shows them when this one is gone.
    """
    try:
        holder, pipe = _start_holder()
    except OSError:  # no more processes or files are allowed
        yield
        return
    kept = os.dup(2)
    os.dup2(pipe, 2)
    os.close(pipe)
    failed = False
    try:
        yield
    except Exception:
        failed = True
        raise
    finally:
        if not failed:
            os.kill(holder, signal.SIGKILL)  # before it sees the end of the messages
        os.dup2(kept, 2)
        os.close(kept)
        os.waitpid(holder, 0)


def _start_holder() -> tuple[int, int]:
    """Return the id of a process that shows what is written to a pipe once its end is closed, and that end."""
    messages, pipe = os.pipe()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are meant for this process
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads, which the new process does not need
            holder = os.fork()
        if not holder:
            os.close(pipe)
            _hold(messages)
    except OSError:
        os.close(pipe)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(messages)
    return holder, pipe


def _hold(messages: int) -> None:
    """Read to the end, show what matters, and end the process."""
    try:
        held = b""
        while received := os.read(messages, MAX_HELD):
            held = (held + received)[-MAX_HELD:]
        os.write(2, _worth_showing(held))
    finally:
        os._exit(0)


def _worth_showing(held: bytes) -> bytes:
    """Return the reason for which TensorFlow ended the process as an error; other messages but notes as they are."""
    if fatal := _FATAL.search(held):
        return b"error: TensorFlow ended the process: %s\n" % fatal["message"]
    return b"".join(line for line in held.splitlines(keepends=True) if not _CHATTER.match(line))
