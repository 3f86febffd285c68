"""The meeting of all workers before TensorFlow connects them, by plain sockets at the address of the first one.

TensorFlow's own waiting cannot be interrupted, and does not say for whom it waits. So workers meet first: each one
tells the first what it has (versions, digests of config, data and vocabulary), as a line of JSON, and is told what is
wrong, or that all are there. The port is free again afterwards, for TensorFlow.
"""

from __future__ import annotations

import contextlib
import errno
import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rnncli.cluster.layout import Cluster, split_address
from rnncli.errors import RunFailedError, reason_of
from rnncli.text import shorten

MAX_BYTES = 2**20
"""Bytes of a line; a worker's has some thousand."""
SECONDS_OF_A_LINE = 2.0
"""Time to send a line in, after which somebody else has knocked."""
RETRY_SECONDS, NOTICE_SECONDS = 0.1, 10.0
MAX_DIFFERENCES = 5

Facts = Mapping[str, str]
"""Facts that all workers must have alike, by a name for messages."""

WHEN_MISSING = (
    "see the messages of those that are missing; start all workers within --start-timeout, and check that they can "
    "reach each other at the addresses given"
)


def meet(cluster: Cluster, facts: Facts, seconds: float, note: Callable[[str], None]) -> None:
    """Wait until every worker is there, with the same facts.

    Args:
        cluster: The workers.
        facts: What this one has.
        seconds: How long to wait.
        note: Is told, once, who is missing after a while.

    Raises:
        RunFailedError: A worker is missing, or has something else; an address cannot be used.
    """
    until = time.monotonic() + seconds
    with _listen(cluster, until) as server:
        if cluster.leads:
            _Meeting(cluster, facts, until, seconds, note).hold(server)
            return
    _attend(cluster, facts, until, seconds)


class _Meeting:
    """The meeting, as the first worker holds it; the arguments are those of `meet`."""

    def __init__(
        self, cluster: Cluster, facts: Facts, until: float, seconds: float, note: Callable[[str], None]
    ) -> None:
        self.cluster, self.facts, self.until, self.seconds, self.note = cluster, facts, until, seconds, note
        self.here: dict[int, socket.socket] = {}
        self.notice_at = time.monotonic() + NOTICE_SECONDS
        self.hint = ""

    def hold(self, server: socket.socket) -> None:
        """Wait for the others, and tell all of them how it ended."""
        problem = None
        try:
            while problem is None and len(self.here) < self.cluster.count - 1:
                problem = self._receive(server)
                if len(self.here) == self.cluster.count - 1:
                    self._forget_gone()
            answer = (json.dumps({"error": problem}) + "\n").encode()
            for connection in self.here.values():
                with contextlib.suppress(OSError):
                    connection.sendall(answer)
        finally:
            for connection in self.here.values():
                connection.close()
        if problem is not None:
            raise RunFailedError(problem, self.hint)

    def _receive(self, server: socket.socket) -> str | None:
        """Wait a while for a worker; returns a problem that ends the meeting, or None."""
        left = self.until - time.monotonic()
        if left <= 0:
            self.hint = WHEN_MISSING
            return f"after {self.seconds:g} s {self._missing()}"
        if time.monotonic() >= self.notice_at:
            self.note(f"waiting for workers: {self._missing()}")
            self.notice_at = self.until
        server.settimeout(min(left, 1.0))
        try:
            connection, _ = server.accept()
        except TimeoutError:
            return None
        found = _hello(connection, self.cluster)
        if found is None:  # somebody else knocked
            connection.close()
            return None
        number, theirs = found
        self._forget_gone()
        if number in self.here:
            connection.close()
            return f"two processes say that they are {self.cluster.name(number)}"
        self.here[number] = connection
        return differences(self.facts, theirs, self.cluster.name(number))

    def _missing(self) -> str:
        names = [self.cluster.name(i) for i in range(1, self.cluster.count) if i not in self.here]
        return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} not there"

    def _forget_gone(self) -> None:
        """Forget workers that came and have ended since."""
        for number, connection in list(self.here.items()):
            connection.settimeout(0)
            try:
                gone = connection.recv(1, socket.MSG_PEEK) == b""
            except BlockingIOError:
                gone = False
            except OSError:
                gone = True
            connection.settimeout(SECONDS_OF_A_LINE)
            if gone:
                self.here.pop(number).close()


def differences(own: Facts, theirs: Facts, name: str) -> str | None:
    """Return in words what two workers have not alike; None if there is nothing.

    Args:
        own: The facts of the first worker.
        theirs: Those of another one.
        name: The other one's name.
    """
    keys = [key for key in dict.fromkeys([*own, *theirs]) if own.get(key) != theirs.get(key)]
    shown = [
        f"{key} is {shorten(own.get(key, 'absent'))} on worker 0 and {shorten(theirs.get(key, 'absent'))} on {name}"
        for key in keys[:MAX_DIFFERENCES]
    ]
    more = f"; and {len(keys) - MAX_DIFFERENCES} more" if len(keys) > MAX_DIFFERENCES else ""
    return f"{'; '.join(shown)}{more}" if keys else None


def _hello(connection: socket.socket, cluster: Cluster) -> tuple[int, dict[str, str]] | None:
    """Return the number and the facts that a worker tells; None if it is none."""
    with contextlib.suppress(ValueError, KeyError, TypeError, OSError, RecursionError):
        said = json.loads(_read_line(connection, time.monotonic() + SECONDS_OF_A_LINE))
        number, facts = said["worker"], said["facts"]
        if isinstance(number, int) and 0 < number < cluster.count and isinstance(facts, dict):
            return number, {str(key): str(value) for key, value in facts.items()}
    return None


def _read_line(connection: socket.socket, until: float) -> bytes:
    """Return a line without its end; empty if the other side closes before.

    Raises:
        TimeoutError: It takes too long.
        ValueError: It is too long.
    """
    received = b""
    while not received.endswith(b"\n"):
        connection.settimeout(max(0.01, until - time.monotonic()))
        more = connection.recv(2**16)
        received += more
        if not more:
            return b""
        if len(received) > MAX_BYTES:
            raise ValueError("too long")
        if time.monotonic() > until:
            raise TimeoutError
    return received[:-1]


def _attend(cluster: Cluster, facts: Facts, until: float, seconds: float) -> None:
    """Tell the first worker what this one has, and wait for its answer."""
    host, port = split_address(cluster.addresses[0])
    message = (json.dumps({"worker": cluster.index, "facts": dict(facts)}) + "\n").encode()
    problem = "is not there"
    while time.monotonic() < until:
        try:
            with socket.create_connection((host, port), timeout=max(0.01, until - time.monotonic())) as connection:
                connection.sendall(message)
                answer = _read_line(connection, until + SECONDS_OF_A_LINE)  # it waits as long, and then says why
            if answer:
                _heed(answer)
                return
            problem = "came and has ended since"
        except socket.gaierror as error:
            problem = f"does not resolve: {reason_of(error)}"
        except (OSError, ValueError, KeyError, TypeError):  # not yet there, or somebody else is
            problem = "is not there"
        time.sleep(RETRY_SECONDS)
    raise RunFailedError(f"after {seconds:g} s {cluster.name(0)} {problem}", WHEN_MISSING)


def _heed(answer: bytes) -> None:
    error: Any = json.loads(answer)["error"]
    if error is not None:
        raise RunFailedError(shorten(str(error), 1000))


@contextlib.contextmanager
def _listen(cluster: Cluster, until: float) -> Any:
    """Listen at this worker's own address, which TensorFlow will use."""
    host, port = split_address(cluster.addresses[cluster.index])
    name = cluster.name(cluster.index)
    while True:
        try:
            family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            server = socket.create_server(place[:2], family=family, backlog=cluster.count)
            break
        except socket.gaierror as error:  # of a pod, names are there some seconds after it
            if time.monotonic() >= until:
                raise RunFailedError(f"{name}: its address does not resolve: {reason_of(error)}") from error
            time.sleep(RETRY_SECONDS)
        except OSError as error:
            hints = {
                errno.EADDRINUSE: "name another port, or end the process that has it",
                errno.EADDRNOTAVAIL: "each worker needs an address of its own machine, and its own number",
            }
            reason = reason_of(error)
            raise RunFailedError(f"{name}: cannot listen there: {reason}", hints.get(error.errno or 0, "")) from error
    with server:
        yield server


def free_addresses(count: int) -> Sequence[str]:
    """Return addresses with free ports on the loopback interface."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [f"127.0.0.1:{server.getsockname()[1]}" for server in servers]
