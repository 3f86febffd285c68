"""What of a config rules cuDNN out."""

from __future__ import annotations

from collections.abc import Sequence

from rnncli.config.cells import CellName, CustomCell, name_of

CUDNN_CELLS = ("lstm", "gru")
"""Cells that cuDNN has kernels for, in the form that Keras's layers have here."""


def cudnn_blockers(
    cell: CellName | CustomCell, implementation: str, no_gpu: str | None, recurrent_dropout: Sequence[str] = ()
) -> list[str]:
    """Every key that rules cuDNN out, each with the reason; none where cuDNN may run.

    Args:
        cell: `model.cell`.
        implementation: `model.implementation`.
        no_gpu: Why no GPU is used, in words that go on from `runtime.device`; None where one is.
        recurrent_dropout: The keys that ask for it.
    """
    found = []
    if cell not in CUDNN_CELLS:
        found.append(f"model.cell: {name_of(cell)} (cuDNN has kernels for {' and '.join(CUDNN_CELLS)})")
    if implementation == "cell":
        found.append("model.implementation: cell (cuDNN runs whole layers)")
    found += [f"{key} (cuDNN has no dropout inside the recurrence)" for key in recurrent_dropout]
    if no_gpu is not None:
        found.append(f"runtime.device: {no_gpu}")
    return found
