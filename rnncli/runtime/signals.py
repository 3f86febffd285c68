"""Handlers of SIGTERM, SIGINT and SIGHUP, by which a user, a supervisor or a lost terminal ends a process."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextlib.contextmanager
def handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle these signals inside the context; do nothing outside of the main thread.

    What was ignored when it began stays ignored: by `nohup`, and by shells for what runs in the background.
    """
    main = threading.current_thread() is threading.main_thread()
    numbers = [number for number in SIGNALS if main and signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextlib.contextmanager
def postponed() -> Iterator[None]:
    """Handle signals that come inside the context at its end, so that they do not cut in two what it does."""
    came: list[int] = []
    try:
        with handled(lambda number, _frame: came.append(number)):
            yield
    finally:
        for number in came:
            signal.raise_signal(number)


def signal_name(number: int) -> str:
    """Return the name of a signal, such as SIGKILL; real-time signals have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
