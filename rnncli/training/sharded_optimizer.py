"""The optimizer's update, divided among the CPU cores."""

from __future__ import annotations

from functools import partial

import keras
import tensorflow as tf

Gradients = list[tf.Tensor]

SHARDED_OPTIMIZERS = (keras.optimizers.Adam, keras.optimizers.RMSprop, keras.optimizers.SGD)
"""Optimizers that update each variable by itself, with nothing that concerns several variables but clipping."""

MAX_SHARDS_REPEATED_NORM = 2
"""Up to this many shards, each one computes the norm of all gradients; more shards compute a part of it each.

Repeating the sum for a second shard is faster than waiting for one more computation.
"""

PAIRWISE_SUM_DEPTH = 4
"""Number of times that a sum of squares adds its two halves first: XLA's own sum over everything is slow."""

MIN_PAIRWISE_SIZE = 4096
"""Sums of fewer numbers are not halved: that would take longer to trace than it saves."""


class ShardedOptimizer:
    """Applies an optimizer to the gradients of the shards of a batch.

    With several shards, the variables are divided among as many computations that run side by side, because the
    update is a large part of a small training step. The result is that of `optimizer.apply`, up to rounding.

    An optimizer that does more than update each variable and clip the global norm is applied in one computation, by
    `optimizer.apply`. See `updates_variables_separately`.

    Args:
        optimizer: The optimizer, built on the variables.
        variables: The trainable variables.
        shards: The number of shards of a batch.
        compiled: Whether XLA compiles the update.
    """

    def __init__(
        self, optimizer: keras.optimizers.Optimizer, variables: list[keras.Variable], shards: int, compiled: bool
    ) -> None:
        self.optimizer, self.variables = optimizer, variables
        if not updates_variables_separately(optimizer, variables):
            shards = 1
        self.parts = balanced_parts([variable.value.shape.num_elements() for variable in variables], shards)
        compile_ = partial(tf.function, jit_compile=compiled, autograph=False)
        self._apply_all = compile_(self._apply)
        self._sum_part = compile_(_sum_and_squares)
        self._update_parts = [compile_(partial(self._update, part)) for part in self.parts]

    def __call__(self, shard_gradients: list[Gradients], count: tf.Tensor) -> tf.Tensor:
        """Update the variables.

        Args:
            shard_gradients: For each shard, the gradient of each variable.
            count: The number that the sum over shards is divided by, float32 [].

        Returns:
            The L2 norm of the mean gradient before clipping, float32 [].
        """
        if len(self.parts) == 1:
            norm: tf.Tensor = self._apply_all(shard_gradients, count)
            return norm
        own = [_select(shard_gradients, part) for part in self.parts]
        others: list[list[Gradients]] = [[] for _ in self.parts]
        squares: list[tf.Tensor] = []
        if self.optimizer.global_clipnorm and len(shard_gradients) <= MAX_SHARDS_REPEATED_NORM:
            everything = range(len(self.variables))
            others = [_select(shard_gradients, [i for i in everything if i not in part]) for part in self.parts]
        elif self.optimizer.global_clipnorm:
            sums = [self._sum_part(each, count) for each in own]
            own, squares = [[gradients] for gradients, _ in sums], [square for _, some in sums for square in some]
        updated = zip(self._update_parts, own, others, strict=True)
        found = [update(mine, rest, squares, count) for update, mine, rest in updated]
        self.optimizer.iterations.assign_add(1)
        return tf.sqrt(found[0] if self.optimizer.global_clipnorm else tf.add_n(found))

    def _apply(self, shard_gradients: list[Gradients], count: tf.Tensor) -> tf.Tensor:
        """Update all variables; return the norm of the gradient."""
        gradients = [each / count for each in _sums(shard_gradients)]
        scale = self.optimizer.scale_loss(tf.ones([]))  # that of float16, before the update changes it
        norm = tf.sqrt(tf.add_n([_sum_of_squares(tf.cast(each, tf.float32)) for each in gradients])) / scale
        self.optimizer.apply(gradients, self.variables)
        return norm

    def _update(
        self,
        part: list[int],
        own: list[Gradients],
        others: list[Gradients],
        squares: list[tf.Tensor],
        count: tf.Tensor,
    ) -> tf.Tensor:
        """Update some variables.

        Args:
            part: The positions of the variables.
            own: Their gradients in each shard.
            others: The gradients of the other variables, if the norm is computed here.
            squares: The sum of squares of each mean gradient, if the norm is not computed here.
            count: As for `__call__`.

        Returns:
            The sum of squares of their mean gradients; of those of all variables if the global norm is clipped.
        """
        optimizer, max_norm = self.optimizer, self.optimizer.global_clipnorm
        sums, factor = _sums(own), 1 / count
        found = tf.add_n(squares or [_sum_of_squares(each * factor) for each in [*sums, *_sums(others)]])
        if max_norm:
            norm = tf.sqrt(found)
            factor *= tf.minimum(max_norm / norm, 1.0) + (norm - norm)  # NaN if the norm is not finite, as in Keras
        learning_rate = optimizer.learning_rate  # of a schedule, computed each time that it is read
        for i, each in zip(part, sums, strict=True):
            optimizer.update_step(each * factor, self.variables[i].value, learning_rate)
        return found


def updates_variables_separately(optimizer: keras.optimizers.Optimizer, variables: list[keras.Variable]) -> bool:
    """Return True if `optimizer.apply` only clips the global norm and calls `update_step` for each variable.

    False for optimizers that are not in `SHARDED_OPTIMIZERS` (a subclass may override anything), and for options that
    `ShardedOptimizer` does not implement: other kinds of clipping, weight decay, averaged variables, accumulated
    gradients, a scaled loss, and constraints of variables.
    """
    options = ("clipnorm", "clipvalue", "weight_decay", "use_ema", "gradient_accumulation_steps", "loss_scale_factor")
    return (
        type(optimizer) in SHARDED_OPTIMIZERS
        and not any(getattr(optimizer, option) for option in options)
        and all(variable.constraint is None and not variable.overwrite_with_gradient for variable in variables)
    )


def _select(shard_gradients: list[Gradients], part: list[int]) -> list[Gradients]:
    return [[gradients[i] for i in part] for gradients in shard_gradients]


def _sums(shard_gradients: list[Gradients]) -> Gradients:
    """Return the sum over shards of each gradient."""
    return [tf.add_n(list(each)) for each in zip(*shard_gradients, strict=True)]


def _sum_and_squares(shard_gradients: list[Gradients], count: tf.Tensor) -> tuple[Gradients, list[tf.Tensor]]:
    """Return the sum over shards of each gradient, and the sum of squares of each mean gradient."""
    sums, factor = _sums(shard_gradients), 1 / count
    return sums, [_sum_of_squares(each * factor) for each in sums]


def _sum_of_squares(values: tf.Tensor) -> tf.Tensor:
    squares = tf.reshape(tf.square(values), [-1])
    for _ in range(PAIRWISE_SUM_DEPTH):
        count = squares.shape[0] or 0  # unknown for some custom cells
        if count > MIN_PAIRWISE_SIZE and count % 2 == 0:
            squares = tf.add(*tf.split(squares, 2))
    return tf.reduce_sum(squares)


def balanced_parts(sizes: list[int], count: int) -> list[list[int]]:
    """Divide sizes into parts of about the same sum and about the same length, none of them empty.

    Equal lengths matter because XLA's CPU runtime stays in one thread while few computations are ready. With many of
    them ready (two moments for each variable, once the norm is known) it gives half to a thread that must wait for a
    core.

    Args:
        sizes: The size of each variable.
        count: The number of parts; fewer are returned if there are fewer sizes.

    Returns:
        The positions in each part.
    """
    parts: list[list[int]] = [[] for _ in range(min(count, len(sizes)))]
    max_length = -(-len(sizes) // len(parts))
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        open_parts = (part for part in parts if len(part) < max_length)
        min(open_parts, key=lambda part: sum(sizes[j] for j in part)).append(i)
    return parts
