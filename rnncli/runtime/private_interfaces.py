"""Private interfaces of Keras and TensorFlow that rnncli uses; without them it works, but does less."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any


def keras_globals() -> Any:
    """Return Keras's attributes of a thread: an object with `get_global_attribute` and `set_global_attribute`.

    Returns None where Keras has no such module. Keras 3.12 to 3.15 have no public way to put seeds, default types and
    the counters of automatic names back.
    """
    try:
        from keras.src.backend.common import global_state
    except ImportError:
        return None
    return global_state


def eager_context() -> Any:
    """Return TensorFlow's context of eager execution, which knows whether it has computed, and its random states."""
    try:
        from tensorflow.python.eager import context
    except ImportError:
        return None
    return context.context()


@contextlib.contextmanager
def deterministic_ops() -> Iterator[None]:
    """Let TensorFlow compute with deterministic operations inside the context; publicly they can only be enabled."""
    import tensorflow as tf

    try:
        from tensorflow.python.framework import config
    except ImportError:
        tf.config.experimental.enable_op_determinism()
        yield
        return
    was_deterministic = config.is_op_determinism_enabled()
    config.enable_op_determinism()
    try:
        yield
    finally:
        if not was_deterministic:
            config.disable_op_determinism()


def number_names(chosen: Callable[[], int | None]) -> None:
    """Let TensorFlow number the names of functions by what `chosen` returns, where that is not None.

    Its own number counts the tensors too that were computed before.
    """
    try:
        from tensorflow.python.framework import ops
    except ImportError:
        return
    if (plain := getattr(ops, "uid", None)) is None:
        return

    def uid() -> int:
        number = chosen()
        found: int = plain() if number is None else number
        return found

    ops.uid = uid
