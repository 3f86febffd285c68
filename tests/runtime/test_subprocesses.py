"""Functions in a process of their own."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from rnncli.errors import InputError, RunFailedError
from rnncli.runtime import tensorflow_setup as runtime
from rnncli.runtime.subprocesses import alone

ROOT = Path(__file__).parents[2]


def facts():
    return os.getpid(), runtime.own_process, "tensorflow" in sys.modules


def refuse():
    raise InputError("no", "do this")


def end_by(number):
    os.kill(os.getpid(), number)


def test_it_returns_what_the_function_does_in_another_process():
    process, own, tensorflow = alone(facts, "it")
    assert process != os.getpid()
    assert own
    assert not tensorflow, "its threads could no longer be chosen"


def test_what_it_raises_comes_with_its_hint():
    with pytest.raises(InputError, match="no") as caught:
        alone(refuse, "it")
    assert caught.value.hint == "do this"


def test_a_process_that_was_killed_is_told():
    with pytest.raises(RunFailedError, match=f"^it: its process ended by signal {int(signal.SIGKILL)}$"):
        alone(partial(end_by, signal.SIGKILL), "it")


def test_it_may_be_called_in_any_thread():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(alone, os.getpid, "it").result() != os.getpid()


def fail():
    raise KeyError("what is not there")


def out_of_memory():
    raise MemoryError


def test_what_nobody_expected_is_told_with_its_traceback():
    with pytest.raises(RuntimeError, match=r"in fail\n.*what is not there"):
        alone(fail, "it")
    with pytest.raises(RunFailedError, match="out of memory"):
        alone(out_of_memory, "it")


@dataclass
class EndsProcess:
    """Ends the process that unpickles it, before that has read all."""

    more: bytes = bytes(2**22)

    def __reduce__(self):
        return (os._exit, (3,), None, iter([self.more]))

    def __call__(self):
        """Never comes so far."""


def test_a_process_that_ends_before_it_knows_what_to_do_is_told():
    with pytest.raises(RunFailedError, match=r"^it: its process ended with status 3$"):
        alone(EndsProcess(), "it")


CONFIG = "{task: {type: addition, digits: 3, examples: 50000, held_out: 9}, model: repeat_vector}"


@pytest.fixture
def compare(tmp_path):
    """Begins a comparison of kernels, and waits for the process of the first one; gives both."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    command = [sys.executable, "-m", "rnncli", "bench", str(tmp_path / "c.yaml"), "--compare", "fused,generic"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, **pipes)
    try:
        while not (children := spawned_by(process.pid)):
            assert process.poll() is None
            time.sleep(0.005)
        yield process, children[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("later", [0, 0.1, 1])
@pytest.mark.parametrize(
    ("number", "status", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_comparison_that_is_interrupted_leaves_no_process_and_no_traceback(compare, later, number, status, said):
    process, child = compare
    time.sleep(later)
    os.killpg(process.pid, number)  # as a terminal does it
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.strip()) == (status, "", said)
    assert not Path(f"/proc/{child}").exists()


def test_a_kernels_process_ends_with_the_one_that_began_it(compare):
    process, _ = compare
    time.sleep(0.5)
    process.kill()
    _, err = process.communicate(timeout=30)  # which is at an end when no process has the pipe any more
    assert "Traceback" not in err


def spawned_by(process):
    """Processes that compute for it, which are begun by `multiprocessing.spawn`."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return [child for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]
    except FileNotFoundError:
        return []
