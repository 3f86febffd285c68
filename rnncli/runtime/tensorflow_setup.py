"""Setup of TensorFlow: devices, threads, XLA's flags, determinism. TensorFlow is imported when first needed.

Only this module changes settings of the whole process, and it does so in one of two ways:

* In the process of the `rnncli` command, which says so by `claim_process`, they are set once and stay.
* In any other process, such as a notebook, `scoped_settings` sets the few that results depend on while rnncli
  computes, and puts them back. Environment variables, threads and XLA's flags stay those of the process.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import random
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from rnncli._version import __version__
from rnncli.errors import RunFailedError, in_command_line, install_command, warn_user
from rnncli.runtime import xla
from rnncli.runtime.compilation_cache import CompilationCache, open_cache, without_cache_flags
from rnncli.runtime.deferred_imports import deferred
from rnncli.runtime.function_names import use_stable_names
from rnncli.runtime.held_messages import hold_messages
from rnncli.runtime.host import available_cores
from rnncli.runtime.memory import explain_import_errors, require_memory
from rnncli.runtime.private_interfaces import deterministic_ops, eager_context, keras_globals

if TYPE_CHECKING:
    import logging

    from rnncli.cluster.layout import Cluster
    from rnncli.config import Config, RuntimeConfig
    from rnncli.data.examples import Examples, Sizes
    from rnncli.runtime.workers import Workers


def _alone() -> Workers:
    from rnncli.runtime.workers import Workers  # which imports NumPy, and `--help` needs none

    return Workers()


MAX_WORKERS = 8
"""Batches that are predicted at the same time on however many cores, so that memory is bounded."""

UNUSED_PACKAGES = ("IPython", "matplotlib", "pandas", "sklearn")
"""Packages that Keras imports where they are installed, for parts of it that rnncli does not use."""

DEFERRED_MODULES = frozenset(
    {
        "IPython",
        "keras.src.trainers.data_adapters.array_slicing",
        "keras.src.visualization",
        *(f"{face}.{name}" for face in ("keras", "keras._tf_keras.keras") for name in ("visualization", "wrappers")),
    }
)
"""IPython, and the modules of Keras that import pandas, matplotlib and scikit-learn.

Keras imports nothing by name from any of them, which would fill them at once.
"""

DISTRIBUTIONS = {
    "tensorflow": ("tensorflow", "tensorflow-cpu", "tf-nightly", "tf-nightly-cpu", "tensorflow-rocm"),
    "keras": ("keras", "keras-nightly"),
    "numpy": ("numpy",),
}
"""Names under which each package is distributed, the most likely first."""

MAX_PYTHON = (3, 13)
"""The newest Python that TensorFlow has packages for."""

NO_KERAS_HOME = f"{os.devnull}/keras"
"""A place where Keras can neither read nor write keras.json, whose settings would change results or end commands."""

KERAS_GLOBALS = ("dtype_policy", "global_random_seed", "global_seed_generator")
"""Keras's attributes of a thread that building and training a model reads or sets."""

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""Environment variable of TensorFlow: 0 shows all messages of its C++ side, 2 errors, 3 none."""
VERBOSE_LEVELS = ("0", "1")
"""Values of it that ask for the log: from information on, or from warnings on."""
_LOG_LINE = re.compile(
    rb"^(?:[IWE]\d{4} \d\d:|\d{4}-\d\d-\d\d \S+ [IWE] |WARNING: All log messages before absl::"
    rb"|To enable the following instructions).*\n?",
    re.MULTILINE,
)
"""A line of that log."""

_claimed = False
_loading: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
_cache: CompilationCache | None = None


@dataclass(frozen=True)
class Runtime:
    """Devices and threads that a model runs on.

    Attributes:
        strategy: The `tf.distribute.Strategy` of training.
        on_gpu: True on a GPU.
        shards: Shards of a mini-batch that are trained on at the same time.
        threads: TensorFlow's threads that one computation on a CPU shares its work with.
        workers: Batches that are predicted at the same time.
        group: The processes that train one model together, of which this is one.
    """

    strategy: Any
    on_gpu: bool
    shards: int
    threads: int = 1
    workers: int = 1
    group: Workers = field(default_factory=_alone)

    @property
    def device(self) -> str:
        """The device, as TensorFlow names it."""
        return "/GPU:0" if self.on_gpu else "/CPU:0"


def claim_process(loading: Callable[[], AbstractContextManager[None]] | None = None) -> None:
    """Let this process belong to rnncli, so that settings of the whole process may be set, and stay.

    The `rnncli` command calls it before anything else. Others may, before they use TensorFlow, to compute with the
    same bits and at the same speed as the command.

    Args:
        loading: Makes a context manager that is entered while TensorFlow is imported; None is none.

    Raises:
        RunFailedError: rnncli has used TensorFlow in this process already, so that it is too late.
    """
    global _claimed, _loading
    if not _claimed and _import_tensorflow.cache_info().currsize:
        raise RunFailedError(
            "claim_process: rnncli has used TensorFlow in this process already",
            "call it before rnncli.load and rnncli.train",
        )
    _claimed, _loading = True, loading or contextlib.nullcontext


def setup_training(config: Config, sizes: Sizes, examples: Examples, cluster: Cluster | None = None) -> Runtime:
    """Set TensorFlow up to train a config on examples, divided among the cores as is fastest.

    Args:
        config: The validated config.
        sizes: Sizes of the vocabularies and sequences.
        examples: The training examples.
        cluster: The processes that train together, which have met; None is this one alone.

    Raises:
        RunFailedError: A GPU is demanded and there is none, TensorFlow cannot be used in this process, or the workers
            cannot be connected.
    """
    from rnncli.runtime.parallelism import plan_parallelism  # which imports pydantic, and `--help` needs none

    count = 1 if cluster is None else cluster.count
    plan = plan_parallelism(config, sizes, examples, count)
    return setup_tensorflow(config.runtime, plan.max_shards, plan.needs_threads, cluster)


def setup_inference(config: Config) -> Runtime:
    """Set TensorFlow up to predict with a model of a config; raises what `setup_training` does."""
    from rnncli.runtime.parallelism import needs_threads

    return setup_tensorflow(config.runtime, threads=needs_threads(config))


def setup_tensorflow(
    config: RuntimeConfig, max_shards: int | None = None, threads: bool = False, cluster: Cluster | None = None
) -> Runtime:
    """Set TensorFlow up; see `setup_training` and `setup_inference`, which know what a model needs.

    Args:
        config: The `runtime` section of the config.
        max_shards: Upper bound of the shards of a mini-batch, where the config does not say.
        threads: True if one computation needs several threads; decided when TensorFlow first computes.
        cluster: The processes that train together; None is this one alone.

    Raises:
        RunFailedError: A GPU, or a precision that only GPUs have, is demanded and TensorFlow sees none; or TensorFlow
            is not installed, or Keras has another backend.
    """
    tf = _import_tensorflow()
    _set_threads((config.cores or available_cores()) if threads else 1)
    gpus = _visible_gpus(config, cluster)
    if config.device == "gpu" and not gpus:
        cpu = "--device cpu" if in_command_line() else "runtime.device: cpu, or device='cpu' of rnncli.load"
        raise RunFailedError(
            "runtime.device: gpu, but TensorFlow sees no GPU on this machine",
            f"use {cpu}{' with runtime.kernel: auto' * (config.kernel == 'cudnn')}; "
            "`rnncli devices` says what is missing",
        )
    on_gpu = bool(gpus) and config.device != "cpu"
    if config.precision != "float32" and not on_gpu:
        raise RunFailedError(
            f"runtime.precision: {config.precision} is for GPUs, and TensorFlow sees none on this machine",
            "use runtime.precision: float32; `rnncli devices` says what is missing",
        )
    tf.config.experimental.enable_tensor_float_32_execution(config.precision != "float32")
    shards = 1 if on_gpu else config.cores or available_cores()
    workers = min(shards, available_cores(), MAX_WORKERS)
    if max_shards is not None and config.cores is None:
        shards = min(shards, max_shards)
    group = _alone() if cluster is None else _connected(cluster, config, on_gpu)
    strategy = tf.distribute.OneDeviceStrategy("/GPU:0" if on_gpu else "/CPU:0")
    return Runtime(strategy, on_gpu, shards, 1 if on_gpu else _threads(), workers, group)


def _visible_gpus(config: RuntimeConfig, cluster: Cluster | None) -> list[Any]:
    """Return the GPUs that TensorFlow sees; each of several workers on a machine gets one of its own.

    Raises:
        RunFailedError: A machine has more workers than GPUs.
    """
    tf = _import_tensorflow()
    gpus: list[Any] = tf.config.list_physical_devices("GPU")
    if cluster is None or not gpus or config.device == "cpu":
        return gpus
    number, count = cluster.on_this_host
    if count > len(gpus):
        raise RunFailedError(
            f"{count} workers on this machine, and {len(gpus)} GPUs",
            f"start {len(gpus)} workers, or use --device cpu",
        )
    own = gpus[number : number + 1]
    tf.config.set_visible_devices(own, "GPU")
    return own


def _connected(cluster: Cluster, config: RuntimeConfig, on_gpu: bool) -> Workers:
    """Return the workers of a cluster, connected by TensorFlow.

    Raises:
        RunFailedError: They cannot be connected, or this process is not rnncli's own.
    """
    from rnncli.runtime.workers import Workers

    if not _claimed:
        raise RunFailedError(
            "only a process of rnncli's own can be a worker, since TensorFlow connects workers when it starts",
            "train with the command rnncli train, or call rnncli.runtime.tensorflow_setup.claim_process first",
        )
    group = Workers(cluster, config.worker_timeout)
    group.connect(on_gpu)
    return group


def versions() -> dict[str, str]:
    """Return the versions of all that decides the numbers, without importing them."""
    return {"rnncli": __version__, **{package: _version_of(package) for package in DISTRIBUTIONS}}


def xla_flags() -> str:
    """Return the flags that XLA compiles with; those of the command differ from those of other processes."""
    return os.environ.get("XLA_FLAGS", "")


def _version_of(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, packages_distributions, version  # slow to import

    for name in DISTRIBUTIONS[package]:
        with contextlib.suppress(PackageNotFoundError):
            return version(name)
    for name in packages_distributions().get(package, ()):  # of a vendor; slower to find
        return version(name)
    return str(getattr(sys.modules.get(package), "__version__", "unknown"))


@cache
def _import_tensorflow() -> Any:
    """Import TensorFlow and Keras, and in a process of rnncli's own set what belongs to the whole process."""
    _require_tensorflow()
    if "tensorflow" not in sys.modules:
        require_memory()
    if not _claimed:
        return _import_into_other_process()
    _set_environment()
    verbose = os.environ.get(LOG_LEVEL) in VERBOSE_LEVELS
    captured = contextlib.nullcontext() if verbose else hold_messages()
    with explain_import_errors(), _loading(), captured, _skip_unused_imports():
        import keras
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)  # other processes may use it too
    use_stable_names()
    tf.get_logger().setLevel("ERROR")
    tf.config.experimental.enable_op_determinism()
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    return tf


def _import_into_other_process() -> Any:
    """Import TensorFlow and Keras as they are configured in this process."""
    wanted = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if "keras" in sys.modules or wanted == "tensorflow":
        with deferred(DEFERRED_MODULES), _hold_log():
            import keras

        wanted = keras.backend.backend()  # keras.json may name one too
    if wanted != "tensorflow":
        raise RunFailedError(
            f"Keras has the backend {wanted} in this process, and rnncli needs tensorflow",
            "set the environment variable KERAS_BACKEND to tensorflow before Keras is imported",
        )
    with _hold_log():
        import tensorflow as tf
    _was_used_before()
    return tf


def _require_tensorflow() -> None:
    if find_spec("tensorflow") is not None:
        return
    hint = f"{install_command('tensorflow')} (or tensorflow-cpu, which is smaller)"
    if sys.version_info[:2] > MAX_PYTHON:
        newest = ".".join(map(str, MAX_PYTHON))
        hint = f"it may have no packages for Python {sys.version_info[0]}.{sys.version_info[1]}; use Python {newest}"
    raise RunFailedError("TensorFlow is not installed for this Python", hint)


def _set_environment() -> None:
    """Set what TensorFlow, Keras and XLA read when they are imported or first compute."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["KERAS_HOME"] = NO_KERAS_HOME
    os.environ.setdefault(LOG_LEVEL, "3")
    os.environ["XLA_FLAGS"] = xla.with_default_flags(os.environ.get("XLA_FLAGS", ""))
    _open_cache()


def _open_cache() -> None:
    """Let XLA keep its compilations."""
    global _cache
    _cache = open_cache(versions())
    flags = without_cache_flags(os.environ.get("TF_XLA_FLAGS", ""))
    if _cache is not None:
        atexit.register(_cache.close)
        flags = f"{_cache.flags} {flags}"
    os.environ["TF_XLA_FLAGS"] = flags.strip()


def publish_compilations() -> None:
    """Keep what XLA has compiled so far for other processes; a failure is a warning."""
    if _cache is not None:
        _cache.publish()


def cached_compilations() -> int | None:
    """Return the number of compilations in XLA's cache; None if there is no cache."""
    return None if _cache is None else len(_cache)


def cache_failures() -> int:
    """Return how often the cache of compilations has failed in this process."""
    return 0 if _cache is None else _cache.generation


def recover_from_cache_failure(error: Exception, failures: int) -> bool:
    """Return True if the cache of compilations caused an error, and the computation can be compiled again.

    XLA remembers a failure for as long as the function exists, so it must be a new `tf.function`.

    Args:
        error: The error.
        failures: What `cache_failures` said before the computation.
    """
    return _cache is not None and _cache.recover(error, failures)


def _set_threads(threads: int) -> None:
    """Set the threads that computations on a CPU share, or say once that they are others.

    On a CPU the shards of a mini-batch are divided among the cores by hand, one XLA computation each. One thread
    inside each computation, and as many computations at once as there are cores, is the fastest division of work. But
    XLA hands wide products, loops, and layers that do not depend on each other to TensorFlow's threads, of which
    there must then be as many as cores, or computations wait for each other. Otherwise more threads only cost time.
    """
    tf = _import_tensorflow()
    if _claimed:
        with contextlib.suppress(RuntimeError):  # it computed already: its threads stay
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            tf.config.threading.set_inter_op_parallelism_threads(max(2, available_cores()))
    elif threads != _threads() and _was_used_before():
        _warn_of_threads(threads, _threads())


def _threads() -> int:
    """Return TensorFlow's threads inside of one computation."""
    threads: int = _import_tensorflow().config.threading.get_intra_op_parallelism_threads()
    return threads or available_cores()


@cache
def _was_used_before() -> bool:
    """Return True if TensorFlow had computed in this process before rnncli first used it."""
    return bool(getattr(eager_context(), "_initialized", True))


@cache
def _warn_of_threads(wanted: int, found: int) -> None:
    """Warn once in a process."""
    warn_user(
        f"TensorFlow was used before in this process and has {found} threads, not {wanted}: the last bits may differ "
        "from those that the rnncli command computes. For the same bits call "
        f"tf.config.threading.set_intra_op_parallelism_threads({wanted}) before TensorFlow computes anything."
    )


@contextlib.contextmanager
def scoped_settings() -> Iterator[None]:
    """Set what results depend on while rnncli computes in somebody else's process, and put everything back.

    That is deterministic operations, Keras's default types, TensorFloat-32, and the global random states, which new
    weights are drawn from. Scopes of several threads may overlap: the first sets, the last puts back. In a process
    of rnncli's own it does nothing.
    """
    if _claimed:
        yield
        return
    _import_tensorflow()
    with _scopes.entered(), _preserve_thread_globals():
        yield


class _Scopes:
    """The scopes that are open in this process, in all threads."""

    def __init__(self) -> None:
        self._lock, self._count, self._undo = threading.Lock(), 0, contextlib.ExitStack()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        with self._lock:
            if not self._count:
                self._undo.enter_context(_preserve_random_states())
                self._undo.enter_context(_preserve_settings())
            self._count += 1
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1
                if not self._count:
                    self._undo.close()


_scopes = _Scopes()


@contextlib.contextmanager
def _preserve_settings() -> Iterator[None]:
    """Set TensorFlow's and Keras's global settings, and put them back."""
    tf = _import_tensorflow()
    import keras

    floatx, image_data_format = keras.config.floatx(), keras.config.image_data_format()
    tensor_float_32 = tf.config.experimental.tensor_float_32_execution_enabled()
    try:
        keras.config.set_floatx("float32")
        keras.config.set_image_data_format("channels_last")
        tf.config.experimental.enable_tensor_float_32_execution(False)  # `setup_tensorflow` may enable it
        tf.get_logger().addFilter(_is_not_of_tracing)
        with deterministic_ops():
            yield
    finally:
        tf.get_logger().removeFilter(_is_not_of_tracing)
        tf.config.experimental.enable_tensor_float_32_execution(tensor_float_32)
        keras.config.set_floatx(floatx)
        keras.config.set_image_data_format(image_data_format)


def _is_not_of_tracing(record: logging.LogRecord) -> bool:
    """Return False for the warning that a function is traced often: each model and each shape needs its own.

    Meanwhile functions of others in the process are not warned of either.
    """
    return "triggered tf.function retracing" not in record.getMessage()


@contextlib.contextmanager
def _preserve_random_states() -> Iterator[None]:
    """Put the global random states of Python, NumPy and TensorFlow back."""
    import numpy as np

    tensorflow = eager_context()
    python, numpy = random.getstate(), np.random.get_state()
    seed = {name: getattr(tensorflow, name) for name in ("_seed", "_rng") if hasattr(tensorflow, name)}
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        for name, value in seed.items():
            setattr(tensorflow, name, value)


@contextlib.contextmanager
def _preserve_thread_globals() -> Iterator[None]:
    """Put back what Keras holds for each thread: its seeds, and a default type such as mixed_float16."""
    global_state = keras_globals()
    if global_state is None:
        yield
        return
    kept = {name: global_state.get_global_attribute(name) for name in KERAS_GLOBALS}
    global_state.set_global_attribute("dtype_policy", None)
    try:
        yield
    finally:
        for name, value in kept.items():
            global_state.set_global_attribute(name, value)


@contextlib.contextmanager
def _hold_log() -> Iterator[None]:
    """Import TensorFlow in somebody else's process without the log of its C++ side, unless the process asks for it.

    Its errors are exceptions too. What others write to stderr meanwhile appears afterwards.
    """
    given = os.environ.get(LOG_LEVEL)
    if given in VERBOSE_LEVELS:
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr
        yield
        return
    os.environ.setdefault(LOG_LEVEL, "3")  # read once, at TensorFlow's first message
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            if given is None:
                del os.environ[LOG_LEVEL]
            os.dup2(kept, 2)
            held.seek(0)
            with contextlib.suppress(OSError):
                os.write(kept, _LOG_LINE.sub(b"", held.read()))
            os.close(kept)


@contextlib.contextmanager
def _skip_unused_imports() -> Iterator[None]:
    """Import without `UNUSED_PACKAGES`, and without collecting garbage, now or later: both take long.

    Keras then takes these packages for not installed as long as the process lives; others can import them afterwards.
    """
    hidden = [name for name in UNUSED_PACKAGES if name not in sys.modules]
    gc.disable()
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        gc.freeze()
        gc.enable()
