"""A connection to a Ray cluster: one that is there, or one of this process alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rnncli.cluster.layout import split_address
from rnncli.errors import InputError, RunFailedError, reason_of
from rnncli.runtime.held_messages import hold_messages
from rnncli.runtime.host import available_cores
from rnncli.runtime.signals import SIGNALS
from rnncli.text import summarize_error

ADDRESS = "RAY_ADDRESS"
"""Ray's environment variable, which a submitted job has."""
AUTO, OWN = "auto", "local"
PROBE_SECONDS = 10.0
FRAME_HEADER, SETTINGS_FRAME = 9, b"\x04"
"""Bytes before the content of a frame of HTTP/2; the fourth is its type."""
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0" + SETTINGS_FRAME + b"\0" * 5
TLS = "RAY_USE_TLS"
"""Ray's environment variable for encrypted connections."""
OBJECT_STORE_BYTES = 2**27
"""Shared memory of a cluster of our own; nothing but messages is sent."""
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_METRICS_ENABLED": "0",
}
QUIET = {"RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_DEDUP_LOGS_SKIP_REGEX": "."}
"""Also no messages of the cluster, such as that an actor was lost, of which rnncli tells."""
AUTH_MODE, AUTH_TOKEN = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"
WHERE = (
    "name a machine of the cluster and the port of its head, --ray-address HOST:6379, or auto for the cluster that "
    "this machine belongs to; if it has a token, set RAY_AUTH_MODE=token, and have its ~/.ray/auth_token here too"
)


def shows_all_messages() -> bool:
    """Return True if TensorFlow's messages, and so Ray's too, are shown: by `--verbose`."""
    return os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0"


@dataclass(frozen=True)
class Resources:
    """The resources of a cluster.

    Attributes:
        cpus: Its CPUs.
        gpus: Its GPUs.
        own: Whether this process has started it for itself.
        folder: A temporary directory of this machine, which is removed at the end.
    """

    cpus: int
    gpus: int
    own: bool
    folder: str

    def uses_gpu(self, device: Literal["auto", "cpu", "gpu"], count: int) -> bool:
        """Return True if each of some trainings shall have a GPU: the config says so, or the cluster has as many."""
        return device == "gpu" or (device == "auto" and self.gpus >= count)

    def require(self, cpus: int, gpus: int, hint: str = "") -> None:
        """Refuse what would wait for room for ever.

        Args:
            cpus: The CPUs that are needed at a time.
            gpus: The GPUs.
            hint: What to do about it.

        Raises:
            RunFailedError: The cluster has fewer.
        """
        if cpus > self.cpus or gpus > self.gpus:
            wanted = f"{cpus} CPUs and {gpus} GPUs are needed at a time"
            raise RunFailedError(f"{wanted}, and the Ray cluster has {self.cpus} and {self.gpus}", hint)


def read_address(given: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return the address of the cluster: `HOST:PORT`, `auto` for the one of this machine, `local` for one of our own.

    Args:
        given: The value of `--ray-address`; None takes Ray's environment variable, or a cluster of our own.
        environment: Environment variables.

    Raises:
        InputError: It is none.
    """
    name = ADDRESS if given is None else "--ray-address"
    address = (environment.get(ADDRESS, "") if given is None else given).strip() or OWN
    if address in (AUTO, OWN):
        return address
    if "://" in address:
        raise InputError(
            f"{name} {address}: rnncli does not use Ray Client",
            "run rnncli on a machine of the cluster: ray job submit -- rnncli train CONFIG --engine ray",
        )
    try:
        split_address(address)
    except ValueError as error:
        raise InputError(f"{name} {address}: {error}", WHERE) from error
    return address


def ray_settings(address: str, verbose: bool) -> dict[str, str]:
    """Return environment variables for Ray, which count where the user has set none.

    A cluster of our own gets a token in this way, as Ray would write one to a file that others may read.

    Args:
        address: What `read_address` returns.
        verbose: Whether Ray's messages are shown.
    """
    own = {AUTH_MODE: "token", AUTH_TOKEN: secrets.token_hex(32)} if address == OWN else {}
    return {**SETTINGS, **({} if verbose else QUIET), **own}


@contextlib.contextmanager
def connected(address: str, cpus: int) -> Iterator[Resources]:
    """Connect to a cluster, and leave it at the end; what we have started there ends then.

    Args:
        address: What `read_address` returns.
        cpus: CPUs that a cluster of our own has at least.

    Raises:
        RunFailedError: None answers there, or it refuses us.
    """
    verbose = shows_all_messages()
    for name, value in ray_settings(address, verbose).items():
        os.environ.setdefault(name, value)
    if address not in (AUTO, OWN):
        _probe(address)
    with tempfile.TemporaryDirectory(prefix="rnncli-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        # of a short name, as the names of sockets in it must be
        options: dict[str, Any] = {"log_to_driver": verbose}
        options |= {} if verbose else {"logging_level": "CRITICAL"}
        if address == OWN:
            options |= {
                "num_cpus": max(available_cores(), cpus),
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE_BYTES,
                "_temp_dir": folder,
            }
        with contextlib.ExitStack() as stack:
            if not verbose:
                stack.enter_context(warnings.catch_warnings())
                warnings.filterwarnings("ignore", module=r"ray(\.|$)")
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))  # results alone belong there
            ray = _start(address, options, verbose)
            stack.callback(ray.shutdown)
            try:
                found = ray.cluster_resources()
                yield Resources(int(found.get("CPU", 0)), int(found.get("GPU", 0)), address == OWN, folder)
            except ray.exceptions.RayError as error:
                raise RunFailedError(f"the Ray cluster does not answer any more: {summarize_error(error)}") from error


def _probe(address: str) -> None:
    """Refuse an address at which no server of Ray's kind listens: Ray would wait for minutes, or tell in many lines.

    Its servers speak gRPC, and so begin an HTTP/2 connection with a frame of settings (RFC 9113, section 3.4).

    Raises:
        RunFailedError: None does.
    """
    try:
        with socket.create_connection(split_address(address), timeout=PROBE_SECONDS) as connection:
            connection.sendall(HTTP2_PREFACE)
            with connection.makefile("rb") as stream:
                answer = stream.read(FRAME_HEADER)
    except OSError as error:
        raise RunFailedError(f"no Ray cluster answers at {address}: {reason_of(error)}", WHERE) from error
    if answer[3:4] != SETTINGS_FRAME and TLS not in os.environ:
        raise RunFailedError(f"no Ray cluster answers at {address}: something else listens there", WHERE)


def _start(address: str, options: Mapping[str, Any], verbose: bool) -> Any:
    """Import Ray and connect; returns the module."""
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    problem: Exception | None = None
    with contextlib.nullcontext() if verbose else hold_messages():
        try:
            import ray

            ray.init(address, **options)
        except Exception as error:
            problem = error
        finally:
            for number, handler in handlers.items():  # Ray has put its own over them
                signal.signal(number, handler)
    if problem is None:
        return ray
    what = "start a Ray cluster on this machine" if address == OWN else f"join the Ray cluster ({address})"
    hint = "see Ray's messages with --verbose" if address == OWN else WHERE
    raise RunFailedError(f"cannot {what}: {summarize_error(problem)}", hint) from problem
