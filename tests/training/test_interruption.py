"""Requests to stop training: numbers of steps, and signals."""

import os
import signal

import pytest

from rnncli.training.interruption import Stop, Stopped


def send_twice():
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)


def test_stop_at_a_step_is_requested_from_there_on():
    stop = Stop(3)
    assert [stop.requested(step) for step in (0, 2, 3, 4)] == [False, False, True, True]
    assert [stop.steps_left(step) for step in (0, 2)] == [3, 1]


def test_stop_without_a_step_has_no_limit():
    assert Stop().steps_left(5) is None
    assert not Stop().requested(10**9)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_first_signal_is_a_request(number):
    stop, before = Stop(), signal.getsignal(number)
    with stop.handling_signals():
        os.kill(os.getpid(), number)
        assert stop.requested(0)
    assert stop.signal == number
    assert signal.getsignal(number) == before


def test_sighup_that_nohup_ignores_is_no_request():
    stop, before = Stop(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop.handling_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not stop.requested(0)


def test_second_sigint_ends_training_at_once():
    with pytest.raises(KeyboardInterrupt), Stop().handling_signals():
        send_twice()


def test_second_sigterm_waits_for_the_checkpoint():
    stop = Stop()
    with stop.handling_signals():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    assert not stop.immediately


def test_sigint_that_became_another_error_is_raised_as_keyboard_interrupt():
    def compute():
        """Turn the exception into another one, as TensorFlow may do it."""
        try:
            send_twice()
        except KeyboardInterrupt as error:
            raise TypeError from error

    with pytest.raises(KeyboardInterrupt), Stop().handling_signals():
        compute()


def test_other_errors_stay_what_they_are():
    with pytest.raises(ValueError, match="mine"), Stop().handling_signals():
        raise ValueError("mine")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (None, 0)])
def test_exit_status_is_that_of_the_signal(number, status):
    assert Stopped(1, 2, number).exit_status == status
