"""Find NVIDIA GPUs, driver and libraries without TensorFlow, and what is missing where TensorFlow sees no GPU."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path

from rnncli.errors import install_command

TENSORFLOW_CUDA = "tensorflow[and-cuda]"
DRIVER_LIBRARY = "libcuda.so.1"
CUDA_LIBRARIES = (
    "libcudart.so.12",
    "libcublas.so.12",
    "libcufft.so.11",
    "libcusolver.so.11",
    "libcusparse.so.12",
    "libcudnn.so.9",
)
"""Libraries (CUDA 12, cuDNN 9) that TensorFlow loads; if one is missing, it uses no GPU."""


@dataclass(frozen=True)
class Findings:
    """NVIDIA hardware and software of a machine.

    Attributes:
        platform: `sys.platform`.
        cuda_build: Whether this TensorFlow was built for CUDA.
        cards: PCI addresses of NVIDIA display devices.
        device_files: Device files of the driver, such as `/dev/nvidia0`; `/dev/dxg` under WSL 2.
        driver: Version of the driver; "" if unknown, None without a driver.
        hidden: CUDA_VISIBLE_DEVICES if it hides every GPU, else None.
        wheels: Version of every installed `nvidia-...` package.
        unloadable: Error of the loader for each needed library that cannot be loaded.
    """

    platform: str
    cuda_build: bool
    cards: tuple[str, ...]
    device_files: tuple[str, ...]
    driver: str | None
    hidden: str | None
    wheels: dict[str, str]
    unloadable: dict[str, str]


def find(cuda_build: bool, root: Path = Path("/")) -> Findings:
    """Examine this machine.

    Args:
        cuda_build: Whether this TensorFlow was built for CUDA.
        root: Directory of `dev`, `proc` and `sys`.
    """
    driver = driver_version(root)
    return Findings(
        platform=sys.platform,
        cuda_build=cuda_build,
        cards=cards(root),
        device_files=tuple(
            sorted(str(p) for pattern in ("nvidia[0-9]*", "dxg") for p in (root / "dev").glob(pattern))
        ),
        driver=driver,
        hidden=hidden(os.environ.get("CUDA_VISIBLE_DEVICES")),
        wheels=wheels(),
        unloadable={} if driver is None else unloadable([DRIVER_LIBRARY, *CUDA_LIBRARIES]),
    )


def cards(root: Path) -> tuple[str, ...]:
    """Return the PCI addresses of NVIDIA display devices, with or without a driver."""
    found = []
    for device in sorted((root / "sys/bus/pci/devices").glob("*")):
        with contextlib.suppress(OSError):
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
            if vendor == "0x10de" and kind.startswith("0x03"):
                found.append(device.name)
    return tuple(found)


def driver_version(root: Path) -> str | None:
    """Return the driver's version; "" if only its library is visible, None without a driver."""
    with contextlib.suppress(OSError):
        text = (root / "proc/driver/nvidia/version").read_text()
        if found := re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", text):
            return found[1]
    return None if unloadable([DRIVER_LIBRARY]) else ""


def hidden(visible: str | None) -> str | None:
    """Return CUDA_VISIBLE_DEVICES if it hides every GPU: CUDA stops at the first entry that is no device."""
    return visible if visible is not None and (not visible.strip() or visible.strip().startswith("-")) else None


def wheels() -> dict[str, str]:
    """Return the version of every installed `nvidia-...` package."""
    names = {str(found.metadata["Name"]): found.version for found in distributions() if found.metadata["Name"]}
    return {name: names[name] for name in sorted(names) if name.startswith("nvidia-")}


def load(library: str) -> ctypes.CDLL:
    """Load a shared library from the wheels, where TensorFlow looks first, or from the system.

    Raises:
        OSError: It cannot be loaded.
    """
    package = find_spec("nvidia")
    for place in (package and package.submodule_search_locations) or ():
        for path in Path(place).glob(f"*/lib/{library}"):
            return ctypes.CDLL(str(path))
    return ctypes.CDLL(library)


def unloadable(libraries: Sequence[str]) -> dict[str, str]:
    """Return the loader's error for each library that cannot be loaded."""
    found = {}
    for library in libraries:
        try:
            load(library)
        except OSError as error:
            found[library] = str(error)
    return found


def loaded_versions() -> dict[str, str]:
    """Return the versions that the CUDA runtime and cuDNN report, if they can be loaded."""
    found = {}
    with contextlib.suppress(OSError, AttributeError):
        number = ctypes.c_int()
        if load("libcudart.so.12").cudaRuntimeGetVersion(ctypes.byref(number)) == 0:
            found["CUDA"] = f"{number.value // 1000}.{number.value % 1000 // 10}"
    with contextlib.suppress(OSError, AttributeError):
        version = load("libcudnn.so.9").cudnnGetVersion
        version.restype = ctypes.c_size_t
        found["cuDNN"] = cudnn_version(version())
    return found


def cudnn_version(number: int) -> str:
    """Return the version for a number of `cudnnGetVersion`, from cuDNN 9 on: 91002 is 9.10.2."""
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def memory(index: int) -> int | None:
    """Return the bytes of memory of a GPU, by TensorFlow's index; None if unknown."""
    with contextlib.suppress(OSError, AttributeError):
        cuda, device, size = load(DRIVER_LIBRARY), ctypes.c_int(), ctypes.c_size_t()
        failed = cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), index)
        if not failed and cuda.cuDeviceTotalMem_v2(ctypes.byref(size), device) == 0:
            return size.value
    return None


def missing(found: Findings) -> str:
    """Return why TensorFlow sees no GPU, and what to do: the first obstacle."""
    if found.platform != "linux":
        return f"TensorFlow uses NVIDIA GPUs on Linux only, and this is {found.platform}; under Windows use WSL 2"
    if not found.device_files and not found.cards and found.driver is None:
        return "there is no NVIDIA GPU on this machine, or none that this container or virtual machine was given"
    if found.driver is None:
        return (
            f"there is an NVIDIA GPU ({', '.join(found.cards or found.device_files)}), but no driver: install "
            "NVIDIA's driver, or start the container with it (docker run --gpus all)"
        )
    if not found.device_files:
        return (
            "NVIDIA's driver is there, but no GPU: there is no /dev/nvidia0; in a container, start it with the GPU "
            "(docker run --gpus all), in a batch system, ask for one"
        )
    if found.hidden is not None:
        return f"the environment hides every GPU by CUDA_VISIBLE_DEVICES={found.hidden!r}; unset it, or name one: 0"
    if not found.cuda_build:
        return f"this TensorFlow was built without CUDA; in a fresh environment: {install_command(TENSORFLOW_CUDA)}"
    if DRIVER_LIBRARY in found.unloadable:
        return (
            f"NVIDIA's driver runs, but its library cannot be loaded: {found.unloadable[DRIVER_LIBRARY]}; in a "
            "container, start it with the GPU (docker run --gpus all, which needs the NVIDIA Container Toolkit)"
        )
    if found.unloadable and not any(name.startswith("nvidia-cudnn") for name in found.wheels):
        names = ", ".join(found.unloadable)
        return f"the GPU and its driver are there, but not {names}: {install_command(TENSORFLOW_CUDA)}"
    if found.unloadable:
        errors = "; ".join(f"{name} ({error})" for name, error in found.unloadable.items())
        return (
            f"CUDA's packages are installed, but cannot be loaded: {errors}; "
            f"{install_command(TENSORFLOW_CUDA)} --force-reinstall"
        )
    return (
        f"GPU, driver {found.driver or '(unknown)'} and CUDA's libraries are there, and TensorFlow uses none: "
        "the driver may be too old for CUDA 12 (525 is the oldest); `rnncli devices --verbose` shows TensorFlow's "
        "log"
    )
