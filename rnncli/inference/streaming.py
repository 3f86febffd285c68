"""Chunks of a stream of lines: full ones from a fast writer, and prompt ones from a slow writer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

MAX_CHUNKS_AHEAD = 4
"""Chunks that are read before they are asked for."""
_END = object()


def iter_available_chunks(lines: Iterable[str], max_lines: int) -> Iterator[list[str]]:
    """Yield the lines that have arrived since the last chunk, at least one line and at most `max_lines`.

    Lines are read in a thread of their own, at most `MAX_CHUNKS_AHEAD` chunks ahead. Its exceptions are raised here,
    after the lines before them.

    Args:
        lines: May block until a line arrives.
        max_lines: Maximum lines of a chunk.
    """
    arrived: queue.Queue[Any] = queue.Queue(MAX_CHUNKS_AHEAD * max_lines)
    stop = threading.Event()

    def put(item: Any) -> None:
        while not stop.is_set():
            try:
                arrived.put(item, timeout=0.2)
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
        except BaseException as error:  # raised again in the consumer
            put(error)

    threading.Thread(target=read, daemon=True, name="rnncli-reader").start()
    try:
        yield from _chunks(arrived, max_lines)
    finally:
        stop.set()


def iter_full_chunks(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield lists of `size` lines, the last perhaps shorter."""
    rest = iter(lines)
    while chunk := list(islice(rest, size)):
        yield chunk


def _chunks(arrived: queue.Queue[Any], max_lines: int) -> Iterator[list[str]]:
    while True:
        chunk: list[str] = []
        item = arrived.get()
        while isinstance(item, str):
            chunk.append(item)
            if len(chunk) == max_lines:
                break
            try:
                item = arrived.get_nowait()
            except queue.Empty:
                break
        if chunk:
            yield chunk
        if item is _END:
            return
        if isinstance(item, BaseException):
            raise item
