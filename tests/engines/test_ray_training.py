"""The driver of workers on Ray, given what they tell; needs no Ray."""

import signal

import pytest

from rnncli.engines.child import Order
from rnncli.engines.connection import Resources
from rnncli.engines.ray_training import ALIKE_SECONDS, REPEAT_SECONDS, Driver, Event, Plan
from rnncli.errors import RunFailedError

START = Event()


@pytest.fixture
def driver(tmp_path):
    """A driver; `shown` has what it printed."""
    (tmp_path / "run/checkpoints/00000007").mkdir(parents=True)
    order = Order(tmp_path / "run", tmp_path, (), (), False)
    shown = []
    plan = Plan(order, 2, 1, 3, "rnncli train --resume run --engine ray")
    reports = [lambda line, kind=kind: shown.append((kind, line)) for kind in "pnw"]
    made = Driver(plan, Resources(2, 0, True, ""), *reports)
    made.shown = shown
    return made


def told(driver, *events):
    for event in events:
        driver.take(event)
    return driver


def test_lines_of_the_first_worker_are_printed_and_the_end_is_that_of_all(driver):
    told(driver, START, Event(0, "epoch 1"), Event(1, status=0), Event(0, status=0))
    assert (driver.status(), driver.shown) == (0, [("p", "epoch 1")])


def test_restart_after_a_kill_says_why(driver):
    told(driver, START, Event(1, status=-9), START, Event(0, status=0), Event(1, status=0))
    assert driver.shown == [("w", "worker 1 was killed by SIGKILL; all workers start again (restart 1 of 3)")]
    assert driver.status() == 0


def test_failure_that_is_not_mended_names_the_worker_and_how_to_resume(driver):
    told(driver, START, Event(1, status=1, told=("error: no memory",)))
    with pytest.raises(RunFailedError, match="worker 1 failed: no memory") as failed:
        driver.status()
    assert failed.value.hint == "resume with: rnncli train --resume run --engine ray"


def test_failure_of_the_first_worker_has_been_told_already(driver):
    assert told(driver, START, Event(0, "error: no memory"), Event(0, status=1)).status() == 1


def test_wrong_input_of_one_worker_is_shown_and_ends_the_others(driver):
    told(driver, START, Event(1, status=2, told=("error: words.tsv: no such file",)))
    failed_at = driver._failed_at
    assert driver.signals_due(failed_at) == []
    assert driver.signals_due(failed_at + ALIKE_SECONDS + 1) == [signal.SIGTERM]
    told(driver, Event(0, status=143))
    assert (driver.status(), driver.shown) == (2, [("p", "worker 1: error: words.tsv: no such file")])


@pytest.mark.parametrize(("number", "again"), [(signal.SIGTERM, [signal.SIGTERM]), (signal.SIGINT, [])])
def test_signals_go_to_the_workers_and_sigterm_again(driver, number, again):
    told(driver, START)
    driver._received.append(number)
    assert driver.signals_due(100.0) == [number]
    assert driver.signals_due(100.1) == []
    assert driver.signals_due(100.1 + REPEAT_SECONDS) == again
    assert not driver.may_leave(), "the workers save a checkpoint"
    told(driver, Event(0, status=128 + number), Event(1, status=128 + number))
    assert driver.status() == 128 + number


def test_signal_ends_the_waiting_for_room_and_for_a_restart(driver):
    driver._received.append(signal.SIGINT)
    assert driver.may_leave()
    assert driver.status() == 130
    assert not told(driver, START).may_leave()
    assert told(driver, Event(1, status=-9)).may_leave()


def test_lost_machine_is_named(driver):
    driver._error = Exception()
    driver._error.worker_failures = {1: RuntimeError("the node died")}
    with pytest.raises(RunFailedError, match="worker 1 was lost: RuntimeError: the node died"):
        told(driver, START).status()
