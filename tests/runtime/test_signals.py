"""Signals that end a process."""

import os
import signal

import pytest

from rnncli.runtime.signals import postponed, signal_name


def test_signals_are_handled_after_a_postponed_context():
    done = []
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 (the order is what is tested)
        with postponed():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("all of it")
        done.append("not reached")
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_signals_are_handled_where_a_postponed_context_fails():
    with pytest.raises(KeyboardInterrupt), postponed():  # noqa: PT012 (so does this)
        os.kill(os.getpid(), signal.SIGINT)
        raise ValueError


def test_signals_are_named_also_where_they_have_no_name():
    assert signal_name(signal.SIGKILL) == "SIGKILL"
    assert signal_name(signal.SIGRTMIN + 2) == f"signal {signal.SIGRTMIN + 2}"
