"""Which kernel runs a recurrent layer, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rnncli.config import CellName, CustomCell, name_of
from rnncli.config.cudnn import cudnn_blockers
from rnncli.errors import InputError, RunFailedError
from rnncli.layers.cells import CELLS
from rnncli.layers.cudnn_probe import probe_cudnn
from rnncli.runtime import xla as compilation


@dataclass(frozen=True)
class KernelChoice:
    """A kernel (`fused`, `cudnn`, `generic`, or `cell` for step by step) with the reason for it, in words."""

    kernel: str
    reason: str


def choose_kernel(
    cell: CellName | CustomCell,
    wanted: str,
    on_gpu: bool,
    implementation: str = "layer",
    probe: Callable[[str], str | None] = probe_cudnn,
    recurrent_dropout: Sequence[str] = (),
) -> KernelChoice:
    """The kernel for a cell on a device.

    Args:
        cell: `model.cell` of the config.
        wanted: `runtime.kernel` of the config.
        on_gpu: Whether the model runs on a GPU.
        implementation: `model.implementation` of the config.
        probe: Tries cuDNN with a cell and gives what failed, or None; asked only where cuDNN would run.
        recurrent_dropout: The keys of the config that ask for it.

    Raises:
        InputError: `cudnn` is required and ruled out; names every key of the config that does.
        RunFailedError: `cudnn` is required and does not work on this GPU.
    """
    if wanted == "cudnn":
        return _required_cudnn(cell, on_gpu, implementation, probe, recurrent_dropout)
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
    if wanted != "auto":
        return KernelChoice(wanted, "runtime.kernel asks for it")
    if not on_gpu:
        return KernelChoice("fused", "auto: on a CPU the fused kernel is the fastest")
    if recurrent_dropout:
        return KernelChoice("fused", f"auto: cuDNN is ruled out by {', '.join(recurrent_dropout)}")
    if not CELLS[cell].cudnn:
        return KernelChoice("fused", f"auto: cuDNN has no kernel for {cell}")
    if (failure := probe(cell)) is not None:
        return KernelChoice("fused", f"auto: cuDNN was tried on this GPU and fails: {failure}")
    return KernelChoice("cudnn", "auto: on a GPU, and cuDNN has a kernel for this cell")


def xla_compiles(choices: Iterable[KernelChoice]) -> bool:
    """Whether XLA can compile a computation with these kernels in it; it knows no cuDNN kernel."""
    return compilation.XLA and all(choice.kernel != "cudnn" for choice in choices)


def _required_cudnn(
    cell: CellName | CustomCell,
    on_gpu: bool,
    implementation: str,
    probe: Callable[[str], str | None],
    recurrent_dropout: Sequence[str],
) -> KernelChoice:
    no_gpu = None if on_gpu else "cuDNN needs a GPU, and this run is on the CPU"
    if blockers := cudnn_blockers(cell, implementation, no_gpu, recurrent_dropout):
        raise InputError(
            f"runtime.kernel: cudnn is ruled out by {'; '.join(blockers)}",
            "use runtime.kernel: auto, or change what rules it out; `rnncli devices` says what this machine has",
        )
    if (failure := probe(name_of(cell))) is not None:
        raise RunFailedError(
            f"runtime.kernel: cudnn was tried on this GPU and fails: {failure}",
            "use runtime.kernel: auto or fused; `rnncli devices` tells the versions of CUDA and cuDNN",
        )
    return KernelChoice("cudnn", "runtime.kernel requires it")
