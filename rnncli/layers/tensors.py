"""The type of tensors, and several tensors as one: flat and concatenated, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import keras
import tensorflow as tf
from keras import ops

Tensor: TypeAlias = tf.Tensor | keras.KerasTensor
"""A tensor, or a symbolic one while Keras builds a functional model."""

Shapes = tuple[tuple[int, ...], ...]
"""Shapes of tensors, without the batch dimension."""


def flatten(values: Sequence[Tensor]) -> Tensor:
    """Concatenate tensors, float [batch, *shape] each, to one, float [batch, total]; the inverse of `unflatten`."""
    flat = [ops.reshape(value, (-1, math.prod(value.shape[1:]))) for value in values]
    return ops.concatenate(flat, axis=-1) if len(flat) > 1 else flat[0]


def unflatten(values: Tensor, shapes: Shapes) -> list[Tensor]:
    """Split the last axis of values, float [..., total], into tensors, float [..., *shape] each."""
    lead = (-1, *values.shape[1:-1])
    ends = [sum(map(math.prod, shapes[: i + 1])) for i in range(len(shapes))]
    slices = [values[..., end - math.prod(shape) : end] for shape, end in zip(shapes, ends, strict=True)]
    return [ops.reshape(part, (*lead, *shape)) for part, shape in zip(slices, shapes, strict=True)]


def beside_constant(sequence: Tensor, constant: Tensor) -> Tensor:
    """Return a sequence, float [batch, time, features], with further numbers, float [batch, width], at each step."""
    repeated = ops.ones_like(sequence[:, :, :1]) * ops.cast(constant, sequence.dtype)[:, None, :]
    return ops.concatenate([sequence, repeated], axis=-1)
