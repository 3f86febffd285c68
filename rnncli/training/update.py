"""The optimizer's step, divided among the cores."""

from __future__ import annotations

from functools import partial

import keras
import tensorflow as tf

Gradients = list[tf.Tensor]


class Update:
    """Applies an optimizer to the gradients of a batch's parts.

    Where there are several parts the variables are shared out among as many computations, side by side: of small
    batches the update is a third of a step, and all of it waits for memory. What is computed is what
    `optimizer.apply` computes; a test holds them together.

    Args:
        optimizer: The optimizer, built on the variables.
        variables: What is trained.
        parts: Of a batch.
        compiled: Whether XLA compiles it.
    """

    def __init__(
        self, optimizer: keras.optimizers.Optimizer, variables: list[keras.Variable], parts: int, compiled: bool
    ) -> None:
        self.optimizer, self.variables = optimizer, variables
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            parts = 1  # which must see all gradients before it changes anything
        self.shares = _shares([variable.value.shape.num_elements() for variable in variables], parts)
        compiling = partial(tf.function, jit_compile=compiled, autograph=False)
        self._at_once = compiling(self._all)
        self._means = compiling(_means)
        self._steps = [compiling(partial(self._step, share)) for share in self.shares]

    def __call__(self, parts: list[Gradients], count: tf.Tensor) -> None:
        """Change the variables.

        Args:
            parts: The gradients of each part.
            count: Their sum is divided by it, float32 [].
        """
        if len(self.shares) == 1:
            self._at_once(parts, count)
            return
        shared = [self._means([[part[i] for i in share] for part in parts], count) for share in self.shares]
        squares = [square for _, own in shared for square in own]
        for step, (means, _) in zip(self._steps, shared, strict=True):
            step(means, squares)
        self.optimizer.iterations.assign_add(1)

    def _all(self, parts: list[Gradients], count: tf.Tensor) -> None:
        self.optimizer.apply(_means(parts, count)[0], self.variables)

    def _step(self, share: list[int], means: Gradients, squares: list[tf.Tensor]) -> None:
        optimizer, most = self.optimizer, self.optimizer.global_clipnorm
        if most:
            norm = tf.sqrt(tf.add_n(squares))
            scale = tf.minimum(most / norm, 1.0) + (norm - norm)  # as Keras: not a number if the norm is none
            means = [mean * scale for mean in means]
        rate = optimizer.learning_rate  # of a schedule this is arithmetic, each time that it is asked for
        for i, mean in zip(share, means, strict=True):
            optimizer.update_step(mean, self.variables[i].value, rate)


def _means(parts: list[Gradients], count: tf.Tensor) -> tuple[Gradients, list[tf.Tensor]]:
    """The gradients of the whole batch, and the sum of each one's squares."""
    means = [tf.add_n(list(each)) / count for each in zip(*parts, strict=True)]
    return means, [tf.reduce_sum(tf.square(mean)) for mean in means]


def _shares(sizes: list[int], count: int) -> list[list[int]]:
    """Places of sizes in so many lists of about the same sum, none of them empty."""
    shares: list[list[int]] = [[] for _ in range(min(count, len(sizes)))]
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        min(shares, key=lambda share: sum(sizes[j] for j in share)).append(i)
    return shares
