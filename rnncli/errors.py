"""The errors of rnncli. The command line prints them without a traceback.

RnncliError             exit status 1
├── InputError          exit status 2: what the user gave
│   ├── ConfigError     a config file, or an override of it (--set)
│   ├── DataError       a line of data
│   └── RunDirError     a run directory: missing, incomplete, damaged, or there already
└── RunFailedError      exit status 1: what failed while it ran
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


class RnncliError(Exception):
    """An error with a message for the user.

    Args:
        message: What is wrong and where, in one line (a list of problems may take several).
        hint: What to do about it.
    """

    exit_status = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")  # which Python prints below the message


class RnncliWarning(UserWarning):
    """Warns of input that is deprecated or may be a mistake."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived; `finally` clauses clean up.

    Args:
        number: That of the signal.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(number)
        self.signal = number


class InputError(RnncliError):
    """Input of the user cannot be used."""

    exit_status = 2


class ConfigError(InputError):
    """A config, or an override of it, is invalid."""


class DataError(InputError):
    """A line of data cannot be used."""


class SkippedError(DataError):
    """A line of data cannot be used, and the config says to skip such lines.

    Args:
        message: As for other errors.
        hint: As for other errors.
        reason: The kind of line, such as "too long".
    """

    def __init__(self, message: str, hint: str = "", reason: str = "too long") -> None:
        super().__init__(message, hint)
        self.reason = reason


class RunDirError(InputError):
    """A run directory is missing, incomplete, damaged, or exists already."""


class UnreadableError(RunDirError):
    """A file of a run exists but cannot be read, so it must not be treated as missing or damaged."""


class RunFailedError(RnncliError):
    """Training or prediction failed while it ran."""


def warn_user(message: str) -> None:
    """Warn of something that works, but may not be meant; the warning names the user's line, not one of rnncli.

    Args:
        message: What is odd and where, in one line without a prefix such as "warning:".
    """
    ours, level = (f"{Path(__file__).parent}{os.sep}", contextlib.__file__), 1  # it calls decorated functions
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_code.co_filename.startswith(ours):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, RnncliWarning, stacklevel=level)


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
        kind: The class of the error; writing that fails for want of room is a `RunFailedError` always.
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
        if getattr(error, "errno", None) in (*_OUT_OF_ROOM, errno.EIO) and verb == "written":
            kind = RunFailedError  # not what the user gave is wrong
        raise kind(f"{name}: cannot be {verb}: {reason_of(error)}", hint) from error


_in_command: ContextVar[bool] = ContextVar("in_command", default=False)


@contextmanager
def words_of_the_command_line() -> Iterator[None]:
    """Let messages in the block name options as on the command line, such as `--beam 5`; elsewhere as in Python."""
    token = _in_command.set(True)
    try:
        yield
    finally:
        _in_command.reset(token)


def in_command_line() -> bool:
    """Return True if messages are for a user of the command line, not of Python."""
    return _in_command.get()


def option_words(name: str, value: object = None) -> str:
    """Return an option as whoever reads the message writes it: `--n-best 3`, or in Python `n_best=3`.

    Args:
        name: Its name in Python; that of the command line has dashes.
        value: Its value; True is a flag, and None gives the name alone.
    """
    if _in_command.get():
        words = f"--{name.replace('_', '-')}"
        return words if value is None or value is True else f"{words} {value}"
    return name if value is None else f"{name}={value!r}"


def override_words(override: str) -> str:
    """Return an override of a config key, `KEY=VALUE`, as whoever reads the message writes it."""
    return f"{_OVERRIDE if _in_command.get() else _OVERRIDE_IN_PYTHON}{override}"


def is_override(place: str, key: str = "") -> bool:
    """Return True if the place of a message is an override, and of this key if one is given."""
    return place.startswith(tuple(f"{words}{key}{'=' * bool(key)}" for words in (_OVERRIDE, _OVERRIDE_IN_PYTHON)))


_OVERRIDE, _OVERRIDE_IN_PYTHON = "--set ", "override "


def command_line(*arguments: str | os.PathLike[str]) -> str:
    """Return a command of rnncli's as a shell reads it, for a hint."""
    return " ".join(["rnncli", *(_shell_word(os.fspath(argument)) for argument in arguments)])


def _shell_word(text: str) -> str:
    """Return a word as a shell reads it; with tabs by their name, since terminals do not copy them."""
    if "\t" not in text:
        return shlex.quote(text)
    return "$'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\t", "\\t") + "'"


def install_command(package: str) -> str:
    """Return the command that installs a package for this Python."""
    return f"{shlex.quote(sys.executable or 'python3')} -m pip install {shlex.quote(package)}"


MEMORY_HINT = (
    "use a larger runtime.micro_batches or a smaller training.batch_size, fewer units or layers, "
    "or fewer or shorter examples"
)

_OUT_OF_MEMORY = ("out of memory", "Out of memory", "OUT_OF_MEMORY", "bad_alloc")
"""Words of other TensorFlow errors that mean it."""


_OUT_OF_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_out_of_room(error: Exception) -> bool:
    """Return True if an error that need not be an OSError says that a disk, a quota or a file is full."""
    return any(os.strerror(number) in str(error) for number in _OUT_OF_ROOM)


def is_out_of_memory(error: Exception) -> bool:
    """Return True if Python, NumPy or TensorFlow, which may not be imported, ran out of CPU or GPU memory."""
    if is_out_of_room(error):  # TensorFlow takes an exceeded quota for an exhausted resource
        return False
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    return type(error).__module__.startswith("tensorflow.") and any(sign in str(error) for sign in _OUT_OF_MEMORY)
