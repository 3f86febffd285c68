"""`rnncli devices`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from rnncli.cli.help import Command
from rnncli.cli.options import table_or_json_option, verbose_option

if TYPE_CHECKING:
    from rnncli.devices import Devices, Gpu


@click.command("devices", cls=Command, examples=("rnncli devices", "rnncli devices --format json"))
@table_or_json_option
@verbose_option
def command(style: str) -> None:
    """Show CPU, GPUs, versions of CUDA and cuDNN, and which kernel each cell runs on.

    Runs a tiny cuDNN layer where there is a GPU; says what is missing where TensorFlow sees none.
    """
    from rnncli.config import RuntimeConfig
    from rnncli.runtime.tensorflow_setup import setup_tensorflow

    setup_tensorflow(RuntimeConfig())  # before any module that imports TensorFlow
    from rnncli.devices import find_devices

    found = find_devices()
    click.echo(json.dumps(found.as_json()) if style == "json" else as_text(found))


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
