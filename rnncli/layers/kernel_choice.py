"""Which kernel runs a recurrent layer, and why."""

from __future__ import annotations

from dataclasses import dataclass

from rnncli.config import CellName, CustomCell
from rnncli.errors import InputError
from rnncli.layers.cells import CELLS


@dataclass(frozen=True)
class KernelChoice:
    """A kernel (`fused`, `cudnn`, `generic`, or `cell` for step by step) with the reason for it, in words."""

    kernel: str
    reason: str


def choose_kernel(
    cell: CellName | CustomCell, wanted: str, on_gpu: bool, implementation: str = "layer"
) -> KernelChoice:
    """The kernel for a cell on a device.

    Args:
        cell: `model.cell` of the config.
        wanted: `runtime.kernel` of the config.
        on_gpu: Whether the model runs on a GPU.
        implementation: `model.implementation` of the config.

    Raises:
        InputError: `cudnn` is required and cannot be had; names the key of the config that rules it out.
    """
    if isinstance(cell, CustomCell):
        known = ", ".join(CELLS)
        return KernelChoice(
            "cell",
            f"model.cell: custom steps through {cell.class_name}; cuDNN and the fused kernel know only {known}",
        )
    if implementation == "cell":
        return KernelChoice(
            "cell",
            f"model.implementation: cell steps through {CELLS[cell].step.__name__}; cuDNN runs whole layers only",
        )
    has_cudnn = CELLS[cell].cudnn
    if wanted == "cudnn":
        if not has_cudnn:
            raise InputError(
                f"runtime.kernel: cudnn cannot run model.cell: {cell}; cuDNN has kernels for lstm and gru",
                "use runtime.kernel: auto, or another cell",
            )
        if not on_gpu:
            raise InputError(
                "runtime.kernel: cudnn needs a GPU, and this run is on the CPU",
                "use runtime.kernel: auto, or a machine where TensorFlow sees a GPU",
            )
        return KernelChoice("cudnn", "runtime.kernel requires it")
    if wanted != "auto":
        return KernelChoice(wanted, "runtime.kernel asks for it")
    if not on_gpu:
        return KernelChoice("fused", "auto: on a CPU the fused kernel is the fastest")
    if has_cudnn:
        return KernelChoice("cudnn", "auto: on a GPU, and cuDNN has a kernel for this cell")
    return KernelChoice("fused", f"auto: cuDNN has no kernel for {cell}")
