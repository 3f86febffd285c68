"""Objects that tables name as `module:name`, imported when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def import_named(path: str) -> Any:
    """Import an object by `module:name`."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
