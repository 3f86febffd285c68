"""Names of TensorFlow's functions that follow from what they compute, so that XLA's cache finds them again.

XLA's cache knows a computation by its name among others, and TensorFlow ends each name in a number that counts all
tensors and functions of the process so far. So the name would depend on the number of mini-batches computed before,
and on the order in which threads come. Inside of `stable_names` the number follows from a key.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rnncli.runtime.private_interfaces import number_names

_local = threading.local()
_lock = threading.Lock()
_seen = Counter[str]()

NAMES = 2**20
"""About the most numbers that a key needs: each tensor of what is traced takes one."""


@contextlib.contextmanager
def stable_names(what: str, *arguments: Any) -> Iterator[None]:
    """Number the names of functions that this thread traces inside the context by a key.

    Args:
        what: What is traced.
        arguments: Nested structures of tensors or specs, whose types and shapes belong to the key too. When the same
            is traced again, as for another model, its numbers are others.
    """
    if not hasattr(_local, "numbers"):
        import tensorflow as tf

        tf.compat.v1.get_default_graph()  # which takes a number when a thread first asks for it
    before = getattr(_local, "numbers", None)
    _local.numbers = _numbers(what, arguments)
    try:
        yield
    finally:
        _local.numbers = before


def use_stable_names() -> None:
    """Let TensorFlow number the names of functions by `stable_names`, in all of the process."""
    number_names(_chosen)


def _chosen() -> int | None:
    numbers: Iterator[int] | None = getattr(_local, "numbers", None)
    return None if numbers is None else next(numbers)


def _numbers(what: str, arguments: tuple[Any, ...]) -> Iterator[int]:
    """Yield the numbers of a key, which is made when the first is asked for: most calls trace nothing."""
    import tensorflow as tf

    shapes = [(str(each.dtype), str(each.shape)) for each in tf.nest.flatten(arguments) if hasattr(each, "shape")]
    key = f"{what} {shapes}"
    with _lock:
        _seen[key] += 1
        time = _seen[key]
    digest = hashlib.sha256(f"{time} {key}".encode()).digest()
    yield from itertools.count(int.from_bytes(digest[:5]) * NAMES + NAMES)
