"""A function in a process of its own."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from threading import RLock
from typing import TypeVar

from tqdm import tqdm

from rnncli import runtime
from rnncli.errors import RunFailedError
from rnncli.signals import handled

Result = TypeVar("Result")


def alone(function: Callable[[], Result]) -> Result:
    """Call a function in a process of its own, so that threads, memory and compilations are its own too.

    Args:
        function: It can be pickled, and so can what it returns or raises. It returns no exception.

    Returns:
        What it returns.

    Raises:
        Exception: What it raises.
        RunFailedError: The process was ended from outside.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(function, theirs), daemon=True)
    with handled(signal.SIG_IGN):  # by the process too, which this one ends: Ctrl-C comes to both
        process.start()
    theirs.close()
    try:
        result: Result | Exception = ours.recv()
        process.join()
    except EOFError:
        process.join()
        how = f"ended with status {process.exitcode}"
        if process.exitcode is not None and process.exitcode < 0:
            how = f"was ended by signal {-process.exitcode}"
        raise RunFailedError(f"the process that ran the kernel {how}", "was there enough memory?") from None
    finally:
        process.kill()
        process.join()
        ours.close()
    if isinstance(result, Exception):
        raise result
    return result


def _answer(function: Callable[[], object], to: Connection) -> None:
    runtime.own_process = True
    tqdm.set_lock(RLock())  # its own is one of the system's, and would outlast a process that is killed
    try:
        answer = function()
    except Exception as error:
        answer = error
    to.send(answer)
