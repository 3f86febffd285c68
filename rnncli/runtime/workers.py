"""TensorFlow's connection of the processes that train together: sums over all of them, and who is gone.

`MultiWorkerMirroredStrategy` is constructed for what its constructor does: servers (gRPC), heartbeats, rings over
TCP, NCCL between GPUs. No variable is made under its scope, and nothing runs by `strategy.run`, neither of which
Keras 3 supports. So Keras sees one process with plain variables.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.cluster.layout import ALONE, Cluster, split_address
from rnncli.errors import RunFailedError

GROUP = 1_000_000
"""Key of the group of all workers' CPUs; that of their GPUs follows. The strategy's own count from 1."""
FIRST_TOTAL = 2_000_000
"""Key of the first sum that Python asks for; sums in a `tf.function` have smaller ones."""

CONNECT_SECONDS = 120.0
"""Time that TensorFlow may take to connect workers that have just met."""
NO_PROXY = "no_grpc_proxy"
"""Environment variable with the hosts that gRPC reaches without a proxy."""
PROBE_SECONDS = 1.0
"""Time in which a machine answers that a port is closed."""

LOST = (
    "UnavailableError",
    "DeadlineExceededError",
    "AbortedError",
    "CancelledError",
    "InternalError",
    "UnknownError",
)
"""TensorFlow's errors when a worker is gone; some of them mean other things too."""
LOST_WORDS = (
    "ollective",
    "recvmsg",
    "Socket closed",
    "onnection",
    "heartbeat",
    "oordination",
    "RPC",
    "failed to connect",
)

_TASK = re.compile(r"/job:worker(?:/replica:\d+)?/task:(\d+)")


class Workers:
    """The workers of a run; of one alone, sums are its own values, and nothing is sent.

    Args:
        cluster: Who they are.
        timeout: Seconds to wait for the others' part of a sum.

    Attributes:
        cluster: Who they are.
        reached: The step that is done, for messages.
        resume: What to do after a failure, for messages.
    """

    def __init__(self, cluster: Cluster = ALONE, timeout: float = 600.0) -> None:
        self.cluster, self.timeout = cluster, timeout
        self.reached, self.resume = 0, ""
        self._totals: dict[Any, Any] = {}
        self._group, self._token, self._watch = GROUP, None, _Watch(self)

    @property
    def count(self) -> int:
        """The number of workers."""
        return self.cluster.count

    @property
    def index(self) -> int:
        """The number of this worker, from 0."""
        return self.cluster.index

    @property
    def leads(self) -> bool:
        """True if this is the first worker, which alone writes."""
        return self.cluster.leads

    def connect(self, gpu: bool) -> None:
        """Make TensorFlow's cluster; before anything is computed.

        Args:
            gpu: Whether the sums of training are of values on a GPU.

        Raises:
            RunFailedError: A server cannot be started, or workers have other devices.
        """
        import tensorflow as tf

        _bypass_proxies(self.cluster)
        resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
            tf.train.ClusterSpec({"worker": list(self.cluster.addresses)}),
            task_type="worker",
            task_id=self.index,
            num_accelerators={"GPU": 1} if gpu else {},
            rpc_layer="grpc",
        )
        lost = f"TensorFlow cannot connect {self.count} workers that have met: one of them has ended since"
        try:
            with _limited(CONNECT_SECONDS, f"{lost}, or a firewall is between them"):
                self._strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
                with tf.device("/CPU:0"):
                    self._cpu_token = tf.Variable(0.0)  # orders the sums of a worker
                gpus = int(self.total(np.array([gpu], np.int32))[0])
        except tf.errors.OpError as error:
            raise RunFailedError(f"{lost}: {str(error).splitlines()[0][:200]}") from error
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))  # TensorFlow has put its own over it
        if gpus not in (0, self.count):
            raise RunFailedError(
                f"{gpus} of {self.count} workers have a GPU", "use --device cpu, or machines of the same kind"
            )
        if gpu:
            with tf.device("/GPU:0"):
                self._token, self._group = tf.Variable(0.0), GROUP + 1
        else:
            self._token = self._cpu_token

    def sum(self, values: Any, key: int) -> Any:
        """Return the sum over the workers, within a `tf.function`.

        Args:
            values: A tensor of the same shape in all workers.
            key: Sums of other shapes have other keys.
        """
        return values if self.count == 1 else self._reduce(values, key, self._group, self._token)

    def _reduce(self, values: Any, key: int, group: int, token: Any) -> Any:
        import tensorflow as tf

        return tf.raw_ops.CollectiveReduceV2(
            input=values,
            group_size=tf.constant(self.count),
            group_key=tf.constant(group),
            instance_key=tf.constant(key),
            ordering_token=[token.handle],
            merge_op="Add",
            final_op="Id",
            communication_hint="auto",
        )

    def total(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the sum over the workers of an array of the same shape and dtype in all; called between steps."""
        if self.count == 1:
            return values
        import tensorflow as tf

        form = (values.shape, values.dtype)
        if form not in self._totals:  # in the same order everywhere, so that the keys are the same
            key = FIRST_TOTAL + len(self._totals)

            def reduce(own: Any) -> Any:
                with tf.device("/CPU:0"):
                    return self._reduce(own, key, GROUP, self._cpu_token)

            self._totals[form] = tf.function(reduce, autograph=False)
        with self.waiting(), tf.device("/CPU:0"):
            total: NDArray[Any] = self._totals[form](tf.constant(values)).numpy()
        return total

    def share(self, data: bytes) -> bytes:
        """Return what the first worker gives; the others' is ignored."""
        if self.count == 1:
            return data
        mine = data if self.leads else b""
        size = int(self.total(np.array([len(mine)], np.int64))[0])
        padded = np.zeros(-(-size // 4), np.int32)
        padded.view(np.uint8)[: len(mine)] = np.frombuffer(mine, np.uint8)
        return self.total(padded).tobytes()[:size]

    def finish(self) -> None:
        """Wait for all others; one that ended before would be a failure to them."""
        if self.count > 1:
            with self._watch.paused():  # the first one may have much to do at the end
                self.total(np.zeros(1, np.int32))

    def waiting(self) -> contextlib.AbstractContextManager[None]:
        """Limit the time that the block may wait for other workers; the process ends where it takes longer."""
        return self._watch if self.count > 1 else contextlib.nullcontext()

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Explain a failed sum: which worker is gone, and what to do.

        Raises:
            RunFailedError: In place of TensorFlow's error.
        """
        try:
            yield
        except Exception as error:
            if self.count == 1 or not _means_lost(error):
                raise
            message = f"{self.describe_lost(str(error))} after step {self.reached}"
            raise RunFailedError(message, self.resume) from error

    def describe_lost(self, text: str) -> str:
        """Return which workers are gone, in words.

        Args:
            text: TensorFlow's message, which names the one that is silent.
        """
        gone = [i for i in range(self.count) if i != self.index and not _listens(self.cluster.addresses[i])]
        _, _, unhealthy = text.partition("unhealthy")
        gone = gone or [int(number) for number in _TASK.findall(unhealthy) if int(number) < self.count][:1]
        if not gone and self.index and "CoordinationService" in text:  # which the first worker has
            gone = [0]
        if not gone:
            return f"another worker than {self.cluster.name(self.index)} is gone or silent"
        names = " and ".join(self.cluster.name(i) for i in gone)
        return f"{names} {'is' if len(gone) == 1 else 'are'} gone or silent"


class _Watch:
    """Ends the process, with a message, if a block takes too long; TensorFlow's waiting cannot be interrupted."""

    def __init__(self, workers: Workers) -> None:
        self._workers, self._until, self._paused = workers, 0.0, False
        self._thread: threading.Thread | None = None

    def __enter__(self) -> None:
        self._until = time.monotonic() + self._workers.timeout
        if self._thread is None and not self._paused:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._until = 0.0

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def _run(self) -> None:
        while True:
            time.sleep(min(1.0, self._workers.timeout / 4))
            until = self._until
            if until and time.monotonic() > until and not self._paused:
                break
        workers = self._workers
        who = workers.describe_lost("")
        hint = f"\n  hint: {workers.resume}" if workers.resume else ""
        limit = f"runtime.worker_timeout: {workers.timeout:g} s"
        with contextlib.suppress(OSError):
            os.write(2, f"error: {who} after step {workers.reached} ({limit}){hint}\n".encode())
        os._exit(1)


def _means_lost(error: Exception) -> bool:
    text = str(error)
    return type(error).__name__ in LOST and any(words in text for words in LOST_WORDS)


def _listens(address: str) -> bool:
    """Return True if something listens at an address."""
    try:
        with socket.create_connection(split_address(address), timeout=PROBE_SECONDS):
            return True
    except OSError:
        return False


def _bypass_proxies(cluster: Cluster) -> None:
    """Let gRPC reach the workers directly, which would use the proxy of `http_proxy` for them."""
    hosts = dict.fromkeys(split_address(address)[0] for address in cluster.addresses)
    before = os.environ.get(NO_PROXY) or os.environ.get("no_proxy", "")
    os.environ[NO_PROXY] = ",".join([before, *hosts] if before else hosts)


_TELL = "import sys\nif sys.stdin.buffer.read(): sys.stderr.write(sys.argv[1])"
"""Prints a message if there is any input."""


@contextlib.contextmanager
def _limited(seconds: float, message: str) -> Iterator[None]:
    """End the process, with a message, if the block takes longer, though it may hold Python's lock all the time.

    Only faulthandler's thread can do that, and it writes where each thread is. So it writes into a process that
    prints the message instead.
    """
    teller = subprocess.Popen(  # noqa: S603 (Python itself)
        [sys.executable, "-P", "-S", "-E", "-c", _TELL, f"error: {message}\n"], stdin=subprocess.PIPE
    )
    assert teller.stdin is not None
    faulthandler.dump_traceback_later(seconds, exit=True, file=teller.stdin)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        teller.stdin.close()
        teller.wait()
