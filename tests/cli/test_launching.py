"""Workers started on this machine: their signals, their ends and what is shown; small scripts stand for training."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from rnncli.cli import launching
from rnncli.runtime import lifeline

HEAD = "import json, os, signal, sys, time\nindex = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"


@pytest.fixture
def launch(monkeypatch, capfd):
    """Returns a function that runs a script in two workers; it returns the exit status and what was printed."""
    monkeypatch.setattr(launching, "ALIKE_SECONDS", 0.2)
    monkeypatch.setattr(launching, "LAST_SECONDS", 2.0)
    monkeypatch.setattr(launching, "LAST_SECONDS_OF_OTHERS", 1.0)

    def run(script, count=2):
        monkeypatch.setattr(launching, "COMMAND", (sys.executable, "-S", "-c", HEAD + script))
        status = launching.launch(count, ["a", "b"])
        return status, *capfd.readouterr()

    return run


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are divided on Linux only")
def test_workers_have_their_arguments_numbers_and_cores(launch):
    status, out, err = launch("print(index, sys.argv[1:], sorted(os.sched_getaffinity(0)) if index == 0 else '')")
    cores = sorted(os.sched_getaffinity(0))
    assert (status, out, err) == (0, f"0 ['a', 'b'] {cores[::2]}\n", "")


def test_all_have_the_same_addresses_on_loopback(launch):
    _, out, _ = launch("print(os.environ['TF_CONFIG'])", count=3)
    addresses = json.loads(out)["cluster"]["worker"]
    assert len(set(addresses)) == 3
    assert all(address.startswith("127.0.0.1:") for address in addresses)


def test_a_worker_that_fails_ends_the_others_and_its_message_is_shown(launch):
    status, _, err = launch(
        "if index: sys.exit('error: mine')\nsignal.signal(15, lambda *_: os._exit(143))\ntime.sleep(60)"
    )
    assert (status, err) == (1, "worker 1: error: mine\n")


def test_a_failure_of_all_is_shown_once(launch):
    status, _, err = launch("print('error: all', file=sys.stderr)\nsys.exit(2)")
    assert (status, err) == (2, "error: all\n")


def test_a_killed_worker_is_named_and_others_that_do_not_end_are_killed(launch):
    status, _, err = launch("if index: os.kill(os.getpid(), 9)\nsignal.signal(15, signal.SIG_IGN)\ntime.sleep(60)")
    assert status == 1
    assert err.startswith("error: worker 1 (127.0.0.1:")
    assert "was killed by SIGKILL\n" in err


def test_the_others_tell_of_a_killed_first_worker(launch):
    status, _, err = launch(
        "if not index:\n    time.sleep(1)\n    os.kill(os.getpid(), 9)\n"
        "signal.signal(15, signal.SIG_IGN)\ntime.sleep(1.2)\nsys.exit('error: worker 0 is gone')"
    )
    assert (status, err) == (1, "worker 1: error: worker 0 is gone\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_all_workers(launch, number):
    script = (
        "def end(number, frame):\n"
        "    print('told', file=sys.stderr)\n"
        "    sys.exit(128 + number)\n"
        f"signal.signal({int(number)}, end)\n"
        "time.sleep(60)\n"
    )
    timer = threading.Timer(0.7, os.kill, (os.getpid(), number))
    timer.start()
    status, _, err = launch(script)
    assert (status, err) == (128 + number, "told\n")


def test_workers_stop_when_the_process_that_started_them_is_gone(tmp_path):
    script = (
        "import os, signal, sys, time\n"
        "from rnncli.runtime.lifeline import watch_starter\n"
        "signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[1], 'w').close(), os._exit(0)))\n"
        "watch_starter()\n"
        "time.sleep(60)\n"
    )
    reader, writer = os.pipe()
    told = tmp_path / "told"
    environment = {**os.environ, lifeline.LIFELINE: str(reader)}
    command = [sys.executable, "-c", script, str(told)]
    with subprocess.Popen(command, env=environment, pass_fds=[reader]) as process:
        time.sleep(0.1)
        assert process.poll() is None
        os.close(reader)
        os.close(writer)
        process.wait(30)
    assert told.exists()
