"""The compiled training step: several steps a call, no Python between them."""

from __future__ import annotations

from functools import partial
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rnncli.data.examples import Examples
from rnncli.data.length_bucketing import Buckets
from rnncli.layers import State, xla_compiles
from rnncli.models import NetworkModel, SinglePassModel
from rnncli.runtime.tensorflow_setup import Runtime
from rnncli.training.sharded_optimizer import ShardedOptimizer

Batch: TypeAlias = tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]
"""Sources, their lengths, targets and their lengths."""

Gathered: TypeAlias = tuple[list[Batch], tf.Tensor, tf.Tensor]
"""A batch in parts, the number of its symbols, and its bucket; of one step or of several."""

WHOLE_STEPS, WHOLE_ROWS = 512, 2**18
"""Most steps that one XLA computation does, and most rows that they have together; where it does fewer, their numbers
take as much time and memory."""


class TrainStep:
    """Trains on batches given as row numbers.

    The examples stay on the device as small integers; rows are gathered and expanded inside the step. A batch is
    split into parts that are computed side by side; the loss is the sum over all symbols divided by the symbols of
    the whole batch, so that neither the split nor a short last batch changes what is learned.

    Where a CPU computes one part, the loop over steps is compiled too. Several parts XLA would not keep apart; so
    TensorFlow does the loop, and beginning two computations a step takes 0.2 to 0.6 ms more (one core, 32 rows, GRU
    of 64 units: 0.50 ms a step, and 0.90 by TensorFlow's loop; 128 rows, LSTM of 128 units: 5.9 and 6.5). The rest of
    the config and the number of examples are part of what is compiled, the seed is not.

    Args:
        model: The model; its weights change.
        optimizer: The optimizer, not yet built.
        examples: What is trained on.
        runtime: Where it runs.
        seed: Of dropout.
        rows: Of a batch; a multiple of the runtime's parts.
        carries: Whether states are carried from step to step.
        label_smoothing: See `smoothed_losses`.
        buckets: To which lengths batches are cut; None is that of the examples' arrays.
    """

    def __init__(
        self,
        model: NetworkModel,
        optimizer: keras.optimizers.Optimizer,
        examples: Examples,
        runtime: Runtime,
        seed: int,
        rows: int,
        carries: bool = False,
        label_smoothing: float = 0.0,
        buckets: Buckets | None = None,
    ) -> None:
        self.model, self.optimizer, self.runtime, self.seed = model, optimizer, runtime, seed
        self.label_smoothing = label_smoothing
        self.variables = model.network.trainable_variables
        optimizer.build(self.variables)
        self.source, self.source_lengths = tf.constant(examples.source), tf.constant(examples.source_lengths)
        self.target, self.target_lengths = tf.constant(examples.target), tf.constant(examples.target_lengths)
        self.shapes = [] if buckets is None else buckets.shapes.tolist()
        self.bucket = None if buckets is None else tf.constant(buckets.bucket)
        self.carried = {
            name: tf.Variable(tf.zeros([rows, *shape]), trainable=False)
            for name, shape in (model.state_spec.items() if carries else ())
        }
        compiled = xla_compiles(layer.choice for layer in model.recurrent_layers)
        self.whole = compiled and runtime.parts == 1 and not runtime.on_gpu
        self._part_gradients = tf.function(self._part, jit_compile=compiled, autograph=False)
        self._update = ShardedOptimizer(optimizer, self.variables, runtime.parts, compiled)
        self.most = max(1, min(WHOLE_STEPS, WHOLE_ROWS // rows)) if self.whole else None
        # what loops over steps must know its shapes
        given = [tf.TensorSpec(shape, tf.int32) for shape in ((self.most, rows), (), (2,))]
        self._many = tf.function(self._run, jit_compile=self.whole, autograph=False, input_signature=given)

    def __call__(self, rows: NDArray[np.int32], step: int) -> NDArray[np.float32]:
        """Train on some batches.

        Args:
            rows: Numbers of the examples, int32 [batches, rows of a batch]; -1 is no example.
            step: Steps done before.

        Returns:
            The loss of each batch before its step, nats a symbol, float32 [batches].
        """
        most = self.most or len(rows)
        return np.concatenate([self._call(rows[i : i + most], step + i) for i in range(0, len(rows), most)])

    def _call(self, rows: NDArray[np.int32], step: int) -> NDArray[np.float32]:
        count = len(rows)
        if self.most is not None:
            rows = np.pad(rows, ((0, self.most - count), (0, 0)), constant_values=-1)
        at = tf.constant([self.seed, step])
        losses: NDArray[np.float32] = self._many(tf.constant(rows), tf.constant(count), at).numpy()
        return losses[:count]

    def _run(self, rows: tf.Tensor, count: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
        losses: tf.Tensor = self.runtime.strategy.run(self._steps, args=(rows, count, at))
        return losses

    def _steps(self, rows: tf.Tensor, count: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
        """Losses of so many steps; `at` is the seed and the steps done before."""
        # in TensorFlow's loop gathering was a twentieth of a short step; XLA does it in no time, and needs no memory
        gathered = None if self.whole else self._gathered(rows)

        def one(i: tf.Tensor, losses: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            of_one = partial(tf.gather, indices=i)
            batch = self._gathered(of_one(rows)) if gathered is None else tf.nest.map_structure(of_one, gathered)
            return i + 1, losses.write(i, self._one(batch, at + tf.stack([0, i])))

        losses = tf.TensorArray(tf.float32, size=tf.shape(rows)[0])
        _, losses = tf.while_loop(lambda i, _: i < count, one, (tf.constant(0), losses), parallel_iterations=1)
        return losses.stack()

    def _gathered(self, rows: tf.Tensor) -> Gathered:
        axis, real = len(rows.shape) - 1, rows >= 0
        rows = tf.maximum(rows, 0)
        target_lengths = tf.where(real, tf.gather(self.target_lengths, rows), 0)
        batch = (
            tf.gather(self.source, rows),
            tf.gather(self.source_lengths, rows),
            tf.gather(self.target, rows),
            target_lengths,
        )
        parts = list(zip(*(tf.split(value, self.runtime.parts, axis=axis) for value in batch), strict=True))
        symbols = tf.cast(tf.reduce_sum(target_lengths, axis=axis), tf.float32)
        bucket = tf.zeros_like(rows) if self.bucket is None else tf.gather(self.bucket, rows)
        return parts, symbols, tf.reduce_max(tf.where(real, bucket, 0), axis=axis)

    def _one(self, batch: Gathered, at: tf.Tensor) -> tf.Tensor:
        parts, symbols, bucket = batch
        if self.bucket is None:
            return self._learn(self._results(parts, at), symbols)
        branches = [partial(self._results, [_cut(part, *shape) for part in parts], at) for shape in self.shapes]
        return self._learn(tf.switch_case(bucket, branches), symbols)

    def _results(self, parts: list[Batch], at: tf.Tensor) -> list[tuple[tf.Tensor, list[tf.Tensor]]]:
        """Loss and gradients of each part of a batch."""
        initial = {name: tf.split(value.value(), len(parts)) for name, value in self.carried.items()}
        results, states = [], []
        for number, part in enumerate(parts):
            seed = at * [1, len(parts)] + [0, number]
            start = {name: pieces[number] for name, pieces in initial.items()}
            *result, state = self._part_gradients(*part, seed, start)
            results.append(tuple(result))
            states.append(state)
        for name, carried in self.carried.items():
            carried.assign(tf.concat([state[name] for state in states], axis=0))
        return results

    def reset_states(self) -> None:
        """Start the next step from zeros."""
        for carried in self.carried.values():
            carried.assign(tf.zeros_like(carried))

    def _part(
        self,
        source: tf.Tensor,
        lengths: tf.Tensor,
        target: tf.Tensor,
        target_lengths: tf.Tensor,
        seed: tf.Tensor,
        initial: State,
    ) -> tuple[tf.Tensor, list[tf.Tensor], State]:
        source, target = tf.cast(source, self.model.source_dtype), tf.cast(target, tf.int32)
        with tf.GradientTape() as tape:
            state: State = {}
            if initial and isinstance(self.model, SinglePassModel):  # only these can be stateful
                logits, state = self.model.read_from(initial, source, lengths, seed)
            else:
                logits = self.model.logits(source, lengths, target, seed)
            losses = smoothed_losses(target, tf.cast(logits, tf.float32), self.label_smoothing)
            counted = tf.sequence_mask(target_lengths, tf.shape(target)[1])
            loss = tf.reduce_sum(tf.where(counted, losses, 0.0))
            scaled = self.optimizer.scale_loss(loss)  # for float16; the optimizer takes the scale out again
        # a cell of the user's own may have weights on which the answer does not depend
        zero = tf.UnconnectedGradients.ZERO
        gradients = tape.gradient(scaled, [v.value for v in self.variables], unconnected_gradients=zero)
        state = {name: tf.cast(value, tf.float32) for name, value in state.items()}
        return loss, [tf.convert_to_tensor(gradient) for gradient in gradients], state

    def _learn(self, results: list[tuple[tf.Tensor, list[tf.Tensor]]], symbols: tf.Tensor) -> tf.Tensor:
        losses, gradients = zip(*results, strict=True)
        self._update(list(gradients), symbols)
        return tf.add_n(list(losses)) / symbols


def _cut(batch: Batch, source_steps: int, target_steps: int) -> Batch:
    source, lengths, target, target_lengths = batch
    cut = source[:, :source_steps], target[:, :target_steps]
    # what is no example may be longer; it has no targets
    return cut[0], tf.minimum(lengths, source_steps), cut[1], tf.minimum(target_lengths, target_steps)


def smoothed_losses(target: tf.Tensor, logits: tf.Tensor, smoothing: float) -> tf.Tensor:
    """Cross entropy with targets of which all symbols get a share alike (Szegedy et al. 2016, section 7).

    Args:
        target: int32 [batch, steps].
        logits: float32 [batch, steps, symbols].
        smoothing: The share; 0 is plain cross entropy.

    Returns:
        Nats, float32 [batch, steps].
    """
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
    if not smoothing:
        return losses
    even = tf.reduce_logsumexp(logits, axis=-1) - tf.reduce_mean(logits, axis=-1)
    return (1 - smoothing) * losses + smoothing * even
