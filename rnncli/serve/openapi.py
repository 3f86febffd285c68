"""The OpenAPI description of the server, made of the classes of its requests and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from rnncli._version import __version__
from rnncli.serve.requests import Problem

REFERENCE = "#/components/schemas/{model}"
PROBLEMS = {
    "400": "The body is not JSON.",
    "404": "There is no such run.",
    "408": "The body did not arrive in time.",
    "413": "The body is too long.",
    "415": "The body does not say that it is JSON.",
    "421": "The Host header does not name this server.",
    "422": "The request does not fit the model.",
    "500": "The computation failed.",
    "503": "Too many requests wait.",
}


class Operation(NamedTuple):
    """An operation.

    Attributes:
        body: The class of its requests.
        answer: That of its answers.
        summary: What it does, in a line.
    """

    body: type[BaseModel]
    answer: type[BaseModel]
    summary: str


def describe(operations: Mapping[str, Operation]) -> dict[str, Any]:
    """Return the description, OpenAPI 3.1.

    Args:
        operations: The operations by the last part of their path.
    """
    kinds: list[type[BaseModel]] = [kind for each in operations.values() for kind in (each.body, each.answer)]
    kinds.append(Problem)
    names, schemas = models_json_schema([(kind, "validation") for kind in kinds], ref_template=REFERENCE)
    references = {kind: reference for (kind, _), reference in names.items()}
    problems = {
        status: {"description": words, "content": {"application/json": {"schema": references[Problem]}}}
        for status, words in PROBLEMS.items()
    }
    paths: dict[str, Any] = {
        f"/api/{name}": {
            "post": {
                "operationId": name,
                "summary": each.summary,
                "description": (each.body.__doc__ or "").strip(),
                "requestBody": {"required": True, "content": {"application/json": {"schema": references[each.body]}}},
                "responses": {
                    "200": {
                        "description": (each.answer.__doc__ or "").strip(),
                        "content": {"application/json": {"schema": references[each.answer]}},
                    },
                    **problems,
                },
            }
        }
        for name, each in operations.items()
    }
    paths |= {
        f"/api/{name}": {
            "get": {
                "operationId": name.partition(".")[0],
                "summary": summary,
                "responses": {"200": {"description": summary, "content": {"application/json": {}}}},
            }
        }
        for name, summary in (
            ("info", "Tell the runs: model, states, symbols, metrics; and the limits."),
            ("openapi.json", "Return this description."),
        )
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "rnncli", "version": __version__, "description": "Ask trained recurrent models."},
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }
