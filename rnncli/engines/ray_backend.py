"""`TF_CONFIG` for the workers of Ray Train: what `ray.train.tensorflow` does, without TensorFlow in Ray's processes.

That would cost each of them some seconds and hundreds of megabytes; training has a process of its own.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

import ray
from ray.train.backend import Backend, BackendConfig

from rnncli.cluster.find import TF_CONFIG


class TensorflowAddresses(BackendConfig):
    """The setting of Ray Train by which every worker is told the addresses of all."""

    @property
    def backend_cls(self) -> type[Backend]:
        """The class that tells them."""
        return _Backend


class _Backend(Backend):
    share_cuda_visible_devices = True  # each worker sees all GPUs of its machine, and chooses by its number there

    def on_start(self, worker_group: Any, backend_config: BackendConfig) -> None:
        """Tell every worker, before it begins."""
        del backend_config
        addresses = worker_group.execute(own_address)
        told = [worker_group.execute_single_async(i, set_addresses, addresses, i) for i in range(len(addresses))]
        ray.get(told)


def own_address() -> str:
    """Return the address of this machine that others of the cluster reach, with a free port."""
    host = ray.util.get_node_ip_address()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server(("", 0), family=family) as server:
        port = server.getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def set_addresses(addresses: list[str], index: int) -> None:
    """Set `TF_CONFIG` in the process of a worker."""
    os.environ[TF_CONFIG] = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}})
