"""Memory that TensorFlow needs to start; with less, its C++ part ends the process."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rnncli.errors import RunFailedError

MEBIBYTE = 2**20


class Limit(NamedTuple):
    """A limit that a system sets to the memory of a process.

    Attributes:
        number: The one of `resource`.
        what: What it limits.
        option: That of the shell's `ulimit`.
        name: Its name elsewhere.
        field: The field of `TASK_MEMORY` with the pages that count.
        start: Bytes that the command needs to start, and to say that TensorFlow needs more.
        tensorflow: Bytes for TensorFlow's libraries, threads and first computations.
    """

    number: int
    what: str
    option: str
    name: str
    field: int
    start: int
    tensorflow: int


LIMITS = (
    Limit(resource.RLIMIT_AS, "address space", "-v", "RLIMIT_AS", 0, 256 * MEBIBYTE, 3072 * MEBIBYTE),
    Limit(resource.RLIMIT_DATA, "data", "-d", "RLIMIT_DATA", 5, 160 * MEBIBYTE, 640 * MEBIBYTE),
)

MIN_MEMORY = 256 * MEBIBYTE
"""Bytes of memory that importing TensorFlow needs at least."""

MIN_CONTAINER = 512 * MEBIBYTE
"""Bytes of a container's limit below which Linux kills the command while TensorFlow starts."""

CGROUPS = Path("/proc/self/cgroup")
CGROUP_ROOT = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")
TASK_MEMORY = Path("/proc/self/statm")


def require_memory_to_start() -> None:
    """Refuse to start the command where its imports would fail or abort.

    Raises:
        RunFailedError: A limit of the process is too small.
    """
    for limit in LIMITS:
        _require(limit, limit.start, "rnncli")


def require_memory() -> None:
    """Refuse to import TensorFlow where it would abort.

    Raises:
        RunFailedError: A limit of the process or the available memory is too small.
    """
    for limit in LIMITS:
        _require(limit, limit.tensorflow, "TensorFlow")
    container = _container_limit()
    if container is not None and container < MIN_CONTAINER:
        raise RunFailedError(
            f"too little memory: the container, or the control group, is limited to {_gigabytes(container)}, and "
            f"TensorFlow needs {_gigabytes(MIN_CONTAINER)} to start",
            "raise its limit: docker run --memory 2g, resources.limits.memory, MemoryMax or sbatch --mem",
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
                f"too little memory to import TensorFlow: {str(error) or type(error).__name__}",
                "see the limits with: ulimit -a",
            ) from error
        raise


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.2g} GiB"


def _require(limit: Limit, needed: int, who: str) -> None:
    most, _ = resource.getrlimit(limit.number)
    if most == resource.RLIM_INFINITY or most - (used := _used(limit)) >= needed:
        return
    raise RunFailedError(
        f"too little memory: {limit.what} is limited to {_gigabytes(most)}, of which {_gigabytes(used)} are in use, "
        f"and {who} needs {_gigabytes(needed)} more",
        f"raise the limit: ulimit {limit.option} unlimited, or {limit.name} of the service",
    )


def _used(limit: Limit) -> int:
    """Return the bytes that this process has of what is limited; 0 where that is unknown."""
    with contextlib.suppress(OSError):
        return int(TASK_MEMORY.read_text().split()[limit.field]) * resource.getpagesize()
    return 0


def _container_limit() -> int | None:
    """Return the least limit of the memory of the control groups of this process, in bytes; None if unknown."""
    limits = []
    with contextlib.suppress(OSError, ValueError):
        for line in CGROUPS.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "memory":
                root, name = CGROUP_ROOT / "memory", "memory.limit_in_bytes"
            elif not controllers:
                root, name = CGROUP_ROOT, "memory.max"
            else:
                continue
            group = Path(path.lstrip("/"))  # from the outside; inside of a container its root is the group itself
            for folder in (group, *group.parents):
                with contextlib.suppress(OSError, ValueError):  # "max" is no limit
                    limits.append(int((root / folder / name).read_text()))
    return min(limits, default=None)


def _available_memory() -> int | None:
    """Return the bytes that can be had without swapping out others, with free swap; None where that is unknown."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = (line.partition(":") for line in MEMINFO.read_text().splitlines())
        kilobytes = {name: int(value.split()[0]) for name, _, value in lines}
        return (kilobytes["MemAvailable"] + kilobytes.get("SwapFree", 0)) * 1024
    return None
