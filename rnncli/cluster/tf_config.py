"""`TF_CONFIG`: the environment variable by which Kubernetes operators, Vertex AI, Ray and others name the workers.

    {"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, "task": {"type": "worker", "index": 1}}

A `chief` is the first worker.
"""

from __future__ import annotations

import json
from typing import Any

from rnncli.cluster.layout import Cluster, split_address
from rnncli.errors import InputError
from rnncli.text import shorten

CHIEF, MASTER, WORKER, EVALUATOR = "chief", "master", "worker", "evaluator"
EXAMPLE = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'

EVALUATES = Cluster(("localhost:0",), 0, EVALUATOR)
"""The task of an evaluator, which has nothing to do: the workers measure the held-out data."""


def read_tf_config(text: str) -> Cluster | None:
    """Return the cluster that `TF_CONFIG` names; None if it is empty or names none.

    Raises:
        InputError: It is malformed, or has parameter servers.
    """
    if not text.strip():
        return None
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed(f"not JSON: {shorten(str(error))}") from error
    if not isinstance(config, dict):
        raise _malformed("must be an object")
    cluster = config.get("cluster") or {}
    if not isinstance(cluster, dict):
        raise _malformed("cluster must be an object of lists of addresses")
    if not cluster:
        return None
    if cluster.get("ps"):
        raise InputError(
            "TF_CONFIG: has parameter servers (ps), which rnncli does not use",
            "name all processes in cluster.worker: the workers sum their gradients among themselves",
        )
    chiefs = _addresses(cluster, CHIEF) + _addresses(cluster, MASTER)
    if len(chiefs) > 1:
        raise _malformed("cluster has more than one chief")
    addresses = chiefs + _addresses(cluster, WORKER)
    if not addresses:
        raise _malformed("cluster has no workers")
    if twice := next((each for each in addresses if addresses.count(each) > 1), None):
        raise _malformed(f"cluster has the address {twice} twice")
    return _with_task(config.get("task"), addresses, len(chiefs))


def _with_task(task: Any, addresses: list[str], chiefs: int) -> Cluster:
    if not isinstance(task, dict):
        raise _malformed("task must be an object with type and index")
    kind, index = task.get("type"), task.get("index", 0)
    if isinstance(index, str) and index.isascii() and index.isdecimal() and len(index) < 10:
        index = int(index)  # as some operators write it
    if kind == EVALUATOR:
        return EVALUATES
    if kind not in (CHIEF, MASTER, WORKER):
        raise _malformed(f"task.type is {shorten(repr(kind))}; it must be chief, worker or evaluator")
    first, end = (0, chiefs) if kind != WORKER else (chiefs, len(addresses))
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < end - first:
        raise _malformed(f"task.index is {shorten(repr(index))}, and cluster has {end - first} of type {kind}")
    return Cluster(tuple(addresses), first + index, "TF_CONFIG")


def _addresses(cluster: dict[str, Any], kind: str) -> list[str]:
    given = cluster.get(kind) or []
    if not isinstance(given, list):
        raise _malformed(f"cluster.{kind} must be a list of addresses")
    for number, address in enumerate(given):
        try:
            if not isinstance(address, str):
                raise ValueError("must be HOST:PORT")
            split_address(address)
        except ValueError as error:
            raise _malformed(f"cluster.{kind}, number {number}: {shorten(repr(address))}: {error}") from error
    return given


def _malformed(problem: str) -> InputError:
    return InputError(f"TF_CONFIG: {problem}", f"such as {EXAMPLE}; or unset it to train in one process")
