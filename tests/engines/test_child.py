"""A process of `rnncli train` on a machine of a cluster; small scripts stand for training."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnncli.engines import child as children
from rnncli.engines.child import Child, Order, describe_end
from rnncli.errors import InputError
from rnncli.runs.lock import locked


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Returns a function that starts a script as training."""

    def run(script, begun=False, gpu=True, environment=os.environ, on_line=lambda _: None):
        monkeypatch.setattr(children, "COMMAND", (sys.executable, "-S", "-c", f"import os, sys, time\n{script}"))
        return Child(Order(Path("run"), tmp_path, ("begin",), ("resume",), gpu), begun, environment, on_line)

    return run


@pytest.mark.parametrize(("begun", "arguments"), [(False, "['begin']"), (True, "['resume']")])
def test_child_runs_in_the_directory_and_its_lines_are_handed_on(start, tmp_path, begun, arguments):
    lines = []
    child = start("print(sys.argv[1:], os.getcwd(), file=sys.stderr)\nsys.exit(3)", begun, on_line=lines.append)
    assert child.wait() == 3
    assert lines == child.lines == [f"{arguments} {tmp_path}"]


@pytest.mark.parametrize(("gpu", "expected"), [(True, "None 4"), (False, "None ")])
def test_child_has_no_thread_limit_of_rays_and_sees_gpus_only_if_it_has_one(start, gpu, expected):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "4"}
    child = start(
        "print(os.environ.get('OMP_NUM_THREADS'), os.environ['CUDA_VISIBLE_DEVICES'], file=sys.stderr)",
        gpu=gpu,
        environment=environment,
    )
    child.wait()
    assert child.lines == [expected]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_child_gets_signals_that_rays_processes_block(start, number):
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        child = start(
            "import signal\nsignal.signal(2, signal.SIG_DFL)\nprint(file=sys.stderr, flush=True)\ntime.sleep(60)"
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    while not child.lines:
        time.sleep(0.01)
    assert child.wait(0.01) is None
    child.send(number)
    assert child.wait() == -number


def test_child_notices_that_its_starter_was_killed(tmp_path):
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from rnncli.engines import child\n"
        'read = \'import os; os.read(int(os.environ["RNNCLI_LIFELINE"]), 1); open("gone", "w").close()\'\n'
        "child.COMMAND = (sys.executable, '-S', '-c', read)\n"
        "child.Child(child.Order(Path('run'), Path.cwd(), (), (), False), False, os.environ)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=False)
    until = time.monotonic() + 30
    while not (tmp_path / "gone").exists():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_directory_that_a_machine_does_not_have_is_refused(tmp_path):
    with pytest.raises(InputError, match="elsewhere: not on the machine"):
        Child(Order(Path("run"), tmp_path / "elsewhere", (), (), False), False, os.environ)


def test_run_is_resumed_if_it_has_been_begun_and_nobody_trains_there(tmp_path, monkeypatch):
    monkeypatch.setattr(children, "UNLOCK_SECONDS", 0.1)
    monkeypatch.setattr(children, "LOOK_SECONDS", 0.01)
    order = Order(Path("run"), tmp_path, (), (), False)
    assert not order.is_begun()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "manifest.json").write_text("{}")
    assert not order.is_begun()
    assert not list((tmp_path / "run").iterdir()), "a killed training left it"
    (tmp_path / "run" / "config.yaml").write_text("")
    assert order.is_begun()
    with locked(tmp_path / "run"):
        began = time.monotonic()
        assert order.is_begun()
        assert time.monotonic() >= began + 0.1


@pytest.mark.parametrize(
    ("status", "lines", "expected"),
    [
        (-9, ["error: x"], "was killed by SIGKILL"),
        (1, ["error: the disk is full", "  hint: x"], "failed: the disk is full"),
        (1, ["Traceback"], "ended with status 1"),
    ],
)
def test_end_is_described(status, lines, expected):
    assert describe_end(status, lines) == expected
