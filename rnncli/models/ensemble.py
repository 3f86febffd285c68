"""Ensembles of trained models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import tensorflow as tf

from rnncli.layers import Memory, Recurrent, State
from rnncli.models.base import AutoregressiveModel

Value = TypeVar("Value")


class Ensemble(AutoregressiveModel):
    """Models that predict a target together: at each step their mean probability of each symbol.

    The names of states and memories begin with the index of their model, `0/decoder/0/forward/h`.

    Args:
        members: Models of the same vocabularies and of equal maximum lengths.
    """

    def __init__(self, members: Sequence[AutoregressiveModel]) -> None:
        self.members = members
        first = members[0]
        self.steps, self.begin, self.end = first.steps, first.begin, first.end
        self.has_attention = any(member.has_attention for member in members)
        self.has_memory = any(member.has_memory for member in members)
        self.features = first.features
        self.state_spec = _add_indices([member.state_spec for member in members])

    @property
    def source_steps(self) -> int:
        """See `Model.source_steps`."""
        return self.members[0].source_steps

    @property
    def source_dtype(self) -> str:
        """See `Model.source_dtype`."""
        return self.members[0].source_dtype

    @property
    def target_symbols(self) -> int:
        """See `Model.target_symbols`."""
        return self.members[0].target_symbols

    @property
    def step_size(self) -> int:
        """See `AutoregressiveModel.step_size`."""
        return max(member.step_size for member in self.members)

    @property
    def recurrent_layers(self) -> list[Recurrent]:
        """Return the recurrent layers of all members."""
        return [layer for member in self.members for layer in member.recurrent_layers]

    def encode(self, source: tf.Tensor, lengths: tf.Tensor) -> tuple[State, Memory]:
        """See `AutoregressiveModel.encode`."""
        states, memories = zip(*(member.encode(source, lengths) for member in self.members), strict=True)
        return _add_indices(states), _add_indices(memories)

    def step(self, ids: tf.Tensor, state: State, memory: Memory) -> tuple[tf.Tensor, State]:
        """See `AutoregressiveModel.step`; the logits are the log of the mean probabilities."""
        log_probabilities, states = [], []
        for index, member in enumerate(self.members):
            logits, new = member.step(ids, _of_member(state, index), _of_member(memory, index))
            log_probabilities.append(tf.nn.log_softmax(tf.cast(logits, tf.float32)))
            states.append(new)
        return self._mean(log_probabilities), _add_indices(states)

    def target_logits(self, target: tf.Tensor, state: State, memory: Memory) -> tf.Tensor:
        """See `AutoregressiveModel.target_logits`; the logits are the log of the mean probabilities."""
        logits = (
            member.target_logits(target, _of_member(state, index), _of_member(memory, index))
            for index, member in enumerate(self.members)
        )
        return self._mean([tf.nn.log_softmax(tf.cast(each, tf.float32)) for each in logits])

    def _mean(self, log_probabilities: list[tf.Tensor]) -> tf.Tensor:
        return tf.reduce_logsumexp(log_probabilities, axis=0) - math.log(len(self.members))

    def attention_weights(self, source: tf.Tensor, lengths: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Return the mean attention weights of the members, float [batch, target steps, source steps]."""
        return tf.reduce_mean([member.attention_weights(source, lengths, target) for member in self.members], axis=0)


def _add_indices(parts: Sequence[Mapping[str, Value]]) -> dict[str, Value]:
    return {f"{index}/{name}": value for index, part in enumerate(parts) for name, value in part.items()}


def _of_member(values: Mapping[str, Value], index: int) -> dict[str, Value]:
    prefix = f"{index}/"
    return {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
