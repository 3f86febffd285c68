"""Chunks of a stream of lines: in order, promptly, and read only a few chunks ahead."""

import itertools
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnncli.inference.streaming import LINE_CHARACTERS, MAX_CHUNKS_AHEAD, iter_available_chunks

TIMEOUT = 10  # seconds; only a failing test waits so long


@settings(max_examples=50)
@given(lines=st.lists(st.text(max_size=3), max_size=40), most=st.integers(1, 7))
def test_chunks_hold_every_line_in_order_and_have_bounded_length(lines, most):
    chunks = list(iter_available_chunks(lines, most))
    assert list(itertools.chain.from_iterable(chunks)) == lines
    assert all(1 <= len(chunk) <= most for chunk in chunks)


def test_fast_writer_gives_full_chunks():
    read = threading.Event()

    def source():
        yield from map(str, range(9))
        read.set()

    chunks = iter_available_chunks(source(), 4)
    first = next(chunks)
    assert read.wait(TIMEOUT)
    rest = list(chunks)
    assert list(itertools.chain(first, *rest)) == list(map(str, range(9)))
    assert all(len(chunk) == 4 for chunk in rest[:-1])


def test_slow_writer_gives_each_line_before_the_next_is_written():
    may_write = threading.Semaphore(1)

    def source():
        for number in range(3):
            assert may_write.acquire(timeout=TIMEOUT), "the previous line was never yielded"
            yield str(number)

    chunks = iter_available_chunks(source(), 100)
    for number in range(3):
        assert next(chunks) == [str(number)]
        may_write.release()
    assert list(chunks) == []


@pytest.mark.parametrize("error", [ValueError("bad source"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [0, 1, 5])
def test_error_of_the_source_is_raised_after_the_lines_before_it(error, before):
    def source():
        yield from map(str, range(before))
        raise error

    seen, raised = [], []

    def consume():
        try:
            for chunk in iter_available_chunks(source(), 2):
                seen.extend(chunk)
        except BaseException as caught:
            raised.append(caught)

    consumer = threading.Thread(target=consume, daemon=True)  # so that a failing test does not hang
    consumer.start()
    consumer.join(TIMEOUT)
    assert raised == [error]
    assert seen == list(map(str, range(before)))


def counted(limit=None):
    """Return an endless source, the lines read from it, and an event set after `limit` lines."""
    taken, full = [], threading.Event()

    def source():
        for number in itertools.count():
            taken.append(number)
            if len(taken) == limit:
                full.set()
            yield str(number)

    return source(), taken, full


def test_reading_stays_a_bounded_number_of_chunks_ahead():
    most = 3
    ahead = most + MAX_CHUNKS_AHEAD * most + 1  # the yielded chunk, the queue, a line the reader holds
    source, taken, full = counted(ahead - most + 1)
    chunks = iter_available_chunks(source, most)
    next(chunks)
    assert full.wait(TIMEOUT)  # reading continues while the first chunk is processed
    for _ in range(20):
        threading.Event().wait(0.005)
        assert len(taken) <= ahead
    chunks.close()


def test_reading_stops_when_the_iterator_is_closed():
    source, taken, _ = counted()
    before = set(threading.enumerate())
    chunks = iter_available_chunks(source, 2)
    next(chunks)
    (reader,) = set(threading.enumerate()) - before
    chunks.close()
    reader.join(TIMEOUT)
    assert not reader.is_alive()
    assert len(taken) <= 2 + MAX_CHUNKS_AHEAD * 2 + 2


def test_long_lines_count_as_several():
    taken, lines, line = [], itertools.count(), "x" * (10 * LINE_CHARACTERS)
    source = (taken.append(number) or line for number in lines)
    chunks = iter_available_chunks(source, 20)
    assert len(next(chunks)) <= 2
    for _ in range(20):
        threading.Event().wait(0.005)
        assert len(taken) <= 2 + 2 * MAX_CHUNKS_AHEAD + 2
    chunks.close()
