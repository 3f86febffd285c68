"""Requests to stop training: SIGTERM, SIGINT, SIGHUP, or a number of steps."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

from rnncli.runtime.signals import handled


@dataclass(frozen=True)
class Stopped:
    """The result of training that was stopped early, with a checkpoint to resume from.

    Attributes:
        step: The number of steps done.
        steps: The number of steps of the whole training.
        signal: The signal that stopped it; None if it was no signal.
    """

    step: int
    steps: int
    signal: int | None

    @property
    def exit_status(self) -> int:
        """Return the status that shells give to a process that this signal ended; 0 without a signal."""
        return 128 + self.signal if self.signal else 0


class Stop:
    """A request to stop training after the current step.

    Args:
        at: Stop after this number of steps; None stops at a signal only.
    """

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.signal: int | None = None
        self.immediately = False

    def requested(self, step: int) -> bool:
        """Return True if training shall stop after this number of steps."""
        return self.signal is not None or (self.at is not None and step >= self.at)

    def steps_left(self, step: int) -> int | None:
        """Return the number of steps until training shall stop; None if there is no limit."""
        return None if self.at is None else self.at - step

    def raise_if_immediate(self) -> None:
        """Raise KeyboardInterrupt if SIGINT came twice; Python drops exceptions that are raised in destructors.

        Raises:
            KeyboardInterrupt: SIGINT came twice.
        """
        if self.immediately:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def handling_signals(self) -> Iterator[None]:
        """Take SIGTERM, SIGINT and SIGHUP as requests to stop.

        Raises:
            KeyboardInterrupt: SIGINT came twice, even if TensorFlow turned the exception into another one.
        """
        try:
            with handled(self._handle):
                yield
        except Exception:
            self.raise_if_immediate()
            raise

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.immediately = self.immediately or (number == signal.SIGINT and self.signal is not None)
        self.signal = number
        if number == signal.SIGINT:
            self.raise_if_immediate()
