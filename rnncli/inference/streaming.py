"""Lines as they come: full batches of a fast writer, prompt answers for a slow one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any

_END = object()


def chunks_as_they_come(lines: Iterable[str], most: int) -> Iterator[list[str]]:
    """Lists of lines: whatever is there when the last list is done with, at least one line, at most `most`.

    Lines are read on a thread of their own, which never gets more than four lists ahead.
    """
    waiting: queue.Queue[Any] = queue.Queue(4 * most)
    stop = threading.Event()

    def put(item: Any) -> None:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=0.2)
            except queue.Full:
                continue
            return

    def read() -> None:
        try:
            for line in lines:
                put(line)
                if stop.is_set():
                    return
            put(_END)
        except BaseException as error:  # raised again where the lines are wanted
            put(error)

    threading.Thread(target=read, daemon=True, name="rnncli-reader").start()
    try:
        yield from _chunks(waiting, most)
    finally:
        stop.set()


def _chunks(waiting: queue.Queue[Any], most: int) -> Iterator[list[str]]:
    while True:
        chunk: list[str] = []
        item = waiting.get()
        while isinstance(item, str):
            chunk.append(item)
            if len(chunk) == most:
                break
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                break
        if chunk:
            yield chunk
        if item is _END:
            return
        if isinstance(item, BaseException):
            raise item
