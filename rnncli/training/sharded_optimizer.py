"""The optimizer's step, divided among the cores."""

from __future__ import annotations

from functools import partial

import keras
import tensorflow as tf

Gradients = list[tf.Tensor]

FEW_PARTS = 2
"""Where the norm is clipped, of so many parts each computation adds up all gradients; of more, only its share's."""
HALVINGS = 4
"""How often at most a sum is begun by adding halves: XLA's code for that is fast, its sum over everything is not."""
HALVED_ABOVE = 4096
"""Of fewer numbers a sum takes no time, but tracing the halves does."""


class Update:
    """Applies an optimizer to the gradients of a batch's parts.

    Where there are several parts the variables are shared out among as many computations, side by side: of small
    batches the update is a quarter of a step. Beginning a computation takes as long as adding up the gradients of a
    small model, so that each of few parts rather computes the whole norm than wait for the others' sums. What is
    computed is what `optimizer.apply` computes; a test holds them together.

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
        self._added = compiling(_added)
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
        own = [_chosen(parts, share) for share in self.shares]
        others: list[list[Gradients]] = [[] for _ in self.shares]
        squares: list[tf.Tensor] = []
        if self.optimizer.global_clipnorm and len(parts) <= FEW_PARTS:
            others = [_chosen(parts, [i for i in range(len(parts[0])) if i not in share]) for share in self.shares]
        elif self.optimizer.global_clipnorm:
            added = [self._added(each, count) for each in own]
            own, squares = [[sums] for sums, _ in added], [square for _, some in added for square in some]
        for step, mine, rest in zip(self._steps, own, others, strict=True):
            step(mine, rest, squares, count)
        self.optimizer.iterations.assign_add(1)

    def _all(self, parts: list[Gradients], count: tf.Tensor) -> None:
        self.optimizer.apply([each / count for each in _sums(parts)], self.variables)

    def _step(
        self,
        share: list[int],
        own: list[Gradients],
        others: list[Gradients],
        squares: list[tf.Tensor],
        count: tf.Tensor,
    ) -> None:
        optimizer, most = self.optimizer, self.optimizer.global_clipnorm
        sums, factor = _sums(own), 1 / count
        if most:
            norm = tf.sqrt(tf.add_n(squares or [_squares(each * factor) for each in [*sums, *_sums(others)]]))
            factor *= tf.minimum(most / norm, 1.0) + (norm - norm)  # as Keras: not a number if the norm is none
        rate = optimizer.learning_rate  # of a schedule this is arithmetic, each time that it is asked for
        for i, each in zip(share, sums, strict=True):
            optimizer.update_step(each * factor, self.variables[i].value, rate)


def _chosen(parts: list[Gradients], share: list[int]) -> list[Gradients]:
    """The gradients of some variables."""
    return [[part[i] for i in share] for part in parts]


def _sums(parts: list[Gradients]) -> Gradients:
    """The gradient of each variable, added up over the parts."""
    return [tf.add_n(list(each)) for each in zip(*parts, strict=True)]


def _added(parts: list[Gradients], count: tf.Tensor) -> tuple[Gradients, list[tf.Tensor]]:
    """The gradients added up, and the squares of what their means will be, each one's added up."""
    sums, factor = _sums(parts), 1 / count
    return sums, [_squares(each * factor) for each in sums]


def _squares(values: tf.Tensor) -> tf.Tensor:
    """The sum of the squares."""
    squares = tf.reshape(tf.square(values), [-1])
    for _ in range(HALVINGS):
        count = squares.shape[0] or 0  # that of a custom cell's weights may not be known
        if count > HALVED_ABOVE and count % 2 == 0:
            squares = tf.add(*tf.split(squares, 2))
    return tf.reduce_sum(squares)


def _shares(sizes: list[int], count: int) -> list[list[int]]:
    """Places of sizes in so many lists of about the same sum, none of them empty, and of about the same length.

    XLA's CPU runtime works in one thread until more than eight computations are ready, as are the two moments of each
    variable when the norm is known; then it hands half of them to another thread, which has to wait for a core (2 to
    4% of a step of 32 rows).
    """
    shares: list[list[int]] = [[] for _ in range(min(count, len(sizes)))]
    most = -(-len(sizes) // len(shares))
    for i in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        free = (share for share in shares if len(share) < most)
        min(free, key=lambda share: sum(sizes[j] for j in share)).append(i)
    return shares
