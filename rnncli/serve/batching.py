"""A bounded queue of works, which are computed in one thread, as many together as wait and may run together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from rnncli.serve.served_run import Work


class QueueFullError(Exception):
    """As many works wait as may wait."""


@dataclass(frozen=True)
class _Waiting:
    """A work that waits.

    Attributes:
        work: The work.
        results: Gets the results of its items.
    """

    work: Work
    results: asyncio.Future[Sequence[Any]]


class Batcher:
    """Computes works in the order in which they come. What may run with the first one that waits, runs with it.

    Args:
        max_waiting: Works that wait at most.
        max_items: Items that run together; a work of more items runs alone.

    Attributes:
        computed: Works that were computed, and the batches of them.
    """

    def __init__(self, max_waiting: int, max_items: int) -> None:
        self._max_waiting, self._max_items = max_waiting, max_items
        self._waiting: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "rnncli-serve")
        self.computed = {"works": 0, "batches": 0}

    async def submit(self, work: Work) -> dict[str, Any]:
        """Wait until a work is computed; return its answer.

        Raises:
            QueueFullError: Too many works wait.
        """
        if len(self._waiting) >= self._max_waiting:
            raise QueueFullError
        results: asyncio.Future[Sequence[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(work, results))
        self._arrived.set()
        return work.finish(await results)

    async def run(self) -> None:
        """Compute what waits, until this is cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                await self._arrived.wait()
                if batch := self._take():
                    found = await loop.run_in_executor(self._thread, _compute, [each.work for each in batch])
                    self.computed["works"] += len(batch)
                    self.computed["batches"] += 1
                    for each, results in zip(batch, found, strict=True):
                        _deliver(each.results, results)
                else:
                    self._arrived.clear()
        finally:
            self._thread.shutdown(wait=False, cancel_futures=True)

    def _take(self) -> list[_Waiting]:
        """Take the first work that waits, and those behind it that may run with it."""
        while self._waiting and self._waiting[0].results.cancelled():
            self._waiting.popleft()
        if not self._waiting:
            return []
        first = self._waiting.popleft()
        batch, count = [first], len(first.work.items)
        left: deque[_Waiting] = deque()
        for each in self._waiting if first.work.key is not None else ():
            joins = each.work.key == first.work.key and count + len(each.work.items) <= self._max_items
            if joins and not each.results.cancelled():
                batch.append(each)
                count += len(each.work.items)
            else:
                left.append(each)
        if first.work.key is not None:
            self._waiting = left
        return batch


def _compute(works: Sequence[Work]) -> list[Sequence[Any] | Exception]:
    """Return the results of each work, or its error."""
    items = [item for work in works for item in work.items]
    try:
        results = list(works[0].run(items))
    except Exception as error:
        # of works that ran together only one may be wrong
        return [error] if len(works) == 1 else [_compute([work])[0] for work in works]
    found: list[Sequence[Any] | Exception] = []
    for work in works:
        found.append(results[: len(work.items)])
        del results[: len(work.items)]
    return found


def _deliver(future: asyncio.Future[Sequence[Any]], results: Sequence[Any] | Exception) -> None:
    if future.done():  # who asked is gone
        return
    if isinstance(results, Exception):
        future.set_exception(results)
    else:
        future.set_result(results)
