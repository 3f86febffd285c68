"""Division of training among CPU cores: shards of a batch, and threads."""

from __future__ import annotations

from rnncli.config import Config, CustomCell, EncoderDecoderModel
from rnncli.data.examples import Examples, Sizes
from rnncli.runtime.flops import needed_flop
from rnncli.runtime.xla import unrolls

WIDE_UNITS = 256
"""From these on a product of a step is a large one."""


LEAST_ROWS = 16


LITTLE = 40000000.0


def divide(config: Config, sizes: Sizes, examples: Examples) -> tuple[int, bool]:
    """How cores best share a step of training, unless `runtime.cores` says; what `runtime.start` wants to know.

    Args:
        config: The config.
        sizes: What the data says of vocabularies and lengths.
        examples: What is trained on.

    Returns:
        Parts of a batch beyond which nothing is gained, and whether a part's computation needs threads of its own.
    """
    rows = min(config.training.batch_size, len(examples))
    flop = needed_flop(config.model, sizes, examples)
    if config.runtime.cores is None and flop is not None and rows * flop < LITTLE:
        return 1, needs_threads(config)
    return max(1, rows // LEAST_ROWS), needs_threads(config, examples.steps)


def needs_threads(config: Config, steps: int | None = None) -> bool:
    """Whether one thread is too few for what XLA computes; see `runtime.start`.

    Args:
        config: The config.
        steps: Of the longest sequence that is trained on; None where nothing is trained.
    """
    model, stacks = config.model, config.model.stacks
    if any(stack.units >= WIDE_UNITS for stack in stacks):
        return True
    if steps is None:
        return False
    if config.runtime.kernel == "generic" or model.implementation == "cell" or isinstance(model.cell, CustomCell):
        return True  # Keras's own loops
    feeds = isinstance(model, EncoderDecoderModel) and model.input_feeding
    return feeds or stacks[0].bidirectional or not all(unrolls(steps, stack.units) for stack in stacks)
