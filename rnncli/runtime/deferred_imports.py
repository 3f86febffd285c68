"""Imports of modules that run when something in them is first used."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


@contextlib.contextmanager
def deferred(names: frozenset[str]) -> Iterator[None]:
    """Let imports of these modules in this thread only make an empty module, which fills itself when it is used.

    Nothing is hidden: afterwards everybody finds in these modules what is in them.
    """
    finder = _DeferringFinder(names)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _DeferringFinder:
    """Finds some modules where they are, with loaders that wait."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names, self._thread = names, threading.get_ident()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return the spec of one of the modules; None for others, and in other threads."""
        if name not in self._names or threading.get_ident() != self._thread:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec
