"""Lines as they come: in order, promptly, and never far ahead."""

import itertools
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnncli.inference.streaming import chunks_as_they_come

SOON = 10  # seconds that nothing here should take; a limit for a test that would hang


@settings(deadline=None, max_examples=50)
@given(lines=st.lists(st.text(max_size=3), max_size=40), most=st.integers(1, 7))
def test_every_line_comes_in_order_in_lists_of_bounded_length(lines, most):
    chunks = list(chunks_as_they_come(lines, most))
    assert list(itertools.chain.from_iterable(chunks)) == lines
    assert all(1 <= len(chunk) <= most for chunk in chunks)


def test_a_fast_writer_is_read_in_full_lists():
    read = threading.Event()

    def source():
        yield from map(str, range(9))
        read.set()

    chunks = chunks_as_they_come(source(), 4)
    first = next(chunks)
    assert read.wait(SOON)
    rest = list(chunks)
    assert list(itertools.chain(first, *rest)) == list(map(str, range(9)))
    assert all(len(chunk) == 4 for chunk in rest[:-1])


def test_a_slow_writers_line_arrives_before_the_next_is_written():
    may_write = threading.Semaphore(1)

    def source():
        for number in range(3):
            assert may_write.acquire(timeout=SOON), "the line before was never handed over"
            yield str(number)

    chunks = chunks_as_they_come(source(), 100)
    for number in range(3):
        assert next(chunks) == [str(number)]
        may_write.release()
    assert list(chunks) == []


@pytest.mark.parametrize("error", [ValueError("of the source"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [0, 1, 5])
def test_an_error_of_the_source_comes_after_the_lines_before_it(error, before):
    def source():
        yield from map(str, range(before))
        raise error

    seen, raised = [], []

    def consume():
        try:
            for chunk in chunks_as_they_come(source(), 2):
                seen.extend(chunk)
        except BaseException as caught:
            raised.append(caught)

    consumer = threading.Thread(target=consume, daemon=True)  # so that waiting in vain fails and does not hang
    consumer.start()
    consumer.join(SOON)
    assert raised == [error]
    assert seen == list(map(str, range(before)))


def counted(limit=None):
    """An endless source, how much was read from it, and a signal when it has given `limit` lines."""
    taken, full = [], threading.Event()

    def source():
        for number in itertools.count():
            taken.append(number)
            if len(taken) == limit:
                full.set()
            yield str(number)

    return source(), taken, full


def test_reading_goes_ahead_but_not_far():
    most = 3
    ahead = most + 4 * most + 1  # the list handed out, four lists waiting, a line in the reader's hand
    source, taken, full = counted(ahead - most + 1)
    chunks = chunks_as_they_come(source, most)
    next(chunks)
    assert full.wait(SOON)  # it goes on reading while the first list is worked on
    for _ in range(20):
        threading.Event().wait(0.005)
        assert len(taken) <= ahead
    chunks.close()


def test_reading_stops_when_no_more_is_wanted():
    source, taken, _ = counted()
    before = set(threading.enumerate())
    chunks = chunks_as_they_come(source, 2)
    next(chunks)
    (reader,) = set(threading.enumerate()) - before
    chunks.close()
    reader.join(SOON)
    assert not reader.is_alive()
    assert len(taken) <= 2 + 4 * 2 + 2
