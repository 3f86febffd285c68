"""Recurrent sequence-to-sequence models from the command line: train, predict, and get the states out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from rnncli.api import Run


def load(
    path: str | os.PathLike[str],
    device: Literal["auto", "cpu", "gpu"] = "auto",
    trust_code: bool = False,
    ensemble: Sequence[str | os.PathLike[str]] = (),
) -> Run:
    """A trained run, ready to be asked.

    Args:
        path: The run directory.
        device: `auto`, `cpu` or `gpu`.
        trust_code: Whether the class of a custom cell may be imported, from the run or the current directory.
        ensemble: Directories of runs that answer together with it.

    Raises:
        rnncli.errors.RnncliError: One is not a sound run directory, the runs cannot answer together, or the device is
            not there.
    """
    from rnncli.api import Run

    return Run(path, device, trust_code, ensemble)
