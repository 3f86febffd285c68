"""Several trained models that write one answer together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from rnncli.layers import Memory, Recurrent, State


class Ensemble:
    """A `Stepper` over others: at each step the mean of their probabilities.

    The names of states and memories begin with the number of the model that they belong to, `0/decoder/0/forward/h`.

    Args:
        members: Models that write symbol by symbol, over the same symbols, and of equal longest sources and targets.
    """

    def __init__(self, members: Sequence[Any]) -> None:
        self.members = members
        first = members[0]
        self.network, self.steps, self.begin, self.end = first.network, first.steps, first.begin, first.end
        self.source_dtype: str = first.source_dtype
        self.remembers = any(member.remembers for member in members)
        self.state_spec: dict[str, tuple[int, ...]] = _joined([member.state_spec for member in members])

    @property
    def recurrent_layers(self) -> list[Recurrent]:
        """Those of all members."""
        return [layer for member in self.members for layer in member.recurrent_layers]

    def encode(self, source: tf.Tensor, lengths: tf.Tensor) -> tuple[State, Memory]:
        """See `Stepper.encode`."""
        states, memories = zip(*(member.encode(source, lengths) for member in self.members), strict=True)
        return _joined(states), _joined(memories)

    def step(self, ids: tf.Tensor, state: State, memory: Memory) -> tuple[tf.Tensor, State]:
        """See `Stepper.step`; the logits are the natural logs of the mean probabilities."""
        log_probabilities, states = [], []
        for number, member in enumerate(self.members):
            logits, new = member.step(ids, _part(state, number), _part(memory, number))
            log_probabilities.append(tf.nn.log_softmax(tf.cast(logits, tf.float32)))
            states.append(new)
        return tf.reduce_logsumexp(log_probabilities, axis=0) - math.log(len(self.members)), _joined(states)

    def attention_weights(self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """The mean of the members' attention, float [batch, target steps, source steps]."""
        return tf.reduce_mean([member.attention_weights(source, lengths, target) for member in self.members], axis=0)


def _joined(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {f"{number}/{name}": value for number, part in enumerate(parts) for name, value in part.items()}


def _part(values: dict[str, Any], number: int) -> dict[str, Any]:
    prefix = f"{number}/"
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
