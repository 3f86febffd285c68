"""XLA: its flags, and the limit up to which time steps are unrolled."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar

from rnncli.runtime.host import has_512_bit_vectors

UNROLL_STEPS, UNROLL_STATES = 16, 2048
"""Sequences up to this many steps are unrolled, if the states of a row at all steps are up to this many numbers. The
compile time of unrolled steps grows with their number, that of a loop does not; and the more steps and units, the
less time unrolling saves. See benchmarks/RESULTS.md."""

XLA = True
"""True if XLA compiles what it can. Tests that compare numbers, not kernels, switch it off to save time."""


def unrolls(steps: int, units: int) -> bool:
    """Return True if the time steps of a recurrence are unrolled, not compiled as a loop."""
    limit = _unroll_limit.get()
    if limit is None:
        limit = UNROLL_STEPS
    return limit == math.inf or (steps <= limit and steps * units <= UNROLL_STATES)


_unroll_limit: ContextVar[float | None] = ContextVar("unroll_limit", default=None)


@contextlib.contextmanager
def unrolling(steps: float = math.inf) -> Iterator[None]:
    """Unroll sequences of at most so many steps in this thread.

    Args:
        steps: The limit, in place of `UNROLL_STEPS`; infinity unrolls all sequences, whatever the units, for a
            runtime that cannot hold a loop over steps.
    """
    token = _unroll_limit.set(steps)
    try:
        yield
    finally:
        _unroll_limit.reset(token)


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
