"""The command that trains, as other processes start it, and the pipe by which it notices that its starter is gone."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading

COMMAND = (sys.executable, "-P", "-m", "rnncli", "train")
"""The command that trains; `-P` keeps the modules of the current directory from hiding others."""
LIFELINE = "RNNCLI_LIFELINE"
"""Environment variable with the descriptor of a pipe that is closed when the starter of this process is gone."""


def watch_starter() -> None:
    """Stop this process with a checkpoint if the one that started it is gone; does nothing without a pipe."""
    descriptor = os.environ.pop(LIFELINE, "")
    if not descriptor.isdecimal():
        return

    def watch() -> None:
        with contextlib.suppress(OSError):
            os.read(int(descriptor), 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
