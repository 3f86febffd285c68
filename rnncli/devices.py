"""Find CPU, GPUs and libraries of this machine, and the kernels that they run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from rnncli.config import CELLS
from rnncli.layers import KernelChoice, choose_kernel, probe_cudnn
from rnncli.runtime import nvidia
from rnncli.runtime.host import CPUINFO, available_cores, processor_flags, processor_name
from rnncli.runtime.tensorflow_setup import versions

INSTRUCTION_SETS = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16", "asimd", "asimdhp", "sve", "sve2", "bf16", "i8mm"),
)
"""Instruction sets that matter for matrix products, by their names in Linux; the last five are Arm's."""


@dataclass(frozen=True)
class Cpu:
    """The processor.

    Attributes:
        cores: Cores that this process may use.
        instruction_sets: Those of `INSTRUCTION_SETS` that it has; empty if unknown.
    """

    model: str
    cores: int
    instruction_sets: tuple[str, ...]


@dataclass(frozen=True)
class Gpu:
    """A GPU that TensorFlow sees; memory in bytes."""

    name: str
    compute_capability: str | None
    memory: int | None


@dataclass(frozen=True)
class Devices:
    """Hardware, libraries and kernels of a machine.

    Attributes:
        versions: Version of each package that results depend on.
        built_for: Versions of CUDA and cuDNN that TensorFlow was built for; empty without CUDA.
        loaded: Versions that CUDA and cuDNN report.
        driver: Version of NVIDIA's driver; None without one.
        wheels: Version of every installed `nvidia-...` package.
        missing: Why TensorFlow sees no GPU, and what to do; None where it sees one.
        auto: Kernel that `runtime.kernel: auto` chooses for each cell, with the reason.
        cudnn: Result of a tiny cuDNN layer for each cell: "works", or the error; empty without a GPU.
    """

    versions: dict[str, str]
    cpu: Cpu
    gpus: tuple[Gpu, ...]
    built_for: dict[str, str]
    loaded: dict[str, str]
    driver: str | None
    wheels: dict[str, str]
    missing: str | None
    auto: dict[str, KernelChoice]
    cudnn: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """Return the findings as a JSON object."""
        return asdict(self)


def find_devices() -> Devices:
    """Examine this machine, and test cuDNN if there is a GPU."""
    gpus = tuple(gpu(index, device) for index, device in enumerate(tf.config.list_physical_devices("GPU")))
    build = tf.sysconfig.get_build_info()
    found = nvidia.find(bool(build.get("is_cuda_build")))
    keys = {"CUDA": "cuda_version", "cuDNN": "cudnn_version"}
    return Devices(
        versions=versions(),
        cpu=find_cpu(),
        gpus=gpus,
        built_for={name: str(build[key]) for name, key in keys.items() if key in build},
        loaded=nvidia.loaded_versions(),
        driver=found.driver,
        wheels=found.wheels,
        missing=None if gpus else nvidia.missing(found),
        auto={cell: choose_kernel(cell, "auto", bool(gpus)) for cell in CELLS},
        cudnn={name: probe_cudnn(name) or "works" for name, cell in CELLS.items() if gpus and cell.cudnn},
    )


def find_cpu(information: Path = CPUINFO) -> Cpu:
    """Return the processor, as far as the system tells."""
    flags = processor_flags(information)
    return Cpu(processor_name(information), available_cores(), tuple(x for x in INSTRUCTION_SETS if x in flags))


def gpu(index: int, device: Any) -> Gpu:
    """Return a GPU, as TensorFlow and CUDA report it."""
    details = tf.config.experimental.get_device_details(device)
    capability = details.get("compute_capability")
    return Gpu(
        details.get("device_name", device.name),
        None if capability is None else ".".join(map(str, capability)),
        nvidia.memory(index),
    )
