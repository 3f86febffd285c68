"""XLA: its flags, its persistent cache, and the limit up to which time steps are unrolled.

The cache holds machine code that will be executed. So its directory belongs to the user alone, and is never one that
somebody else could have filled, such as a run directory.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from pathlib import Path

from rnncli.runtime.host import has_512_bit_vectors, processor_flags, processor_name

UNROLL_STEPS, UNROLL_STATES = 16, 2048
"""Sequences up to this many steps are unrolled, if the states of a row at all steps are up to this many numbers. The
compile time of unrolled steps grows with their number, that of a loop does not; and the more steps and units, the
less time unrolling saves. See benchmarks/RESULTS.md."""

XLA = True
"""True if XLA compiles what it can. Tests that compare numbers, not kernels, switch it off to save time."""

MAX_CACHE_FILES = 300
"""Files of the cache; the oldest make room for new ones."""


def unrolls(steps: int, units: int) -> bool:
    """Return True if the time steps of a recurrence are unrolled, not compiled as a loop."""
    return steps <= UNROLL_STEPS and steps * units <= UNROLL_STATES


def cache_directory(versions: dict[str, str]) -> Path | None:
    """Return the private directory of the cache for these versions on this processor; None if there can be none.

    XLA's keys tell computations apart, not the flags that they were compiled with; so the name depends on the flags.

    Args:
        versions: The versions of all packages that decide the machine code.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (Path raises without HOME)
    if not os.path.isabs(base) or re.search(r"[\s'\"]", base):  # noqa: PTH117 (TF_XLA_FLAGS is split at white space)
        return None
    decides = (
        f"{sorted(versions.items())} {processor_name()} {sorted(processor_flags())} {os.environ.get('XLA_FLAGS', '')}"
    )
    key = hashlib.sha256(decides.encode()).hexdigest()[:16]
    directory = Path(base) / "rnncli" / "xla" / key
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            return None
        _make_room(directory)
    except OSError:
        return None
    return directory if os.access(directory, os.W_OK | os.X_OK) else None


def with_default_flags(flags: str) -> str:
    """Return XLA_FLAGS with defaults that suit the fused recurrences better than XLA's; given flags stay.

    LLVM's third level of optimization, XLA's default, gives no faster code here than the second, and compiles for
    longer. XLA uses vectors of 512 bits only where it is asked to; they save time in wide layers. See
    benchmarks/RESULTS.md.
    """
    if flags.strip() and not flags.lstrip().startswith("-"):
        return flags  # the name of a file
    wanted = {"xla_backend_optimization_level": 2}
    if has_512_bit_vectors():
        wanted["xla_cpu_prefer_vector_width"] = 512
    return " ".join([flags.strip(), *(f"--{name}={n}" for name, n in wanted.items() if name not in flags)]).strip()


def cache_flags(directory: Path) -> str:
    """Return the TF_XLA_FLAGS that let XLA keep its compilations in a directory."""
    return (
        f"--tf_xla_persistent_cache_directory={directory} --tf_xla_persistent_cache_device_types=CPU "
        "--tf_xla_persistent_cache_prefix=rnncli"
    )


def _make_room(directory: Path) -> None:
    files = sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime)
    for path in files[: max(0, len(files) - MAX_CACHE_FILES)]:
        path.unlink(missing_ok=True)
