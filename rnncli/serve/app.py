"""The web application: JSON over HTTP. Reads requests within limits, has them computed, and explains every error.

No answer allows another origin (CORS), nothing is written, and nothing of the file system is told. A body must say
that it is JSON, so that a page of another origin cannot send one without asking. The Host header must have an address
or a name of this server, so that a name that an attacker points at it (DNS rebinding) gets no answer.
"""

from __future__ import annotations

import asyncio
import ipaddress
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from rnncli._version import __version__
from rnncli.errors import MEMORY_HINT, InputError, RnncliError, is_out_of_memory
from rnncli.serve import requests as bodies
from rnncli.serve.batching import Batcher, QueueFullError
from rnncli.serve.openapi import Operation, describe
from rnncli.serve.served_run import ServedRun, Work
from rnncli.text import printable, quote, shorten, summarize_error

JSON = "application/json"
BODY_SECONDS = 30.0
"""Time in which a body must arrive."""
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Endpoint(NamedTuple):
    """An operation that clients call by POST.

    Attributes:
        body: The class of its requests.
        answer: That of its answers.
        work: Returns the work of a request, given the run and the request.
        summary: What it does, in a line.
    """

    body: type[bodies.Body]
    answer: type[BaseModel]
    work: Callable[[Any, Any], Work]
    summary: str


class Answers(Protocol):
    """A run that requests are about: a `ServedRun`, or what `rnncli explore` looks into.

    Attributes:
        name: Its name in requests.
    """

    @property
    def name(self) -> str:
        """Return the name."""

    def info(self) -> dict[str, Any]:
        """Return what the run is."""


ENDPOINTS = {
    "predict": Endpoint(
        bodies.PredictRequest, bodies.PredictAnswer, ServedRun.predict, "Predict the targets of sources."
    ),
    "encode": Endpoint(
        bodies.EncodeRequest, bodies.EncodeAnswer, ServedRun.encode, "Read sources; return the states."
    ),
    "step": Endpoint(bodies.StepRequest, bodies.StepAnswer, ServedRun.step, "Read one time step from given states."),
    "states": Endpoint(
        bodies.StatesRequest, bodies.StatesAnswer, ServedRun.states, "Return every state after every step."
    ),
    "generate": Endpoint(
        bodies.GenerateRequest, bodies.GenerateAnswer, ServedRun.generate, "Write text with a language model."
    ),
}
"""The operations by the last part of their path, `/api/NAME`."""

_STATUS_WORDS = {
    404: ("there is nothing at this path", "/api/openapi.json lists the paths"),
    405: ("this path has no such method", "/api/openapi.json lists the methods"),
}


@dataclass(frozen=True)
class Limits:
    """Limits on what clients may send.

    Attributes:
        body: Bytes of a body.
        queue: Requests that wait.
        batch: Sources that are predicted together.
    """

    body: int = 2**20
    queue: int = 256
    batch: int = 192


class ProblemError(Exception):
    """An answer that is an error.

    Args:
        status: The HTTP status.
        message: What is wrong.
        hint: What to do about it.
    """

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.hint = status, message, hint


def answer_json(content: object, status: int = 200, more: Mapping[str, str] | None = None) -> Response:
    """Return a response; arrays of NumPy are lists in it."""
    data = orjson.dumps(content, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(data, status, {**HEADERS, **(more or {})}, JSON)


def _plain(value: Any) -> object:
    return value.tolist()  # arrays that are not contiguous


def make_app(
    runs: Sequence[Answers],
    limits: Limits,
    hosts: Sequence[str] | None = None,
    endpoints: Mapping[str, Endpoint] = ENDPOINTS,
    pages: Mapping[str, Response] | None = None,
) -> Starlette:
    """Return the application.

    Args:
        runs: The runs by which it answers; the first is the default.
        limits: The limits.
        hosts: Names that the Host header may have besides addresses; None is any.
        endpoints: The operations by the last part of their path.
        pages: Pages by their paths; None is none.
    """
    batcher = Batcher(limits.queue, limits.batch)
    served = {run.name: run for run in runs}
    about = {
        "rnncli": __version__,
        "default": runs[0].name,
        "runs": {name: run.info() for name, run in served.items()},
        "limits": {
            "body_bytes": limits.body,
            "waiting_requests": limits.queue,
            "sources": bodies.MAX_SOURCES,
            "decoded_steps": bodies.MAX_DECODED,
            "numbers": bodies.MAX_NUMBERS,
        },
    }
    description = answer_json(
        describe({name: Operation(each.body, each.answer, each.summary) for name, each in endpoints.items()})
    )
    info = answer_json(about)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        computing = asyncio.create_task(batcher.run())
        try:
            yield
        finally:
            computing.cancel()

    def route(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def handle(request: Request) -> Response:
            body = bodies.parse_body(endpoint.body, await read_json(request, limits.body))
            return answer_json(await batcher.submit(endpoint.work(_chosen(served, body.run), body)))

        return _explaining(handle)

    routes = [Route(f"/api/{name}", route(each), methods=["POST"]) for name, each in endpoints.items()]
    fixed = {"/api/info": info, "/api/openapi.json": description, **(pages or {})}
    routes += [Route(path, _fixed(response), methods=["GET"]) for path, response in fixed.items()]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _explain_status})
    app.add_middleware(HostCheck, hosts=hosts)
    return app


def _fixed(response: Response) -> Callable[[Request], Awaitable[Response]]:
    async def handle(_request: Request) -> Response:
        return response

    return handle


def _chosen(runs: Mapping[str, Answers], name: str | None) -> Answers:
    if name is None:
        return next(iter(runs.values()))
    if name not in runs:
        raise ProblemError(404, f"run: {quote(name)} is not served", f"the runs are {', '.join(runs)}")
    return runs[name]


async def read_json(request: Request, max_bytes: int) -> object:
    """Return what the body of a request says.

    Raises:
        ProblemError: It is too long, too slow, or not JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        raise ProblemError(415, f"the content type is {quote(kind)}", f"send Content-Type: {JSON}")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            data = await _read_body(request, max_bytes)
    except TimeoutError:
        raise ProblemError(408, f"the body did not arrive within {BODY_SECONDS:.0f} seconds") from None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise ProblemError(400, f"the body is not JSON: {shorten(str(error), 200)}", "send UTF-8 text") from None


async def _read_body(request: Request, max_bytes: int) -> bytes:
    said = request.headers.get("content-length", "")
    too_long = ProblemError(413, f"the body is longer than {max_bytes:,} bytes", "send several requests")
    if said.isdecimal() and int(said) > max_bytes:
        raise too_long
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > max_bytes:
            raise too_long
    return bytes(data)


def _explaining(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Return a handler whose errors are answers."""

    async def explained(request: Request) -> Response:
        try:
            return await handle(request)
        except ProblemError as error:
            more = {"connection": "close"} if error.status in (408, 413) else {}  # what is left of the body
            return _problem(error.status, error.message, error.hint, more)
        except QueueFullError:
            return _problem(503, "too many requests wait", "try again later", {"retry-after": "1"})
        except ClientDisconnect:
            return _problem(400, "the body did not arrive")
        except InputError as error:
            return _problem(422, error.message, error.hint)
        except RnncliError as error:
            return _problem(500, error.message, error.hint)
        except Exception as error:
            if is_out_of_memory(error):
                return _problem(500, "out of memory", MEMORY_HINT)
            print(printable(f"{request.url.path}: {summarize_error(error)}"), file=sys.stderr)
            return _problem(500, "an error of the server, which it has printed")

    return explained


def _problem(status: int, message: str, hint: str = "", more: Mapping[str, str] | None = None) -> Response:
    return answer_json({"error": message, **({"hint": hint} if hint else {})}, status, more)


async def _explain_status(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message, hint = _STATUS_WORDS.get(error.status_code, (error.detail, ""))
    return _problem(error.status_code, message, hint, error.headers)


class HostCheck:
    """Refuses requests whose Host header names another machine.

    Args:
        app: The application.
        hosts: The names that are allowed besides addresses, without port; None is any.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None) -> None:
        self._app, self._hosts = app, None if hosts is None else {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "http" and self._hosts is not None:
            host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
            name = _without_port(host).lower()
            if name not in self._hosts and not _is_address(name):
                message = f"the Host header names {quote(host)}, which is not this server"
                hint = "ask by the machine's address; `rnncli serve --allow-host NAME` allows a name"
                await _problem(421, message, hint)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _without_port(host: str) -> str:
    """Return the name of a Host header: `localhost` of `localhost:8000`, `[::1]` of `[::1]:8000`."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host
