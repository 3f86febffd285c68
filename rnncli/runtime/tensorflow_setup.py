"""The machine: devices, threads, seeds, determinism, distribution strategy. TensorFlow is imported when asked for."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from rnncli.errors import RunFailedError
from rnncli.runtime import xla as compilation
from rnncli.runtime.host import available_cores

if TYPE_CHECKING:
    from rnncli.config import Runtime as RuntimeConfig


MAX_WORKERS = 8
"""Batches that are answered side by side on however many cores, so that memory is bounded."""

UNUSED = ("matplotlib", "pandas", "sklearn")
"""What Keras imports where it is installed, for parts of it that rnncli does not use: about a second."""

own_process = False
"""Whether the process is the command's own: then nobody else in it misses what is left out to start sooner."""


@dataclass(frozen=True)
class Runtime:
    """Where a model runs.

    Attributes:
        strategy: The `tf.distribute.Strategy` of training.
        on_gpu: Whether on a GPU.
        parts: How many parts of a batch are trained on side by side.
        threads: Those of TensorFlow that one computation on a CPU shares its work with.
        workers: How many batches are answered side by side.
    """

    strategy: Any
    on_gpu: bool
    parts: int
    threads: int = 1
    workers: int = 1

    @property
    def device(self) -> str:
        """The device, as TensorFlow names it."""
        return "/GPU:0" if self.on_gpu else "/CPU:0"


@cache
def _import_tensorflow(threads: int) -> Any:
    """Import and set up TensorFlow, once in a process.

    On a CPU the batches of training are split over the cores by hand, one XLA computation each; one thread inside
    each computation and as many computations at once as there are cores is then the fastest division of work. But
    large products, loops, and what does not wait for each other, as two directions, are not computed in the
    computation's own thread: XLA hands them to TensorFlow's threads, of which there must be as many as cores lest
    computations wait for each other (256 units in both directions, 128 rows: 42 ms a step with one thread, 23 with
    two; a loop of 100 steps of 128 units: 46 and 26; 64 units in both directions, 256 rows: 13 and 8). Where there is
    nothing of it, more threads only cost (7 and 4 steps of 128 units: 4.9 and 5.8 ms).
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    talkative = os.environ.get("TF_CPP_MIN_LOG_LEVEL") in ("0", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["XLA_FLAGS"] = compilation.optimized(os.environ.get("XLA_FLAGS", ""))
    if (directory := compilation.cache_directory(versions())) is not None:
        os.environ["TF_XLA_FLAGS"] = f"{compilation.flags(directory)} {os.environ.get('TF_XLA_FLAGS', '')}".strip()
    quickly = _quickly() if own_process else contextlib.nullcontext()
    with contextlib.nullcontext() if talkative else _stderr_held_back(), quickly:
        import keras
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)  # others may use it too
    tf.get_logger().setLevel("ERROR")
    with contextlib.suppress(RuntimeError):  # of a process that computed already the threads stay
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(max(2, available_cores()))
    tf.config.experimental.enable_op_determinism()
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    return tf


@contextlib.contextmanager
def _stderr_held_back() -> Iterator[None]:
    """Keep TensorFlow's start-up chatter, written by its C++ side, off the terminal unless the import fails."""
    with tempfile.TemporaryFile() as held:
        kept = os.dup(2)
        try:
            os.dup2(held.fileno(), 2)
            yield
        except Exception:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def _quickly() -> Iterator[None]:
    """Import without what is unused, and without looking for garbage, now or later: that takes a fifth of the time.

    Keras then takes the unused for not installed, as long as the process lives; others can import it afterwards.
    """
    hidden = [name for name in UNUSED if name not in sys.modules]
    gc.disable()
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        gc.freeze()
        gc.enable()


def start(config: RuntimeConfig, most_parts: int | None = None, threads: bool = False) -> Runtime:
    """Make TensorFlow ready.

    Args:
        config: The `runtime` section of the config.
        most_parts: Of a batch in training, where the config does not say; see `parallelism.plan_parallelism`.
        threads: Whether computations need more threads than their own; see `Config.needs_threads`. It is
            decided when TensorFlow first computes.

    Raises:
        RunFailedError: A GPU, or what only GPUs have, is demanded and TensorFlow sees none.
    """
    tf = _import_tensorflow((config.cores or available_cores()) if threads else 1)
    gpus = tf.config.list_physical_devices("GPU")
    if config.device == "gpu" and not gpus:
        raise RunFailedError(
            "runtime.device: gpu, but TensorFlow sees no GPU on this machine",
            "use --device auto or cpu; `rnncli devices` says what is missing",
        )
    on_gpu = bool(gpus) and config.device != "cpu"
    if config.precision != "float32" and not on_gpu:
        raise RunFailedError(
            f"runtime.precision: {config.precision} is for GPUs, and TensorFlow sees none on this machine",
            "use runtime.precision: float32; `rnncli devices` says what is missing",
        )
    tf.config.experimental.enable_tensor_float_32_execution(config.precision != "float32")
    parts = 1 if on_gpu else config.cores or available_cores()
    workers = min(parts, available_cores(), MAX_WORKERS)
    if most_parts is not None and config.cores is None:
        parts = min(parts, most_parts)
    shared_by = 1 if on_gpu else tf.config.threading.get_intra_op_parallelism_threads()
    strategy = tf.distribute.OneDeviceStrategy("/GPU:0" if on_gpu else "/CPU:0")
    return Runtime(strategy, on_gpu, parts, shared_by, workers)


def versions() -> dict[str, str]:
    """Versions of what decides the numbers."""
    from importlib.metadata import version

    from rnncli._version import __version__

    return {"rnncli": __version__, **{name: version(name) for name in ("tensorflow", "keras", "numpy")}}
