"""What this machine has of NVIDIA's, found without TensorFlow, and what is missing where TensorFlow sees no GPU."""

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

DRIVER_LIBRARY = "libcuda.so.1"
CUDA_LIBRARIES = (
    "libcudart.so.12",
    "libcublas.so.12",
    "libcufft.so.11",
    "libcusolver.so.11",
    "libcusparse.so.12",
    "libcudnn.so.9",
)
"""What a TensorFlow of these versions (CUDA 12, cuDNN 9) loads, and without any of which it uses no GPU."""


@dataclass(frozen=True)
class Findings:
    """What there is.

    Attributes:
        platform: As `sys.platform`.
        cuda_build: Whether this TensorFlow was built for CUDA.
        cards: NVIDIA display devices on the PCI bus, by their addresses.
        device_files: `/dev/nvidia0` and the like, which the driver makes; `/dev/dxg` under WSL 2.
        driver: The driver's version; "" where it runs and does not tell, None where there is none.
        hidden: The value of CUDA_VISIBLE_DEVICES where it hides every GPU, else None.
        wheels: Version of every installed `nvidia-...` package.
        unloadable: Libraries that TensorFlow needs and that cannot be loaded, each with the loader's words.
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
    """Look around on this machine.

    Args:
        cuda_build: Whether this TensorFlow was built for CUDA.
        root: Where `dev`, `proc` and `sys` are.
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
    """NVIDIA's display devices on the PCI bus, whether or not a driver knows them."""
    found = []
    for device in sorted((root / "sys/bus/pci/devices").glob("*")):
        with contextlib.suppress(OSError):
            vendor, kind = ((device / name).read_text().strip() for name in ("vendor", "class"))
            if vendor == "0x10de" and kind.startswith("0x03"):
                found.append(device.name)
    return tuple(found)


def driver_version(root: Path) -> str | None:
    """Of the driver that runs; "" where only its library is there to see, None without it."""
    with contextlib.suppress(OSError):
        text = (root / "proc/driver/nvidia/version").read_text()
        if found := re.search(r"Kernel Module.*?\s(\d+\.[\d.]+)", text):
            return found[1]
    return None if unloadable([DRIVER_LIBRARY]) else ""


def hidden(visible: str | None) -> str | None:
    """CUDA_VISIBLE_DEVICES where it hides every GPU: CUDA stops reading at the first entry that is no device."""
    return visible if visible is not None and (not visible.strip() or visible.strip().startswith("-")) else None


def wheels() -> dict[str, str]:
    """Version of every installed package of NVIDIA's."""
    names = {str(found.metadata["Name"]): found.version for found in distributions() if found.metadata["Name"]}
    return {name: names[name] for name in sorted(names) if name.startswith("nvidia-")}


def load(library: str) -> ctypes.CDLL:
    """A shared library: from the wheels, where TensorFlow looks first, or from where the system's loader looks.

    Raises:
        OSError: It cannot be loaded.
    """
    package = find_spec("nvidia")
    for place in (package and package.submodule_search_locations) or ():
        for path in Path(place).glob(f"*/lib/{library}"):
            return ctypes.CDLL(str(path))
    return ctypes.CDLL(library)


def unloadable(libraries: Sequence[str]) -> dict[str, str]:
    """Those of some libraries that cannot be loaded, each with the loader's words."""
    found = {}
    for library in libraries:
        try:
            load(library)
        except OSError as error:
            found[library] = str(error)
    return found


def loaded_versions() -> dict[str, str]:
    """Versions that the CUDA runtime and cuDNN themselves tell; left out where they cannot be loaded."""
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
    """Of `cudnnGetVersion`, from cuDNN 9 on: 91002 is 9.10.2."""
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def memory(index: int) -> int | None:
    """Bytes of memory of the GPU that TensorFlow calls by this number; None where CUDA does not tell."""
    with contextlib.suppress(OSError, AttributeError):
        cuda, device, size = load(DRIVER_LIBRARY), ctypes.c_int(), ctypes.c_size_t()
        failed = cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), index)
        if not failed and cuda.cuDeviceTotalMem_v2(ctypes.byref(size), device) == 0:
            return size.value
    return None


def missing(found: Findings) -> str:
    """Why TensorFlow sees no GPU, and what to do, in plain words: the first thing that stands in the way."""
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
        return "this TensorFlow was built without CUDA; in a fresh environment: python3 -m pip install 'rnncli[gpu]'"
    if DRIVER_LIBRARY in found.unloadable:
        return (
            f"NVIDIA's driver runs, but its library cannot be loaded: {found.unloadable[DRIVER_LIBRARY]}; in a "
            "container, start it with the GPU (docker run --gpus all, which needs the NVIDIA Container Toolkit)"
        )
    if found.unloadable and not any(name.startswith("nvidia-cudnn") for name in found.wheels):
        names = ", ".join(found.unloadable)
        return f"the GPU and its driver are there, but not {names}: python3 -m pip install 'rnncli[gpu]'"
    if found.unloadable:
        said = "; ".join(f"{name} ({words})" for name, words in found.unloadable.items())
        return (
            f"CUDA's packages are installed, but cannot be loaded: {said}; "
            "python3 -m pip install --force-reinstall 'rnncli[gpu]'"
        )
    return (
        f"GPU, driver {found.driver or '(unknown)'} and CUDA's libraries are there, and TensorFlow uses none of it: "
        "the driver may be too old for CUDA 12 (525 is the oldest); `rnncli devices --verbose` shows TensorFlow's "
        "own words"
    )
