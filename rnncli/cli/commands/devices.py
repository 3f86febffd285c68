"""`rnncli devices`."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import click

from rnncli.cli.help import Command
from rnncli.cli.options import table_or_json_option, verbose_option, workers_option

if TYPE_CHECKING:
    from rnncli.cluster.layout import Cluster
    from rnncli.devices import Devices, Gpu


@click.command(
    "devices", cls=Command, examples=("rnncli devices", "rnncli devices --workers 2", "rnncli devices --format json")
)
@table_or_json_option
@workers_option
@verbose_option
def command(style: str, workers: str | None) -> None:
    """Show CPU, GPUs, versions of CUDA and cuDNN, and which kernel each cell runs on.

    Runs a tiny cuDNN layer where there is a GPU; says what is missing where TensorFlow sees none. Also shows the
    processes that `rnncli train` would train in, with the same --workers, TF_CONFIG or SLURM.
    """
    from rnncli.cluster.find import find_cluster
    from rnncli.config import RuntimeConfig
    from rnncli.runtime.tensorflow_setup import setup_tensorflow

    cluster = find_cluster(os.environ, workers)

    setup_tensorflow(RuntimeConfig())  # before any module that imports TensorFlow
    from rnncli.devices import find_devices

    found = find_devices()
    layout = layout_of(cluster, 1 if cluster is not None or workers is None else int(workers), found)
    if style == "json":
        click.echo(json.dumps({**found.as_json(), "workers": layout}))
    else:
        click.echo(f"{as_text(found)}\n\n{layout_as_text(layout)}")


def layout_of(cluster: Cluster | None, count: int, found: Devices) -> list[dict[str, Any]]:
    """Return the processes that would train: address, device, and whether this is one of them.

    Args:
        cluster: The workers that this process was started among; None if it is alone.
        count: Workers to start on this machine, if it is alone.
        found: What this machine has.
    """
    from rnncli.runtime.host import shares_of_cores

    if cluster is not None:
        return [
            {"address": address, "device": "its own machine's", "here": index == cluster.index}
            for index, address in enumerate(cluster.addresses)
        ]
    cores = [found.cpu.cores if share is None else len(share) for share in shares_of_cores(count)]
    devices = [f"{number} CPU core{'s' * (number > 1)}" for number in cores]
    if found.gpus:
        missing = "none: more workers than GPUs, which needs --device cpu"
        devices = [f"GPU {i}" if i < len(found.gpus) else missing for i in range(count)]
    return [{"address": "127.0.0.1", "device": device, "here": True} for device in devices]


def layout_as_text(layout: list[dict[str, Any]]) -> str:
    """Return the processes that would train, a line each."""
    if len(layout) == 1:
        return "rnncli train: one process; --workers N starts N on this machine"
    others = any(not each["here"] for each in layout)
    lines = [
        f"  worker {index}  {each['address']}  {'this process' if others and each['here'] else each['device']}"
        for index, each in enumerate(layout)
    ]
    return "\n".join([f"rnncli train: {len(layout)} workers", *lines])


def as_text(found: Devices) -> str:
    """Return the findings, a line each."""
    cpu, wide = found.cpu, max(map(len, found.auto))
    lines = [
        ", ".join(f"{name} {version}" for name, version in found.versions.items()),
        "",
        f"CPU      {cpu.model}, {cpu.cores} cores available",
        f"         {' '.join(cpu.instruction_sets) or 'instruction sets unknown'}",
        *(f"GPU {index:<4} {described(gpu)}" for index, gpu in enumerate(found.gpus)),
    ]
    if found.missing is not None:
        lines.append(f"GPU      TensorFlow sees none: {found.missing}")
    lines += [
        f"driver   {'none' if found.driver is None else found.driver or 'unknown version'}",
        *(f"{name:<8} {versions_of(name, found)}" for name in ("CUDA", "cuDNN")),
        "",
        "kernel that runtime.kernel: auto chooses",
        *(f"  {cell:<{wide}}  {choice.kernel:<7}  {choice.reason}" for cell, choice in found.auto.items()),
        "",
    ]
    tried = [f"  {cell:<{wide}}  {result}" for cell, result in found.cudnn.items()]
    return "\n".join([*lines, *(["cuDNN test layer", *tried] if tried else ["cuDNN: not tested, no GPU"])])


def described(gpu: Gpu) -> str:
    """Return a GPU on one line."""
    more = [f"compute capability {gpu.compute_capability}"] if gpu.compute_capability else []
    more += [f"{gpu.memory / 2**30:.0f} GiB"] if gpu.memory else []
    return ", ".join([gpu.name, *more])


def versions_of(name: str, found: Devices) -> str:
    """Return the versions of CUDA or cuDNN: loaded, installed, and those that TensorFlow was built for."""
    package = {"CUDA": "nvidia-cuda-runtime", "cuDNN": "nvidia-cudnn"}[name]
    parts = [f"{found.loaded[name]} loaded"] if name in found.loaded else ["none loaded"]
    parts += [f"{wheel} {version} installed" for wheel, version in found.wheels.items() if wheel.startswith(package)]
    parts += [
        f"TensorFlow was built for {found.built_for[name]}"
        if name in found.built_for
        else "TensorFlow was built without it"
    ]
    return "; ".join(parts)
