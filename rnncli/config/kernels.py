"""Rules about which kernel can run a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from rnncli.config.cells import CELLS, AnyCell, CustomCell, built_in_cells, has_fused_kernel, name_of

Kernel = Literal["auto", "cudnn", "fused", "generic"]
KERNELS: tuple[str, ...] = get_args(Kernel)


def cudnn_blockers(
    cell: AnyCell, implementation: str, no_gpu: str | None, recurrent_dropout: Sequence[str] = ()
) -> list[str]:
    """Return every key that rules cuDNN out, each with the reason; an empty list if cuDNN can run.

    Args:
        cell: `model.cell`.
        implementation: `model.implementation`.
        no_gpu: The reason why no GPU is used, to follow `runtime.device: `; None with a GPU.
        recurrent_dropout: The keys that ask for recurrent dropout.
    """
    found = []
    if isinstance(cell, CustomCell) or not all(each.cudnn for each in built_in_cells(cell)):
        cells = " and ".join(name for name, built_in in CELLS.items() if built_in.cudnn)
        found.append(f"model.cell: {name_of(cell)} (cuDNN has kernels for {cells})")
    if implementation == "cell":
        found.append("model.implementation: cell (cuDNN runs whole layers)")
    found += [f"{key} (cuDNN has no recurrent dropout)" for key in recurrent_dropout]
    if no_gpu is not None:
        found.append(f"runtime.device: {no_gpu}")
    return found


def fused_blockers(cell: AnyCell, implementation: str) -> list[str]:
    """Return every key that rules the fused kernel out, each with the reason; an empty list if it can run.

    Args:
        cell: `model.cell`.
        implementation: `model.implementation`.
    """
    found = []
    if not has_fused_kernel(cell):
        cells = ", ".join(name for name in CELLS if has_fused_kernel(name))
        kind = "custom" if isinstance(cell, CustomCell) else name_of(cell)
        found.append(f"model.cell: {kind} (there are fused kernels for {cells})")
    if implementation == "cell":
        found.append("model.implementation: cell (the fused kernel runs whole layers)")
    return found
