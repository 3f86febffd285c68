"""Functions that XLA compiles, and compiles again after a failure of its cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

from rnncli.runtime.function_names import stable_names
from rnncli.runtime.tensorflow_setup import cache_failures, recover_from_cache_failure

P = ParamSpec("P")
R = TypeVar("R")


class CompiledFunction(Generic[P, R]):
    """A `tf.function` without side effects, which is made anew and called again if XLA's cache fails.

    Args:
        run: The function.
        jit_compile: Whether XLA compiles it.
        name: What it computes, by which XLA's cache knows it; see `stable_names`.
    """

    def __init__(self, run: Callable[P, R], jit_compile: bool, name: str) -> None:
        self._run, self._jit_compile, self._name = run, jit_compile, name
        self._function = self._make()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        while True:
            failures, function = cache_failures(), self._function
            try:
                with stable_names(self._name, args, kwargs):
                    result: R = function(*args, **kwargs)
                return result
            except Exception as error:
                if not recover_from_cache_failure(error, failures):
                    raise
            self._function = self._make()

    def output_shapes(self, *specs: Any) -> dict[str, tuple[int, ...]]:
        """Return the shapes of a result that is a dictionary, for inputs of these specs.

        Calls with such inputs trace the function no more.
        """
        with stable_names(self._name, specs):
            outputs: dict[str, Any] = self._function.get_concrete_function(*specs).structured_outputs
        return {name: tuple(value.shape) for name, value in outputs.items()}

    def _make(self) -> Any:
        import tensorflow as tf

        return tf.function(self._run, jit_compile=self._jit_compile, autograph=False)
