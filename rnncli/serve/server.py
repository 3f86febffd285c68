"""The server: a bound socket, an application, and an orderly end at a signal."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ipaddress
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from rnncli.errors import InputError, reason_of
from rnncli.runtime.signals import handled

MAX_CONNECTIONS = 900
"""Connections at a time; below the usual limit of open files."""
IDLE_SECONDS = 30
"""Time after which a connection without a request, or with a part of one, is closed."""
WRITE_SECONDS = 30
"""Time after which a connection is closed whose client takes nothing of a long answer."""
END_SECONDS = 30
"""Time that running requests have to end after a signal."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that has its address, but does not listen yet.

    Raises:
        InputError: The address cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except (OSError, UnicodeError) as error:
        hint = "choose another --port; 0 is any that is free" if getattr(error, "errno", None) == 98 else ""
        raise InputError(f"--host {host} --port {port}: cannot be used: {reason_of(error)}", hint) from error
    return bound


def is_loopback(host: str) -> bool:
    """Return True if only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url_of(bound: socket.socket, host: str) -> str:
    """Return the address at which a socket's server is reached."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{bound.getsockname()[1]}"


def allowed_hosts(host: str, names: tuple[str, ...]) -> list[str] | None:
    """Return the names that a Host header may have besides addresses such as 10.0.0.7; None is any.

    A page of another site can point a name of its own at this server (DNS rebinding), but not an address.

    Args:
        host: The address that is listened at.
        names: Further names; `*` is any.
    """
    if "*" in names:
        return None
    own = [] if is_loopback(host) else [socket.gethostname()]
    return ["localhost", host, *own, *names]


class Connection(H11Protocol):
    """A connection that is closed unless the head of a request arrives, and the answer is taken, in time.

    Uvicorn waits for the first request, for the rest of any, and for clients that read nothing, without end.
    """

    _deadline: asyncio.TimerHandle | None = None
    _write_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._await_request()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._await_request()

    def pause_writing(self) -> None:
        """Wait for the client to read."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        super().resume_writing()
        self._cancel(self._write_deadline)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        super().connection_lost(exc)
        self._cancel(self._deadline)
        self._cancel(self._write_deadline)

    def _await_reader(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._write_deadline = self.loop.call_later(WRITE_SECONDS, self._close_unless_read, left)

    def _close_unless_read(self, left: int) -> None:
        """Close the connection unless its client has read some of what was left."""
        if self.transport.get_write_buffer_size() < left:
            self._await_reader()
        else:
            self.transport.abort()

    @staticmethod
    def _cancel(deadline: asyncio.TimerHandle | None) -> None:
        if deadline is not None:
            deadline.cancel()

    def _await_request(self) -> None:
        self._cancel(self._deadline)
        self._deadline = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)

    def _close_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


class Server(uvicorn.Server):
    """A server that calls `started` once it listens, and ends at SIGTERM, SIGINT and SIGHUP after what runs.

    Args:
        app: The application.
        on_start: Called once it listens.
    """

    def __init__(self, app: Starlette, on_start: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http=Connection,
                ws="none",
                lifespan="on",
                log_level="error",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=IDLE_SECONDS,
                timeout_graceful_shutdown=END_SECONDS,
            )
        )
        self._on_start = on_start
        self._signals: list[int] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._on_start()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End at a signal, and handle it as before when what runs has ended; a second signal ends at once."""

        def end(number: int, _frame: FrameType | None) -> None:
            self.force_exit = bool(self._signals)
            self.should_exit = True
            self._signals.append(number)

        with handled(end):
            yield
        for number in self._signals[:1]:
            signal.raise_signal(number)

    def run_on(self, bound: socket.socket) -> None:
        """Serve until a signal.

        In a context of its own: messages for clients name options as JSON does, not as the command line.
        """
        contextvars.Context().run(asyncio.run, self.serve([bound]))
