"""Run the recurrent layers that read the source one time step a call, and keep their states in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from numpy.typing import NDArray

from rnncli.data.vocabulary import Vocabulary
from rnncli.errors import InputError
from rnncli.layers import BuiltInRecurrent, Recurrent, TokenEmbedding
from rnncli.layers.cells import numpy_kernel
from rnncli.models import NetworkModel, PairClassifier
from rnncli.runtime.tensorflow_setup import scoped_settings
from rnncli.states.named_arrays import ArraySpec, check_arrays
from rnncli.text import shorten

Array: TypeAlias = NDArray[np.float32]
Rows: TypeAlias = Sequence[int] | NDArray[np.integer] | NDArray[np.bool_] | slice

ReadStep: TypeAlias = Callable[[NDArray[Any], dict[str, Array]], tuple[Array, Array | None, dict[str, Array]]]
"""Inputs of a step and the states before it to outputs, logits and the states after it."""


class Step(NamedTuple):
    """The results of a time step.

    Attributes:
        outputs: The last layer's outputs, float32 [batch, width].
        logits: Those of the output layer, float32 [batch, symbols]; None if it does not read each output by itself.
    """

    outputs: Array
    logits: Array | None


class Stepper:
    """The recurrent layers that read the source, with a state for each row of a batch.

    Made by `Run.stepper`. Built-in cells run in NumPy, in float32 on the CPU; other cells in a compiled function of
    TensorFlow. Both have the weights of the run. The results agree with `Run.unroll` up to rounding.

    Attributes:
        batch: Number of rows.
        state_spec: Name and shape of each state of a row.
    """

    def __init__(self, model: NetworkModel, vocabulary: Vocabulary | None, batch: int, device: str) -> None:
        """Make it with initial states.

        Args:
            model: The model.
            vocabulary: Of the source symbols; None if steps are numbers.
            batch: Number of rows.
            device: Where TensorFlow runs other cells.

        Raises:
            InputError: The model reads in both directions, or two texts, or has an encoder of features, or `batch` is
                not positive.
        """
        if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
            raise InputError(f"batch: {shorten(repr(batch))} is not a positive whole number")
        layers = model.reader.stack.layers
        if any(len(layer.directions) > 1 for layer in layers):
            raise InputError(
                "stepper: a bidirectional layer reads the whole sequence, not step by step",
                "use a model with encoder.bidirectional: false, or run.unroll",
            )
        if isinstance(model, PairClassifier):
            raise InputError(
                "stepper: a classifier of two texts (task.texts: 2) reads the second from the states of the first",
                "use run.unroll, whose inputs begin with the first text",
            )
        if model.features:
            raise InputError(
                "stepper: the encoder reads the features of the source (task.features: encoder) at every step",
                "use run.unroll, whose inputs begin with the features",
            )
        self.batch, self._vocabulary = batch, vocabulary
        self.state_spec = model.reader.stack.state_spec
        width, symbols = model.network.inputs[0].shape[2:], model.reader.embedding
        self._features = None if symbols is not None else int(width[0])
        self._symbols = 0 if symbols is None else symbols.symbols
        fast = [layer for layer in layers if isinstance(layer, BuiltInRecurrent) and numpy_kernel(layer.cell)]
        with scoped_settings():
            self._initial = _initial_states(layers)
            self._read = _numpy_reader(model, fast) if fast == layers else _keras_reader(model, device)
        self._states: dict[str, Array] = {}
        self.reset()

    def step(self, inputs: Sequence[str] | Sequence[int] | NDArray[Any]) -> Step:
        """Read a time step in every row, and keep the new states.

        Args:
            inputs: A symbol, or its id, for each row; where steps are numbers, float [batch, features].

        Raises:
            InputError: The inputs do not fit the model or the batch; no state has changed.
        """
        outputs, logits, self._states = self._read(self._checked(inputs, self.batch), self._states)
        return Step(outputs.copy(), logits)  # the outputs are the states of the next step

    def step_from(
        self, inputs: Sequence[str] | Sequence[int] | NDArray[Any], states: Mapping[str, Any] | None
    ) -> tuple[Step, dict[str, Array]]:
        """Read a time step from given states, in any number of rows; the stepper's own states stay.

        Args:
            inputs: As for `step`, of one row or more.
            states: float [rows, units] by name; None is the initial states.

        Returns:
            The results, and the states after it.

        Raises:
            InputError: The inputs or the states do not fit.
        """
        if not len(inputs):
            raise InputError("inputs: none given")
        read, rows = self._checked(inputs, len(inputs)), len(inputs)
        if states is None:
            before = {name: np.repeat(value, rows, axis=0) for name, value in self._initial.items()}
        else:
            before = self._checked_states(states, self.state_spec, rows)
        outputs, logits, after = self._read(read, before)
        return Step(outputs, logits), after

    @property
    def state(self) -> dict[str, Array]:
        """A copy of the states, float32 [batch, units] by name; assign such a dictionary to set all states."""
        return {name: value.copy() for name, value in self._states.items()}

    @state.setter
    def state(self, states: Mapping[str, Any]) -> None:
        self._states = self._checked_states(states, self.state_spec, self.batch)

    def set_state(self, states: Mapping[str, Any], rows: Rows | None = None) -> None:
        """Set some states, in some rows; the others stay.

        Args:
            states: Some of the states by name, float [rows, units] each.
            rows: Numbers of rows from 0, a slice, or a mask, bool [batch]; None is all rows.

        Raises:
            InputError: They do not fit; no state has changed.
        """
        chosen = self._rows(rows)
        if unknown := [name for name in states if name not in self.state_spec]:
            raise InputError(f"{unknown[0]} is not a state", f"the states are {', '.join(self.state_spec)}")
        checked = self._checked_states(states, {name: self.state_spec[name] for name in states}, len(chosen))
        for name, value in checked.items():
            new = self._states[name].copy()  # arrays may be shared with results of a step
            new[chosen] = value
            self._states[name] = new

    def reset(self, rows: Rows | None = None, names: Sequence[str] | None = None) -> None:
        """Set states to the initial ones, which are zeros for built-in cells.

        Args:
            rows: As for `set_state`.
            names: Some of the states; None is all.

        Raises:
            InputError: There is no such row or state.
        """
        chosen = self._rows(rows)
        if unknown := [name for name in names or () if name not in self.state_spec]:
            raise InputError(f"{unknown[0]} is not a state", f"the states are {', '.join(self.state_spec)}")
        wanted = self.state_spec if names is None else names
        initial = {name: np.repeat(self._initial[name], len(chosen), axis=0) for name in wanted}
        if not self._states:
            self._states = initial
        self.set_state(initial, rows)

    def _rows(self, rows: Rows | None) -> NDArray[np.intp]:
        try:
            chosen = np.arange(self.batch)[slice(None) if rows is None else rows]
        except (IndexError, ValueError, TypeError) as error:
            raise InputError(f"rows: {error}; the batch has rows 0 to {self.batch - 1}") from None
        return np.atleast_1d(chosen)

    def _checked_states(
        self, states: Mapping[str, Any], spec: Mapping[str, tuple[int, ...]], rows: int
    ) -> dict[str, Array]:
        try:
            arrays = {name: np.array(value, np.float32) for name, value in states.items()}
        except (TypeError, ValueError) as error:
            raise InputError(f"states: not arrays of numbers: {error}") from error
        check_arrays(arrays, {name: ArraySpec((rows, *shape)) for name, shape in spec.items()}, "states")
        return arrays

    def _checked(self, inputs: Sequence[str] | Sequence[int] | NDArray[Any], rows: int) -> NDArray[Any]:
        if self._features is not None:
            return self._checked_numbers(inputs, rows)
        read = np.asarray(inputs)
        if read.dtype.kind == "U" and read.ndim == 1 and self._vocabulary is not None:
            read = np.asarray(self._vocabulary.encode(read.tolist()), np.int32)
        if read.dtype.kind not in "iu" or read.shape != (rows,):
            raise InputError(
                f"inputs: {read.dtype} {list(read.shape)}, not symbols or ids [{rows}], one for each row"
            )
        if not 0 <= read.min() <= read.max() < self._symbols:
            raise InputError(f"inputs: ids must be from 0 to {self._symbols - 1}")
        return read

    def _checked_numbers(self, inputs: Any, rows: int) -> NDArray[Any]:
        try:
            read = np.asarray(inputs, np.float32)
        except (TypeError, ValueError):
            raise InputError("inputs: not an array of numbers") from None
        if read.shape != (rows, self._features):
            raise InputError(f"inputs: {list(read.shape)}, not [{rows}, {self._features}]")
        return read


def _initial_states(layers: Sequence[Recurrent]) -> dict[str, Array]:
    """Return the cells' own initial states of a row, float32 [1, units] by name."""
    found: dict[str, Array] = {}
    for layer in layers:
        values = keras.tree.flatten(layer.directions["forward"].get_initial_state(1))
        found |= {name: np.asarray(value, np.float32) for name, value in zip(layer.state_spec, values, strict=True)}
    return found


def _keras_reader(model: NetworkModel, device: str) -> ReadStep:
    """Return a compiled function that runs the Keras cells."""
    head = model.reader.head

    @tf.function(autograph=False)
    def run(inputs: tf.Tensor, states: dict[str, tf.Tensor]) -> Any:
        outputs, new = model.unroll(inputs[:, None], states)
        logits = () if head is None else head(outputs)[:, 0]
        return ops.cast(outputs[:, 0], "float32"), logits, {k: ops.cast(v, "float32") for k, v in new.items()}

    def read(inputs: NDArray[Any], states: dict[str, Array]) -> tuple[Array, Array | None, dict[str, Array]]:
        with scoped_settings(), tf.device(device):
            given = {name: tf.constant(value) for name, value in states.items()}
            outputs, logits, new = run(tf.constant(inputs, model.source_dtype), given)
        final = {name: value.numpy() for name, value in new.items()}
        return outputs.numpy(), None if head is None else logits.numpy(), final

    return read


class _NumpyLayer(NamedTuple):
    """A recurrent layer with its parameters.

    Attributes:
        kernel: The cell's `NumpyStep`.
        names: Names of its states.
        project: Maps its inputs to `x @ kernel + bias`, float32 [batch, gates * units].
        recurrent: float32 [units, gates * units].
        recurrent_bias: float32 [gates * units], or 0.
    """

    kernel: Any
    names: list[str]
    project: Callable[[NDArray[Any]], Array]
    recurrent: Array
    recurrent_bias: Array | float


def _numpy_layer(layer: BuiltInRecurrent, embedding: TokenEmbedding | None) -> _NumpyLayer:
    """Return a layer with its parameters.

    Args:
        layer: The layer.
        embedding: Maps ids to its inputs; None if its inputs are numbers.
    """
    cell = layer.directions["forward"].cell
    kernel, recurrent = (np.array(v.numpy(), np.float32) for v in (cell.kernel, cell.recurrent_kernel))
    bias, recurrent_bias = np.array(cell.bias.numpy(), np.float32), 0.0
    if bias.ndim == 2:  # GRU with reset_after has a bias for each of the two products
        bias, recurrent_bias = bias
    if embedding is None:
        project = lambda inputs: inputs @ kernel + bias  # noqa: E731
    else:  # the projections of all symbols, so that a step only looks them up
        table = np.asarray(embedding(np.arange(embedding.symbols)), np.float32) @ kernel + bias
        project = table.__getitem__
    return _NumpyLayer(numpy_kernel(layer.cell), list(layer.state_spec), project, recurrent, recurrent_bias)


def _numpy_reader(model: NetworkModel, layers: list[BuiltInRecurrent]) -> ReadStep:
    """Return a function that runs built-in cells in NumPy."""
    reader = model.reader
    chain = [_numpy_layer(layer, None if number else reader.embedding) for number, layer in enumerate(layers)]
    head = None if reader.head is None else [np.array(v.numpy(), np.float32) for v in reader.head.weights]

    def read(inputs: NDArray[Any], states: dict[str, Array]) -> tuple[Array, Array | None, dict[str, Array]]:
        outputs = inputs
        new: dict[str, Array] = {}
        for layer in chain:
            before = tuple([states[name] for name in layer.names])
            inner = before[0] @ layer.recurrent + layer.recurrent_bias
            after = layer.kernel(layer.project(outputs), inner, before)
            new.update(zip(layer.names, after, strict=True))
            outputs = after[0]
        return outputs, None if head is None else outputs @ head[0] + head[1], new

    return read
