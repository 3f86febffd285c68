"""Engines that train elsewhere than this process: on a Ray cluster. Imports Ray only when it is used."""

from __future__ import annotations

from importlib.util import find_spec

from rnncli.errors import InputError, install_command

LOCAL, RAY = "local", "ray"
ENGINES = (LOCAL, RAY)
"""Names of the engines; the commands `train` and `sweep` have a table each of what they do."""

PACKAGES = ("ray", "pyarrow", "pandas")
"""Packages that `ray[train]` brings; Ray alone lacks the others."""


def require_ray() -> None:
    """Refuse to train on Ray where it is not installed.

    Raises:
        InputError: A package is missing.
    """
    for package in PACKAGES:
        if find_spec(package) is None:
            raise InputError(f"--engine ray: the package {package} is not installed", install_command("rnncli[ray]"))
