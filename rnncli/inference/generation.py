"""Texts that a language model writes, symbol by symbol, in chunks that are computed in one call each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli.data.task import WritesText
from rnncli.data.vocabulary import PAD, SPECIALS
from rnncli.errors import InputError, RunFailedError, option_words
from rnncli.inference.decoding import States
from rnncli.inference.generation_options import BLOCK, GenerationOptions
from rnncli.inference.sampling import IMPOSSIBLE, inverse_cdf, keep_probable
from rnncli.layers import CustomRecurrent, State, xla_compiles
from rnncli.models import ManyToOne
from rnncli.runtime.compiled import CompiledFunction
from rnncli.runtime.tensorflow_setup import Runtime

FIRST_CHUNK = 8
"""Symbols of the first chunk; later ones double up to BLOCK, so that the first symbols come soon."""

SAMPLED, IDLE = -1, -2
"""Codes of symbols that are sampled, and of steps at which a row stands still; other codes are ids to read."""


@dataclass(frozen=True)
class Continuation:
    """The point at which texts go on.

    Attributes:
        state: States after all symbols so far, float32 [rows, units] by name.
        output: Output of the last recurrent layer after them, float32 [rows, width].
        positions: Number of symbols that were sampled for each row so far, which chooses the random numbers.
    """

    state: States
    output: NDArray[np.float32]
    positions: tuple[int, ...]

    def with_row(self, row: int, other: Continuation) -> Continuation:
        """Return the same with a row of another continuation."""
        state = {name: _with_row(value, row, other.state[name]) for name, value in self.state.items()}
        positions = (*self.positions[:row], other.positions[row], *self.positions[row + 1 :])
        return Continuation(state, _with_row(self.output, row, other.output), positions)


class TextGenerator:
    """Runs a language model on its own symbols.

    A step computes the probabilities of the next symbol from the states, chooses one, and reads it. So the states are
    all that a text goes on from, and texts written in one go or in parts are equal bit for bit.

    Args:
        model: A model that predicts the next symbol at every step.
        task: Converts between text and ids.
        runtime: The device.

    Raises:
        InputError: The model does not predict the next symbol at every step.
    """

    def __init__(self, model: object, task: object, runtime: Runtime) -> None:
        if not isinstance(model, ManyToOne) or not model.per_step or not isinstance(task, WritesText):
            raise InputError("only models of task: text write texts", "train one with: rnncli train charlm")
        self.model, self.task, self.runtime = model, task, runtime
        self.custom = any(isinstance(layer, CustomRecurrent) for layer in model.recurrent_layers)
        compiled = xla_compiles(layer.choice for layer in model.recurrent_layers)
        self._run = {
            (greedy, filters): CompiledFunction(
                self._chunk_function(greedy, filters), compiled, f"generate {greedy} {filters}"
            )
            for greedy, filters in ((False, False), (False, True), (True, False))
        }
        symbols = task.target_vocabulary.symbols
        self._possible = np.array([symbol not in SPECIALS for symbol in symbols])
        if PAD not in symbols:
            raise InputError("the vocabulary has no padding; train the model again")

    def start(self, rows: int) -> Continuation:
        """Return the beginning of texts: the cells' own initial states, mostly zeros."""
        state = {name: np.zeros((rows, *shape), np.float32) for name, shape in self.model.state_spec.items()}
        if self.custom:  # whose initial states need not be zeros
            with tf.device(self.runtime.device):
                none = tf.zeros([rows], tf.int32)
                own = self.model.read_from(None, tf.zeros([rows, 1], tf.int32), none)[1]
            state = {name: value.numpy().astype(np.float32) for name, value in own.items()}
        return Continuation(state, np.zeros((rows, self.model.stack.width), np.float32), (0,) * rows)

    def go_on(self, state: States, positions: Sequence[int] | None = None) -> Continuation:
        """Return the continuation of texts after which the model has some states.

        Args:
            state: float32 [rows, units] by name.
            positions: As in `Continuation`; None is 0.
        """
        rows = len(next(iter(state.values())))
        output = np.zeros((rows, self.model.stack.width), np.float32)
        if not self.custom:
            output = np.array(self.model.stack.final_output(None, {n: tf.constant(v) for n, v in state.items()}))
        return Continuation(state, output, (0,) * rows if positions is None else tuple(positions))

    def read(self, primes: Sequence[Sequence[int]], before: Continuation) -> Continuation:
        """Return the continuation after each row has read the ids of its prime; primes may be empty."""
        longest = max(map(len, primes), default=0)
        codes = np.full((len(primes), longest), IDLE, np.int32)
        for row, ids in enumerate(primes):
            codes[row, longest - len(ids) :] = ids
        now = before
        for at in range(0, longest, BLOCK):
            now, _ = self._advance(now, codes[:, at : at + BLOCK], None, GenerationOptions(temperature=0.0))
        return now

    def write(
        self, before: Continuation, count: int, options: GenerationOptions, lines: Sequence[int]
    ) -> tuple[Continuation, NDArray[np.int32]]:
        """Write some symbols of each row.

        Args:
            before: Where the texts go on.
            count: Number of symbols, at most BLOCK.
            options: Temperature, seed and so on; its length and stop are the caller's.
            lines: Number of each row, which determines its random numbers.

        Returns:
            The continuation after them, and their ids, int32 [rows, count].
        """
        codes = np.full((len(lines), count), SAMPLED, np.int32)
        uniforms = options.uniforms(lines, before.positions, count)
        after, ids = self._advance(before, codes, uniforms, options)
        return replace(after, positions=tuple(position + count for position in before.positions)), ids

    def reread(self, before: Continuation, ids: NDArray[np.int32], row: int, count: int) -> Continuation:
        """Return the continuation after a row's first symbols of those that `write` returned, with the same bits."""
        codes = np.full(ids.shape, IDLE, np.int32)
        codes[row, :count] = ids[row, :count]
        after, _ = self._advance(before, codes, None, GenerationOptions(temperature=0.0))
        return replace(after, positions=tuple(position + count for position in before.positions))

    def _advance(
        self,
        before: Continuation,
        codes: NDArray[np.int32],
        uniforms: NDArray[np.float32] | None,
        options: GenerationOptions,
    ) -> tuple[Continuation, NDArray[np.int32]]:
        """Run the steps of a chunk; arguments as for `write`, and codes, int32 [rows, steps <= BLOCK]."""
        rows, count = codes.shape
        padded = np.pad(codes, ((0, 0), (0, BLOCK - count)), constant_values=IDLE)
        numbers = np.zeros((rows, BLOCK), np.float32)
        if uniforms is not None:
            numbers[:, :count] = uniforms
        greedy = options.temperature == 0
        run = self._run[greedy, not greedy and (options.top_k is not None or options.top_p is not None)]
        with tf.device(self.runtime.device):
            ids, state, output = run(
                tf.constant(padded),
                tf.constant(count),
                tf.constant(numbers),
                {name: tf.constant(value) for name, value in before.state.items()},
                tf.constant(before.output),
                tf.constant([options.temperature or 1.0, options.top_p or 1.0], tf.float32),
                tf.constant(min(options.top_k or len(self._possible), len(self._possible))),
            )
        if not np.isfinite(after := output.numpy()).all():
            raise RunFailedError("the states are not finite; the model has probably diverged", "train it again")
        return replace(
            before, state={name: value.numpy() for name, value in state.items()}, output=after
        ), ids.numpy()[:, :count]

    def _chunk_function(self, greedy: bool, filters: bool) -> Callable[..., tuple[tf.Tensor, State, tf.Tensor]]:
        """Return a function that runs the steps of a chunk, to be compiled."""

        def choose(output: tf.Tensor, uniform: tf.Tensor, numbers: tf.Tensor, top_k: tf.Tensor) -> tf.Tensor:
            logits = tf.where(self._possible, tf.cast(self.model.output(output), tf.float32), IMPOSSIBLE)
            if greedy:
                return tf.argmax(logits, axis=-1, output_type=tf.int32)
            scaled = logits / numbers[0]
            return inverse_cdf(keep_probable(scaled, top_k, numbers[1]) if filters else scaled, uniform)

        def run(
            codes: tf.Tensor,
            count: tf.Tensor,
            uniforms: tf.Tensor,
            state: State,
            output: tf.Tensor,
            numbers: tf.Tensor,
            top_k: tf.Tensor,
        ) -> tuple[tf.Tensor, State, tf.Tensor]:
            def advance(t: tf.Tensor, now: State, last: tf.Tensor, ids: tf.TensorArray) -> tuple[object, ...]:
                code, uniform = tf.gather(codes, t, axis=1), tf.gather(uniforms, t, axis=1)
                chosen = tf.where(code == SAMPLED, choose(last, uniform, numbers, top_k), code)
                vector, after = self.model.step(tf.maximum(chosen, 0), now)
                idle = (code == IDLE)[:, None]
                after = {name: _keep(idle, now[name], tf.cast(value, tf.float32)) for name, value in after.items()}
                return t + 1, after, tf.where(idle, last, tf.cast(vector, tf.float32)), ids.write(t, chosen)

            ids = tf.TensorArray(tf.int32, BLOCK, element_shape=codes.shape[:1])
            ids = ids.unstack(tf.zeros([BLOCK, codes.shape[0]], tf.int32))
            loop = (tf.constant(0), state, output, ids)
            _, state, output, ids = tf.while_loop(lambda t, *_: t < count, advance, loop, maximum_iterations=BLOCK)
            return tf.transpose(ids.stack()), state, output

        return run


def _with_row(values: NDArray[np.float32], row: int, others: NDArray[np.float32]) -> NDArray[np.float32]:
    changed = values.copy()
    changed[row] = others[row]
    return changed


def _keep(idle: tf.Tensor, old: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.reshape(idle, [-1] + [1] * (len(new.shape) - 1)), old, new)


class TextStream(Iterator[list[str]]):
    """Texts while they are written: each item has what is new of each text, empty for those that have ended.

    Args:
        generator: Writes the symbols.
        primes: The texts that are gone on from, which are read first and not repeated.
        options: Length, stop, temperature and so on.
        before: What stands before the primes; None is nothing.
        first: Number of the first text, which determines its random numbers.

    Attributes:
        texts: What was written of each text so far.

    Raises:
        InputError: There is nothing to go on from.
        DataError: A prime is not text.
    """

    def __init__(
        self,
        generator: TextGenerator,
        primes: Sequence[str],
        options: GenerationOptions,
        before: Continuation | None = None,
        first: int = 1,
    ) -> None:
        ids = [generator.task.read_prime(prime) for prime in primes]
        if not all(ids) and (before is None or generator.custom):
            why = "the states of a custom cell do not tell its output" if before else "there is nothing to go on from"
            raise InputError(f"an empty prime: {why}", f"give a text with {option_words('prime')}")
        self.generator, self.options, self.rows = generator, options, len(primes)
        self._lines = range(first, first + self.rows)
        self.texts = [""] * self.rows
        self._symbols = generator.task.target_vocabulary.symbols
        self._writers = [generator.task.writer() for _ in primes]
        self._open, self._written, self._size = set(range(self.rows)), 0, FIRST_CHUNK
        self._running = generator.read(ids, before or generator.start(self.rows))
        self._ends: dict[int, Continuation] = {}

    @property
    def now(self) -> Continuation:
        """Return where each text goes on."""
        now = self._running
        for row, end in self._ends.items():
            now = now.with_row(row, end)
        return now

    def __next__(self) -> list[str]:
        """Write on; return what is new of each text."""
        if not self._open:
            raise StopIteration
        count = min(self._size, self.options.length - self._written)
        self._size = min(2 * self._size, BLOCK)
        before = self._running
        self._running, ids = self.generator.write(before, count, self.options, self._lines)
        self._written += count
        return [self._take(row, ids, before) if row in self._open else "" for row in range(self.rows)]

    def _take(self, row: int, ids: NDArray[np.int32], before: Continuation) -> str:
        """Add the symbols of a chunk to a text, up to its end; return what is new."""
        new, writer, stop = "", self._writers[row], self.options.stop
        for count, symbol in enumerate(ids[row].tolist(), 1):
            new += writer.write([self._symbols[symbol]])
            ends = stop is not None and stop in (self.texts[row][-len(stop) :] + new)
            if ends or count == ids.shape[1]:
                break
        if ends or self._written == self.options.length:
            new += writer.end()
            self._open.remove(row)
            whole = count == ids.shape[1]
            self._ends[row] = self._running if whole else self.generator.reread(before, ids, row, count)
        self.texts[row] += new
        return new
