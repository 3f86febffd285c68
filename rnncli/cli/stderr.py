"""A stderr that never fails: who reads it, or no longer does, must not decide whether training lives."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any


class UnfailingFile(io.FileIO):
    """A file whose writes never fail: what a closed pipe, a full disk or a lost terminal does not take is dropped.

    Args:
        descriptor: The descriptor to write to; it stays open.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)

    def write(self, data: Any, /) -> int:
        """Write bytes, or drop them; return how many were written or dropped."""
        try:
            written = super().write(data)
        except OSError:
            written = None
        return len(memoryview(data).cast("B")) if written is None else written  # None: it would have to wait


def write_if_possible(descriptor: int, data: bytes) -> None:
    """Write bytes to a descriptor of stderr's, or drop them."""
    with contextlib.suppress(OSError):
        os.write(descriptor, data)


def replace_stderr() -> None:
    """Let this process write messages, bars, warnings, logging and tracebacks to a stderr that never fails."""
    if sys.stderr is None:  # it is closed
        return
    unfailing = io.BufferedWriter(UnfailingFile(sys.stderr.fileno()))
    sys.stderr = io.TextIOWrapper(unfailing, "utf-8", "backslashreplace", line_buffering=True)
