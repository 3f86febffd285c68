"""`rnncli serve`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rnncli.cli.complete import complete_runs
from rnncli.cli.help import INPUT, OUTPUT, RUN, Command, option
from rnncli.cli.options import (
    RUN_PATH,
    checkpoint_option,
    device_option,
    drop_message,
    quiet_option,
    show_message,
    show_warning,
    show_weights,
    trust_option,
    verbose_option,
)
from rnncli.cli.served import Named, check_packages, named_runs, port_option
from rnncli.inference.backends import AUTO, BACKENDS

if TYPE_CHECKING:
    from rnncli.runs.directory import SavedRun
    from rnncli.serve.app import Limits
    from rnncli.serve.served_run import ServedRun

MEBIBYTE = 2**20


@click.command(
    "serve",
    cls=Command,
    examples=(
        "rnncli serve RUN",
        "rnncli serve --run small=RUN --run large=RUN2 --port 8080",
        "rnncli serve exported/predict.onnx --host 0.0.0.0",
    ),
)
@click.argument("run", metavar="[RUN]", type=RUN_PATH, required=False, shell_complete=complete_runs)
@option("--run", "named", group=INPUT, metavar="NAME=RUN", multiple=True, help="Serve this run too; repeatable.")
@option("--host", group=OUTPUT, default="127.0.0.1", show_default=True, metavar="HOST", help="Address to listen at.")
@port_option
@option(
    "--allow-host",
    "hosts",
    group=OUTPUT,
    metavar="NAME",
    multiple=True,
    help="Answer to this name too; * is any; repeatable.",
)
@option(
    "--max-body",
    group=RUN,
    type=click.FloatRange(0, 1024, min_open=True),
    default=1.0,
    show_default=True,
    metavar="MB",
    help="Largest request, in MiB.",
)
@option(
    "--max-queue",
    group=RUN,
    type=click.IntRange(1, 100_000),
    default=256,
    show_default=True,
    metavar="N",
    help="Requests that wait at most.",
)
@option(
    "--max-batch",
    group=RUN,
    type=click.IntRange(1, 100_000),
    default=192,
    show_default=True,
    metavar="N",
    help="Sources predicted together.",
)
@option(
    "--backend",
    group=RUN,
    type=click.Choice([AUTO, *BACKENDS]),
    default=AUTO,
    show_default=True,
    help="onnx needs no TensorFlow; auto uses it if exported.",
)
@checkpoint_option
@trust_option
@device_option
@quiet_option
@verbose_option
def command(
    run: Path | None,
    named: tuple[str, ...],
    host: str,
    port: int,
    hosts: tuple[str, ...],
    max_body: float,
    max_queue: int,
    max_batch: int,
    backend: str,
    checkpoint: str,
    trust_code: bool,
    device: Literal["auto", "cpu", "gpu"] | None,
    quiet: bool,
) -> None:
    """Answer by HTTP with a trained model, RUN or an exported predict.onnx.

    POST JSON to /api/predict, /api/encode, /api/step, /api/states or /api/generate; GET /api/info tells of the runs,
    /api/openapi.json of the requests. Requests that wait are predicted together. The first line of stdout is the
    address, once it listens. SIGTERM and Ctrl-C end it when what runs has ended. There is no password: an address
    that other machines reach answers to all of them.
    """
    runs = named_runs(() if run is None else (run,), named)
    check_packages()
    from rnncli.inference.backends import load
    from rnncli.serve.app import Limits
    from rnncli.serve.server import bind

    saved = [load(each.path, checkpoint, trust_code).on(device or "auto") for each in runs]
    limits = Limits(int(max_body * MEBIBYTE), max_queue, max_batch)
    with bind(host, port) as bound:
        served = start_runs(runs, saved, device or "auto", backend, quiet)
        listen(bound, served, limits, (host, hosts), quiet)


def start_runs(
    runs: Sequence[Named], saved: Sequence[SavedRun], device: str, backend: str, quiet: bool
) -> list[ServedRun]:
    """Make the runs ready to answer."""
    from rnncli.inference.backends import Request, start
    from rnncli.inference.onnx_decoder import OnnxDecoder
    from rnncli.serve.served_run import ServedRun

    served = []
    for named, each in zip(runs, saved, strict=True):
        predictor = start(Request(each, device=device), backend, drop_message if quiet else show_warning)
        kind = "onnx" if isinstance(predictor.decoder, OnnxDecoder) else "tensorflow"
        show_weights(each, quiet=quiet)
        served.append(ServedRun(named.name, replace(each, weights={}), predictor, kind))
        served[-1].warm_up()
    return served


def listen(
    bound: object, runs: Sequence[ServedRun], limits: Limits, at: tuple[str, tuple[str, ...]], quiet: bool
) -> None:
    """Serve until a signal, and say when it listens.

    Args:
        bound: The socket.
        runs: The runs.
        limits: Limits on requests.
        at: The address, and further names that the Host header may have.
        quiet: Say nothing but the address.
    """
    import socket

    from rnncli.serve.app import make_app
    from rnncli.serve.server import Server, allowed_hosts, is_loopback, url_of

    assert isinstance(bound, socket.socket)
    host, names = at

    def say() -> None:
        click.echo(url_of(bound, host))
        if not quiet:
            reach = "" if is_loopback(host) else "; whoever reaches this address gets answers"
            show_message(f"listening for requests on {', '.join(run.name for run in runs)}; Ctrl-C ends{reach}")

    Server(make_app(runs, limits, allowed_hosts(host, names)), say).run_on(bound)
