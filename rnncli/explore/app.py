"""The application of `rnncli explore`: the page, and what it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from starlette.applications import Starlette
from starlette.responses import Response

from rnncli.explore.explored_run import ExploredRun
from rnncli.explore.requests import (
    AlikeAnswer,
    AlikeRequest,
    PlaneAnswer,
    PlaneRequest,
    TraceAnswer,
    TraceRequest,
    WriteAnswer,
    WriteRequest,
)
from rnncli.serve.app import HEADERS, Endpoint, Limits, make_app

ENDPOINTS = {
    "trace": Endpoint(TraceRequest, TraceAnswer, ExploredRun.trace, "Show all that the model does with a source."),
    "alike": Endpoint(AlikeRequest, AlikeAnswer, ExploredRun.alike, "Find a unit or a state in held-out examples."),
    "plane": Endpoint(
        PlaneRequest, PlaneAnswer, ExploredRun.plane, "Show states in the plane of largest variance of held-out ones."
    ),
    "write": Endpoint(WriteRequest, WriteAnswer, ExploredRun.write, "Go on with a text by a language model."),
}
PAGE = "page.html"
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page has its script and style in itself, and may ask nobody but its server."""


def explore_app(runs: Sequence[ExploredRun], limits: Limits, hosts: Sequence[str] | None) -> Starlette:
    """Return the application; see `rnncli.serve.app.make_app`."""
    page = files("rnncli.explore").joinpath(PAGE).read_text(encoding="utf-8")
    headers = {**HEADERS, "content-security-policy": POLICY, "referrer-policy": "no-referrer"}
    return make_app(runs, limits, hosts, ENDPOINTS, {"/": Response(page, 200, headers, "text/html")})
