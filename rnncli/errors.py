"""What rnncli raises on purpose. The command line prints these in one line, without a traceback.

RnncliError             exit status 1
├── InputError          exit status 2: what the user gave
│   ├── ConfigError     a config file, or a --set
│   ├── DataError       a line of data
│   └── RunDirError     a run directory: missing, incomplete, unsound, or in the way
└── RunFailedError      exit status 1: what failed while it ran
"""

from __future__ import annotations


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


TO_LOWER = "lower training.batch_size, the model's units or layers, or how many and how long the examples are"


NO_MEMORY = ("out of memory", "Out of memory", "OUT_OF_MEMORY", "bad_alloc")
"""What TensorFlow's other errors say of it."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether Python, NumPy or TensorFlow, which may not be imported yet, got no memory, of a CPU or of a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    return type(error).__module__.startswith("tensorflow.") and any(sign in str(error) for sign in NO_MEMORY)
