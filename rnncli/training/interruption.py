"""Being told to stop: by SIGTERM or SIGINT, or at a step."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

from rnncli.runtime.signals import handled


@dataclass(frozen=True)
class Stopped:
    """Training stopped when it was told to, with a checkpoint to go on from.

    Attributes:
        step: Steps done.
        steps: Steps of the whole training.
        signal: Why, if a signal it was.
    """

    step: int
    steps: int
    signal: int | None

    @property
    def exit_status(self) -> int:
        """As shells have it of processes that a signal ended."""
        return 128 + self.signal if self.signal else 0


class Stop:
    """Whether training shall stop.

    Args:
        at: After this step.
    """

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.signal: int | None = None
        self.at_once = False

    def told(self, step: int) -> bool:
        """Whether to stop now that so many steps are done."""
        return self.signal is not None or (self.at is not None and step >= self.at)

    def check(self) -> None:
        """Stop at once if that was told, and Python had to drop the exception, as it does of destructors.

        Raises:
            KeyboardInterrupt: It was.
        """
        if self.at_once:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take note of signals.

        Raises:
            KeyboardInterrupt: At a second SIGINT, also where TensorFlow made another error of it.
        """
        try:
            with handled(self._note):
                yield
        except Exception:
            self.check()
            raise

    def _note(self, number: int, _frame: FrameType | None) -> None:
        """A second SIGINT stops at once."""
        self.at_once = self.at_once or (number == signal.SIGINT and self.signal is not None)
        self.signal = number
        if number == signal.SIGINT:
            self.check()
