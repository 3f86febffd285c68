"""The OpenAPI description of the server, made of the classes of its requests and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from rnncli._version import __version__
from rnncli.serve.requests import Problem

JSON = "application/json"
DOCUMENTS = {
    "info": "Tell the runs: model, states, symbols, metrics; and the limits.",
    "openapi.json": "Return this description.",
}
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
        status: {"description": words, "content": {JSON: {"schema": references[Problem]}}}
        for status, words in PROBLEMS.items()
    }
    paths = {f"/api/{name}": _post(name, each, references, problems) for name, each in operations.items()}
    paths |= {f"/api/{name}": _get(name, summary) for name, summary in DOCUMENTS.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "rnncli", "version": __version__, "description": "Ask trained recurrent models."},
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }


def _post(
    name: str, operation: Operation, references: Mapping[Any, Any], problems: Mapping[str, Any]
) -> dict[str, Any]:
    body = {"required": True, "content": {JSON: {"schema": references[operation.body]}}}
    answer = {
        "description": (operation.answer.__doc__ or "").strip(),
        "content": {JSON: {"schema": references[operation.answer]}},
    }
    return {
        "post": {
            "operationId": name,
            "summary": operation.summary,
            "description": (operation.body.__doc__ or "").strip(),
            "requestBody": body,
            "responses": {"200": answer, **problems},
        }
    }


def _get(name: str, summary: str) -> dict[str, Any]:
    answer = {"description": summary, "content": {JSON: {}}}
    return {"get": {"operationId": name.partition(".")[0], "summary": summary, "responses": {"200": answer}}}
