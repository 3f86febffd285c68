"""Division of a training step among CPU cores: shards of a batch, and threads of a computation."""

from __future__ import annotations

from typing import NamedTuple

from rnncli.config import Config, EncoderDecoderModel
from rnncli.config.kernels import fused_blockers
from rnncli.data.examples import Examples, Sizes
from rnncli.runtime.flops import needed_flop
from rnncli.runtime.xla import unrolls

MIN_THREADED_UNITS = 256
"""XLA hands the matrix products of layers from this width on to other threads."""

MIN_SHARD_ROWS = 16
"""Fewer rows in a shard than this save less time than the additional computation costs."""

MIN_PARALLEL_FLOP = 4e7
"""A training step of fewer floating-point operations than this is faster on one core."""


class ParallelismPlan(NamedTuple):
    """The division of a training step among cores, as `tensorflow_setup.setup_tensorflow` takes it.

    Attributes:
        max_shards: Shards of a batch beyond which nothing is gained.
        needs_threads: True if the computation of one shard needs several threads.
    """

    max_shards: int
    needs_threads: bool


def plan_parallelism(config: Config, sizes: Sizes, examples: Examples, workers: int = 1) -> ParallelismPlan:
    """Return the fastest division of a training step; `runtime.cores` in the config overrides `max_shards`.

    Args:
        config: The validated config.
        sizes: Sizes of the vocabularies and sequences.
        examples: The training examples.
        workers: The number of processes that train together, among which a batch is divided first.
    """
    rows = -(-min(config.training.batch_size, len(examples)) // (config.runtime.micro_batches * workers))
    flop = needed_flop(config.model, sizes, examples, config.training.samples)
    if config.runtime.cores is None and flop is not None and rows * flop < MIN_PARALLEL_FLOP:
        return ParallelismPlan(1, needs_threads(config))
    return ParallelismPlan(max(1, rows // MIN_SHARD_ROWS), needs_threads(config, examples.steps))


def needs_threads(config: Config, steps: int | None = None) -> bool:
    """Return True if XLA needs several threads for one computation of this model.

    Wide products, loops, and layers that do not depend on each other (two directions) run in TensorFlow's thread
    pool. A pool of one thread would let them wait for each other.

    Args:
        config: The validated config.
        steps: Length of the longest training sequence; None if nothing is trained.
    """
    model, stacks = config.model, config.model.stacks
    if any(max(stack.layer_units) >= MIN_THREADED_UNITS for stack in stacks):
        return True
    if steps is None:
        return False
    if config.runtime.kernel == "generic" or fused_blockers(model.cell, model.implementation):
        return True  # Keras's own loops
    widths = [units for stack in stacks for units in stack.layer_units]
    loops = isinstance(model, EncoderDecoderModel) and (model.input_feeding or model.attention == "monotonic")
    return loops or stacks[0].directions > 1 or not all(unrolls(steps, units) for units in widths)
