"""Sweeps: many trainings of one config with other values, seeds and settings, chosen by Optuna."""

from __future__ import annotations

from importlib.util import find_spec

from rnncli.errors import InputError, install_command


def require_optuna() -> None:
    """Refuse to sweep without Optuna.

    Raises:
        InputError: It is not installed.
    """
    if find_spec("optuna") is None:
        raise InputError("a sweep needs the package optuna, which is not installed", install_command("optuna"))
