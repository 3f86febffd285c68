"""The choice of the kernel that runs recurrent layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rnncli.config import CELLS, CustomCell, name_of
from rnncli.config.cells import AnyCell, has_fused_kernel, names_of
from rnncli.config.kernels import cudnn_blockers
from rnncli.errors import InputError, RunFailedError
from rnncli.layers.cells import keras_cell
from rnncli.layers.cudnn_probe import probe_cudnn
from rnncli.runtime import xla


@dataclass(frozen=True)
class KernelChoice:
    """A kernel and the reason for it.

    Attributes:
        kernel: `fused`, `cudnn`, `generic` (the Keras layer), or `cell` (`keras.layers.RNN` over the Keras cell).
        reason: In words, for reports.
    """

    kernel: str
    reason: str


def choose_kernel(
    cell: AnyCell,
    wanted: str,
    on_gpu: bool,
    implementation: str = "layer",
    probe: Callable[[str], str | None] = probe_cudnn,
    recurrent_dropout: Sequence[str] = (),
) -> KernelChoice:
    """Choose the kernel for a cell on a device.

    Args:
        cell: `model.cell`.
        wanted: `runtime.kernel`.
        on_gpu: True if the model runs on a GPU.
        implementation: `model.implementation`.
        probe: Tries cuDNN with a cell and returns the failure, or None; called only if cuDNN would run.
        recurrent_dropout: The config keys that ask for recurrent dropout.

    Raises:
        InputError: `cudnn` is required and ruled out; names every config key that rules it out.
        RunFailedError: `cudnn` is required and does not work on this GPU.
    """
    if wanted == "cudnn":
        return _require_cudnn(cell, on_gpu, implementation, probe, recurrent_dropout)
    if isinstance(cell, CustomCell):
        name = cell.user_class.class_name
        reason = f"model.cell: custom runs {name} in keras.layers.RNN; cuDNN and the fused kernel cannot"
        return KernelChoice("cell", reason)
    if implementation == "cell":
        cells = " and ".join(keras_cell(name).__name__ for name in names_of(cell))
        reason = f"model.implementation: cell runs {cells} in keras.layers.RNN; cuDNN cannot"
        return KernelChoice("cell", reason)
    if wanted != "auto":
        return KernelChoice(wanted, "required by runtime.kernel")
    fused = has_fused_kernel(cell)
    kernel, otherwise = ("fused", "") if fused else ("generic", f"; {name_of(cell)} has no fused kernel")
    if not on_gpu:
        return KernelChoice(
            kernel, "auto: the fastest on a CPU" if fused else f"auto: {name_of(cell)} has no fused kernel"
        )
    if recurrent_dropout:
        return KernelChoice(kernel, f"auto: cuDNN is ruled out by {', '.join(recurrent_dropout)}{otherwise}")
    if without := [name for name in names_of(cell) if not CELLS[name].cudnn]:
        return KernelChoice(kernel, f"auto: cuDNN has no kernel for {without[0]}{otherwise}")
    if (failure := _failure(cell, probe)) is not None:
        return KernelChoice(kernel, f"auto: cuDNN was tried on this GPU and failed: {failure}{otherwise}")
    return KernelChoice("cudnn", "auto: the fastest on a GPU")


def _failure(cell: AnyCell, probe: Callable[[str], str | None]) -> str | None:
    """Return why cuDNN fails with one of the cells; None if it works."""
    return next((failure for name in names_of(cell) if (failure := probe(name)) is not None), None)


def xla_compiles(choices: Iterable[KernelChoice]) -> bool:
    """Return True if XLA can compile a computation with these kernels: it has no cuDNN kernels."""
    return xla.XLA and all(choice.kernel != "cudnn" for choice in choices)


def _require_cudnn(
    cell: AnyCell,
    on_gpu: bool,
    implementation: str,
    probe: Callable[[str], str | None],
    recurrent_dropout: Sequence[str],
) -> KernelChoice:
    no_gpu = None if on_gpu else "cuDNN needs a GPU, and this run is on the CPU"
    if blockers := cudnn_blockers(cell, implementation, no_gpu, recurrent_dropout):
        raise InputError(
            f"runtime.kernel: cudnn is ruled out by {'; '.join(blockers)}",
            "use runtime.kernel: auto, or change these keys; `rnncli devices` shows what this machine has",
        )
    if (failure := _failure(cell, probe)) is not None:
        raise RunFailedError(
            f"runtime.kernel: cudnn was tried on this GPU and failed: {failure}",
            "use runtime.kernel: auto or fused; `rnncli devices` shows the versions of CUDA and cuDNN",
        )
    return KernelChoice("cudnn", "required by runtime.kernel")
