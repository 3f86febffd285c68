"""A thread beside the main one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


def beside(function: Callable[[], Result]) -> Future[Result]:
    """Call a function in a thread, which the end of the process waits for.

    Waiting for what is returned can be interrupted. `Thread.join` cannot: a KeyboardInterrupt in it has Python 3.11
    take the thread for ended, and the process ends while it computes, by an abort of TensorFlow's.
    """
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(function)
    finally:
        pool.shutdown(wait=False)
