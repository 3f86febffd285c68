"""Memory that TensorFlow needs to start; with less, its C++ part ends the process."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

from rnncli.errors import RunFailedError

MIN_ADDRESS_SPACE = 3 * 2**30
"""Bytes of address space for TensorFlow's libraries, threads and first computations."""

MIN_MEMORY = 256 * 2**20
"""Bytes of memory that importing TensorFlow needs at least."""

MEMINFO = Path("/proc/meminfo")
TASK_MEMORY = Path("/proc/self/statm")


def require_memory() -> None:
    """Refuse to import TensorFlow where it would abort.

    Raises:
        RunFailedError: The limit of address space or the available memory is too small.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit - _used_address_space() < MIN_ADDRESS_SPACE:
        needed = f"TensorFlow needs {_gigabytes(MIN_ADDRESS_SPACE)}"
        raise RunFailedError(
            f"too little memory: address space is limited to {_gigabytes(limit)}, and {needed}",
            "raise the limit: ulimit -v unlimited, or RLIMIT_AS of the service",
        )
    available = _available_memory()
    if available is not None and available < MIN_MEMORY:
        raise RunFailedError(
            f"too little memory: {_gigabytes(available)} are free, and TensorFlow needs {_gigabytes(MIN_MEMORY)}",
            "end other processes",
        )


@contextlib.contextmanager
def explain_import_errors() -> Iterator[None]:
    """Explain a failed import of TensorFlow that memory or a limit of threads is the cause of.

    Raises:
        RunFailedError: In place of such an error.
    """
    try:
        yield
    except (ImportError, MemoryError, OSError, RuntimeError) as error:
        signs = (os.strerror(errno.ENOMEM), "cannot allocate memory", "failed to map segment", "new thread")
        if isinstance(error, MemoryError) or any(sign in str(error) for sign in signs):
            raise RunFailedError(
                f"too little memory to import TensorFlow: {error}",
                "see the limits with: ulimit -a",
            ) from error
        raise


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.2g} GiB"


def _used_address_space() -> int:
    """Return the bytes of address space that this process has; 0 where that is unknown."""
    with contextlib.suppress(OSError):
        return int(TASK_MEMORY.read_text().split()[0]) * resource.getpagesize()
    return 0


def _available_memory() -> int | None:
    """Return the bytes that can be had without swapping out others, with free swap; None where that is unknown."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = (line.partition(":") for line in MEMINFO.read_text().splitlines())
        kilobytes = {name: int(value.split()[0]) for name, _, value in lines}
        return (kilobytes["MemAvailable"] + kilobytes.get("SwapFree", 0)) * 1024
    return None
