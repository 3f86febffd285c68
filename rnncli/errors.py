"""What rnncli raises on purpose. The command line prints these in one line, without a traceback.

RnncliError             exit status 1
├── InputError          exit status 2: what the user gave
│   ├── ConfigError     a config file, or a --set
│   ├── DataError       a line of data
│   └── RunDirError     a run directory: missing, incomplete, unsound, or in the way
└── RunFailedError      exit status 1: what failed while it ran
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os


class RnncliError(Exception):
    """A failure that rnncli explains.

    Args:
        message: What is wrong and where, in one line (a list of problems may take several).
        hint: What to do about it.
    """

    exit_status = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class RnncliWarning(UserWarning):
    """Something works, but not as the user may expect, or not for long."""


class Terminated(BaseException):
    """SIGTERM came where there is nothing to finish; `finally` clauses leave nothing half-written."""


class InputError(RnncliError):
    """Something that the user gave cannot be used."""

    exit_status = 2


class ConfigError(InputError):
    """A config, or an override of it, is refused."""


class DataError(InputError):
    """A line of data cannot be used."""


class LeftOutError(DataError):
    """A line of data cannot be used, and the config wants such lines left out."""


class RunDirError(InputError):
    """A run directory is missing, incomplete, unsound, or in the way."""


class UnreadableError(RunDirError):
    """Something of a run is there, and cannot be read: nobody may take it for missing or damaged."""


class RunFailedError(RnncliError):
    """Training or prediction could not go on."""


def reason_of(error: BaseException) -> str:
    """Return an error's reason without number and file, such as "No space left on device"."""
    reason = getattr(error, "strerror", None) or getattr(error, "message", None)  # of Python, of TensorFlow
    return str(reason or error)


@contextmanager
def explain_os_errors(
    path: str | os.PathLike[str],
    verb: str,
    kind: type[RnncliError] = RunFailedError,
    hint: str = "",
    *,
    inside: bool = False,
    also: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Explain an operating-system error in the block as "PATH: cannot be VERB: REASON".

    Args:
        path: The file or directory to name.
        verb: The participle of what is done with it, such as "read" or "written".
        kind: The class of the error.
        hint: What to do about it.
        inside: Whether the path is a directory of several files, so that the file that the error names is better.
        also: Other exceptions that mean the same, such as `ValueError` for a path with a NUL character.

    Raises:
        RnncliError: Of the class `kind`, in place of an `OSError`.
    """
    kinds: tuple[type[Exception], ...] = (OSError, *also)
    try:
        yield
    except kinds as error:
        name = (getattr(error, "filename", None) if inside else None) or path
        raise kind(f"{name}: cannot be {verb}: {reason_of(error)}", hint) from error


def install_command(package: str) -> str:
    """Return the command that installs a package for this Python."""
    return f"{shlex.quote(sys.executable or 'python3')} -m pip install {shlex.quote(package)}"


TO_LOWER = "lower training.batch_size, the model's units or layers, or how many and how long the examples are"


NO_MEMORY = ("out of memory", "Out of memory", "OUT_OF_MEMORY", "bad_alloc")
"""What TensorFlow's other errors say of it."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether Python, NumPy or TensorFlow, which may not be imported yet, got no memory, of a CPU or of a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    return type(error).__module__.startswith("tensorflow.") and any(sign in str(error) for sign in NO_MEMORY)
