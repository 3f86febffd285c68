"""Facts about this machine that Linux and macOS report in different ways."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def available_cores() -> int:
    """Return the number of CPU cores that this process may use; on macOS only performance cores.

    Efficiency cores would delay every step: shards of a batch have the same size and wait for the slowest.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    performance = _sysctl("hw.perflevel0.logicalcpu")
    return int(performance) if performance.isdecimal() else os.cpu_count() or 1


def shares_of_cores(processes: int) -> list[frozenset[int] | None]:
    """Return the cores of each of some processes; all have all where the system cannot divide them, or for one."""
    if sys.platform != "linux" or processes == 1:
        return [None] * processes
    cores = sorted(os.sched_getaffinity(0))
    return [frozenset(cores[number::processes] or [cores[number % len(cores)]]) for number in range(processes)]


@contextlib.contextmanager
def on_cores(cores: frozenset[int] | None) -> Iterator[None]:
    """Let processes that the block starts use these cores only."""
    if sys.platform != "linux" or cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def processor_name(cpuinfo: Path = CPUINFO) -> str:
    """Return the processor's name."""
    name = _cpuinfo(cpuinfo).get("model name") or _sysctl("machdep.cpu.brand_string")
    return name or platform.processor() or platform.machine()


def processor_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Return the instruction sets that Linux lists for the processor; on macOS none."""
    values = _cpuinfo(cpuinfo)
    return frozenset((values.get("flags") or values.get("Features") or "").split())


def peak_memory_bytes() -> int:
    """Return the most memory that this process has had so far."""
    with contextlib.suppress(OSError):  # Linux's ru_maxrss starts from that of the parent process
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def has_512_bit_vectors() -> bool:
    """Return True if the processor may have vectors of 512 bits, which only x86 has."""
    return platform.machine().lower() in ("x86_64", "amd64")


def _cpuinfo(path: Path) -> dict[str, str]:
    with contextlib.suppress(OSError):
        pairs = (line.partition(":") for line in path.read_text().splitlines())
        return {key.strip(): value.strip() for key, _, value in pairs}
    return {}


def _sysctl(name: str) -> str:
    """Return a value of macOS's sysctl; elsewhere, or where it is unknown, nothing."""
    if sys.platform != "darwin":
        return ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["/usr/sbin/sysctl", "-n", name]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()  # noqa: S603
    return ""
