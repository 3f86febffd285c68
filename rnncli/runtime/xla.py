"""What is compiled how, and where XLA's compilations are kept so that the second start is quicker than the first.

What is kept is machine code that will be executed: the directory belongs to the user alone, and is never one that
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
compile time of unrolled steps grows with their number, a loop's does not (2.8, 4.7 and 8.2 s of 8, 16 and 32 steps
against 1.7 s); and the more steps and units, the less there is to gain (with 128 units 29% of the time with 8 steps,
24% with 12, 10% with more; nothing with 256)."""

XLA = True
"""Whether XLA compiles what it can; tests of what a computation gives, not of how, do without."""

MAX_CACHE_FILES = 300
"""A compilation is about 1 MB; the oldest make room for new ones."""


def unrolls(steps: int, units: int) -> bool:
    """Whether the steps of a recurrence are compiled one after another, not as a loop."""
    return steps <= UNROLL_STEPS and steps * units <= UNROLL_STATES


def cache_directory(versions: dict[str, str]) -> Path | None:
    """The private directory for compilations of these versions on this processor; None where there can be none.

    XLA knows a compilation by what is computed, not by the flags that decide how; so they have a part in the name.

    Args:
        versions: Of all that decides the machine code.
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
    """XLA_FLAGS with what is faster for the fused recurrences than XLA's defaults, where they do not say otherwise.

    LLVM's third level of optimization, the default, gives no faster code than the second, and takes up to twice the
    time for it: the first step of `configs/addition_small.yaml` comes after 3.3 s of compiling in place of 5.7
    (2 cores). Vectors of 512 bits, which XLA does not use unasked where a processor has them, take 3 to 4% from a
    step of `configs/addition_repeat_vector.yaml` (128 units, 128 rows), and nothing of it with 32 rows.
    """
    if flags.strip() and not flags.lstrip().startswith("-"):
        return flags  # the name of a file
    wanted = {"xla_backend_optimization_level": 2}
    if has_512_bit_vectors():
        wanted["xla_cpu_prefer_vector_width"] = 512
    return " ".join([flags.strip(), *(f"--{name}={n}" for name, n in wanted.items() if name not in flags)]).strip()


def cache_flags(directory: Path) -> str:
    """What TF_XLA_FLAGS must say for XLA to keep its compilations there."""
    return (
        f"--tf_xla_persistent_cache_directory={directory} --tf_xla_persistent_cache_device_types=CPU "
        "--tf_xla_persistent_cache_prefix=rnncli"
    )


def _make_room(directory: Path) -> None:
    files = sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime)
    for path in files[: max(0, len(files) - MAX_CACHE_FILES)]:
        path.unlink(missing_ok=True)
