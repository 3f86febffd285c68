"""Requests to stop training: SIGTERM, SIGINT, SIGHUP, or a number of steps."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import FrameType

from rnncli.runtime.signals import SIGNALS, handled


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

    Of several workers each one may receive a signal, and all must stop after the same step. So they vote between
    calls: see `votes`.

    Args:
        at: Stop after this number of steps; None stops at a signal only.

    Attributes:
        signal: The signal to stop for: the one received, or of several workers the one voted for.
    """

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.signal: int | None = None
        self.immediately = False
        self._received: int | None = None
        self._votes = False

    def requested(self, step: int) -> bool:
        """Return True if training shall stop after this number of steps."""
        return self.signal is not None or (self.at is not None and step >= self.at)

    def votes(self) -> list[int]:
        """Return 1 for the signal that was received and 0 for others, in the order of `SIGNALS`."""
        return [int(number == self._received) for number in SIGNALS]

    def decide(self, votes: Sequence[int]) -> None:
        """Stop if any worker was told to; from now on only votes count.

        Args:
            votes: The sums over all workers of what `votes` returned.
        """
        self._votes = True
        told = [number for number, count in zip(SIGNALS, votes, strict=True) if count]
        if told:
            self.signal = told[0]

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
        self.immediately = self.immediately or (number == signal.SIGINT and self._received is not None)
        self._received = number
        if not self._votes:
            self.signal = number
        if number == signal.SIGINT:
            self.raise_if_immediate()
