"""A function in a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from threading import RLock, Thread
from typing import Any, TypeVar

from tqdm import tqdm

from rnncli.errors import TO_LOWER, RnncliError, RunFailedError, is_out_of_memory
from rnncli.runtime import tensorflow_setup as runtime
from rnncli.runtime.signals import SIGNALS, handled

Result = TypeVar("Result")


def alone(function: Callable[[], Result], what: str) -> Result:
    """Call a function in a process of its own, so that threads, memory and compilations are its own too.

    Args:
        function: It can be pickled, and so can what it returns.
        what: Runs there, for messages.

    Returns:
        What it returns.

    Raises:
        RnncliError: It raised that.
        RuntimeError: It raised something else, which is told with its traceback.
        RunFailedError: The process was ended from outside.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(theirs,), daemon=True)
    try:
        with _signals_wait():
            process.start()
        theirs.close()
        ours.send(function)  # not as an argument: nothing would tell that the process ended before it read it all
        result, error = ours.recv()
        process.join()
    except (EOFError, ConnectionError):
        process.join()
        code = process.exitcode or 0
        how, hint = (f"by signal {-code}", "was there enough memory?") if code < 0 else (f"with status {code}", "")
        raise RunFailedError(f"{what}: its process ended {how}", hint) from None
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
        ours.close()
    if error is not None:
        raise error
    returned: Result = result
    return returned


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """Let SIGINT and SIGTERM come afterwards, and never to a process that is begun meanwhile.

    From a terminal they come to both processes, and this one ends the other.
    """
    came: list[int] = []
    resource_tracker.ensure_running()  # which would undo the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # of this thread, and so of the new process
    try:
        with handled(lambda number, _: came.append(number)):  # other threads, as NumPy's, may be told
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    for number in came:
        signal.raise_signal(number)


def _answer(to: Connection) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    runtime.own_process = True
    tqdm.set_lock(RLock())  # its own is one of the system's, and would outlast a process that is killed
    answer: tuple[Any, Exception | None]
    try:
        answer = to.recv()(), None
    except RnncliError as error:
        answer = None, error
    except Exception as error:
        told = RunFailedError("out of memory", TO_LOWER) if is_out_of_memory(error) else None
        answer = None, told or RuntimeError(traceback.format_exc())
    to.send(answer)


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
    os._exit(1)
