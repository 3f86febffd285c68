"""The queue of the server: what waits together runs together, and nobody pays for another's mistake."""

import asyncio
import threading

import pytest

from rnncli.serve.batching import Batcher, QueueFullError
from rnncli.serve.served_run import Work


class Computer:
    """Doubles numbers, a batch at a time; remembers the batches, and waits where it is told to."""

    def __init__(self):
        self.batches, self.may_go_on, self.started = [], threading.Event(), threading.Event()

    def work(self, *numbers, key="double", waits=False):
        def run(items):
            self.batches.append(list(items))
            if waits:
                self.started.set()
                self.may_go_on.wait(10)
            if 13 in items:
                raise ValueError("unlucky")
            return [2 * item for item in items]

        return Work(numbers, run, lambda results: {"doubled": list(results)}, key)


def ask(computer, works, max_waiting=10, max_items=4):
    """Submit works while the first one runs; return their answers or errors."""

    async def all_of_them():
        batcher = Batcher(max_waiting, max_items)
        running = asyncio.create_task(batcher.run())
        first = asyncio.create_task(batcher.submit(computer.work(1, waits=True, key=None)))
        await asyncio.to_thread(computer.started.wait, 10)
        waiting = [asyncio.create_task(batcher.submit(work)) for work in works]
        await asyncio.sleep(0)
        computer.may_go_on.set()
        answers = await asyncio.gather(first, *waiting, return_exceptions=True)
        running.cancel()
        return answers[1:]

    return asyncio.run(all_of_them())


def test_what_waits_runs_together_and_answers_come_apart():
    computer = Computer()
    answers = ask(computer, [computer.work(1, 2), computer.work(3), computer.work(4)])
    assert answers == [{"doubled": [2, 4]}, {"doubled": [6]}, {"doubled": [8]}]
    assert computer.batches == [[1], [1, 2, 3, 4]]


def test_other_keys_and_what_exceeds_a_batch_wait_for_the_next():
    computer = Computer()
    works = [computer.work(1, 2, 3), computer.work(9, key="other"), computer.work(4, 5), computer.work(6)]
    answers = ask(computer, works)
    assert [answer["doubled"] for answer in answers] == [[2, 4, 6], [18], [8, 10], [12]]
    assert computer.batches == [[1], [1, 2, 3, 6], [9], [4, 5]]


def test_works_without_a_key_run_alone():
    computer = Computer()
    ask(computer, [computer.work(1, key=None), computer.work(2, key=None)])
    assert computer.batches == [[1], [1], [2]]


def test_a_wrong_work_fails_alone():
    computer = Computer()
    right, wrong, other = ask(computer, [computer.work(1), computer.work(13), computer.work(2)])
    assert (right, other) == ({"doubled": [2]}, {"doubled": [4]})
    assert isinstance(wrong, ValueError)


def test_a_full_queue_refuses():
    computer = Computer()
    answers = ask(computer, [computer.work(n) for n in range(3)], max_waiting=2)
    assert answers[:2] == [{"doubled": [0]}, {"doubled": [2]}]
    assert isinstance(answers[2], QueueFullError)


@pytest.mark.parametrize("gone", [0, 1])
def test_nobody_computes_for_who_is_gone(gone):
    computer = Computer()

    async def leave():
        batcher = Batcher(10, 4)
        running = asyncio.create_task(batcher.run())
        first = asyncio.create_task(batcher.submit(computer.work(0, waits=True, key=None)))
        await asyncio.to_thread(computer.started.wait, 10)
        waiting = [asyncio.create_task(batcher.submit(computer.work(n))) for n in (1, 2)]
        await asyncio.sleep(0)
        waiting[gone].cancel()
        computer.may_go_on.set()
        answers = await asyncio.gather(first, *waiting, return_exceptions=True)
        running.cancel()
        return answers[1:]

    answers = asyncio.run(leave())
    assert isinstance(answers[gone], asyncio.CancelledError)
    assert computer.batches == [[0], [[2, 1][gone]]]
