"""Workers that wait for others: a silent one ends them after `runtime.worker_timeout`, with one line."""

import socket
import subprocess
import sys

import pytest

from rnncli.cluster.layout import Cluster
from rnncli.runtime.workers import Workers

WAIT = """
import sys, time
from rnncli.cluster.layout import Cluster
from rnncli.runtime.workers import Workers
workers = Workers(Cluster(tuple(sys.argv[1:]), 0, "test"), timeout=0.2)
workers.reached, workers.resume = 7, "resume with: rnncli train --resume run"
with workers.waiting():
    pass
time.sleep(0.5)  # nobody is waited for
with workers._watch.paused(), workers.waiting():
    time.sleep(0.5)
print("waiting", flush=True)
with workers.waiting():
    time.sleep(30)
print("waited in vain")
"""


@pytest.fixture
def other():
    """A socket that listens, as that of a stopped process does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.parametrize("gone", [False, True], ids=["silent", "gone"])
def test_waiting_longer_than_the_timeout_ends_the_process_with_one_line(other, gone):
    address = f"127.0.0.1:{other.getsockname()[1]}"
    if gone:
        other.close()
    done = subprocess.run(
        [sys.executable, "-c", WAIT, "127.0.0.1:1", address], capture_output=True, text=True, timeout=25
    )
    assert (done.returncode, done.stdout) == (1, "waiting\n")
    who = f"worker 1 ({address}) is" if gone else "another worker than worker 0 (127.0.0.1:1) is"
    assert done.stderr.splitlines() == [
        f"error: {who} gone or silent after step 7 (runtime.worker_timeout: 0.2 s)",
        "  hint: resume with: rnncli train --resume run",
    ]


def test_the_silent_one_is_named_by_tensorflow_where_all_listen(other):
    address = f"127.0.0.1:{other.getsockname()[1]}"
    workers = Workers(Cluster((address,) * 3, 1, "test"))
    text = "The following tasks are unhealthy (stopped sending heartbeats):\n/job:worker/replica:0/task:2"
    assert workers.describe_lost(text) == f"worker 2 ({address}) is gone or silent"
    assert workers.describe_lost("RPC: /tensorflow.CoordinationService/Heartbeat").startswith("worker 0 ")
