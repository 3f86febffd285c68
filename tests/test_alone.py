"""Functions in a process of their own."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from rnncli import runtime
from rnncli.cli.alone import alone
from rnncli.errors import InputError, RunFailedError

ROOT = Path(__file__).parent.parent


def facts():
    return os.getpid(), runtime.own_process, "tensorflow" in sys.modules


def refuse():
    raise InputError("no", "do this")


def end_by(number):
    os.kill(os.getpid(), number)


def test_it_returns_what_the_function_does_in_another_process():
    process, own, tensorflow = alone(facts)
    assert process != os.getpid()
    assert own
    assert not tensorflow, "its threads could no longer be chosen"


def test_what_it_raises_comes_with_its_hint():
    with pytest.raises(InputError, match="no") as caught:
        alone(refuse)
    assert caught.value.hint == "do this"


def test_a_process_that_was_killed_is_told():
    with pytest.raises(RunFailedError, match=f"was ended by signal {int(signal.SIGKILL)}$"):
        alone(partial(end_by, signal.SIGKILL))


def test_it_may_be_called_in_any_thread():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(alone, os.getpid).result() != os.getpid()


@pytest.mark.parametrize(
    ("number", "status", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_comparison_that_is_interrupted_leaves_no_process_and_no_traceback(tmp_path, number, status, said):
    config = tmp_path / "c.yaml"
    config.write_text("{task: {type: addition, digits: 1, examples: 55, held_out: 9}, model: repeat_vector}")
    command = [sys.executable, "-m", "rnncli", "bench", str(config), "--compare", "fused,generic", "--seconds", "60"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not (children := spawned_by(process.pid)):
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(0.5)
    os.killpg(process.pid, number)  # as a terminal does it
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err.strip()) == (status, "", said)
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def spawned_by(process):
    """Processes that compute for it, which are begun by `multiprocessing.spawn`."""
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return [child for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]
    except FileNotFoundError:
        return []
