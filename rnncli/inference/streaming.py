"""Chunks of a stream of lines: full ones from a fast writer, and prompt ones from a slow writer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

MAX_CHUNKS_AHEAD = 4
"""Chunks that are read before they are asked for."""

LINE_CHARACTERS = 2000
"""Characters of a usual line; a longer line counts as several, so that memory is bounded."""
_END = object()


def iter_available_chunks(lines: Iterable[str], max_lines: int) -> Iterator[list[str]]:
    """Yield the lines that have arrived since the last chunk, at least one line and at most `max_lines`.

    Lines are read in a thread of their own, at most `MAX_CHUNKS_AHEAD` chunks ahead. Its exceptions are raised here,
    after the lines before them.

    Args:
        lines: May block until a line arrives.
        max_lines: Maximum lines of a chunk; fewer if they are longer than `LINE_CHARACTERS`.
    """
    arrived: queue.Queue[Any] = _WeighedQueue(MAX_CHUNKS_AHEAD * max_lines)
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


class _WeighedQueue(queue.Queue[Any]):
    """A queue whose size is the sum of its items' weights."""

    def _init(self, maxsize: int) -> None:
        super()._init(maxsize)
        self._weight = 0

    def _qsize(self) -> int:
        return self._weight

    def _put(self, item: Any) -> None:
        super()._put(item)
        self._weight += _weight(item)

    def _get(self) -> Any:
        item = super()._get()
        self._weight -= _weight(item)
        return item


def _weight(item: Any) -> int:
    return 1 + len(item) // LINE_CHARACTERS if isinstance(item, str) else 1


def iter_full_chunks(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    """Yield lists of `size` lines, the last perhaps shorter."""
    rest = iter(lines)
    while chunk := list(islice(rest, size)):
        yield chunk


def _chunks(arrived: queue.Queue[Any], max_lines: int) -> Iterator[list[str]]:
    while True:
        chunk: list[str] = []
        item, weight = arrived.get(), 0
        while isinstance(item, str):
            chunk.append(item)
            weight += _weight(item)
            if weight >= max_lines:
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
