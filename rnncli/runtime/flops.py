"""Count of the floating-point operations (FLOP) of training. Imports no TensorFlow.

Only matrix products are counted, which are nearly all of the work. A product of [rows, a] with [a, b] is
2 * rows * a * b FLOP. The count is what every implementation needs, found from the config and the data alone. So a
kernel that computes more than this shows a lower rate.

* Recurrent product: n by g * n for a layer of n units and g gates, at each real time step; padding is not counted.
  The first step from zero states needs none.
* Input projection: d by g * n at each time step with d values. One-hot and embedded symbols need none, because their
  projections are looked up as rows of a table. Input that is the same at every step (of a RepeatVector decoder) is
  projected once, unless dropout makes it differ.
* Dense layer: input width by output width, at each target step; for a dense bridge, once for each example.
* Two texts: each has the steps of its own length.
* Attention: the keys at each source step; the query and the projected output at each target step; a score and a
  weighted sum for each pair of source and target step.
* Monotonic attention: its keys at each source step; both parts of what the output layer reads, at their own steps;
  scores, or those of jumps, and the output layer for each pair of steps.
* Features with an encoder: the dense layer once for each example, and two projections of its vector.
* Copying: the switch at each target step.
* Scheduled sampling: all that is computed at target steps once more, forward, for the predictions.
* Backward pass: each product twice more, for the gradient of its weights and for that of its input. Data that are
  numbers, and carried states, need no gradient.

So each product counts 6 * rows * a * b FLOP, or 4 * rows * a * b if its input needs no gradient.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rnncli.config import (
    CELLS,
    BuiltInCell,
    ClassifierModel,
    CustomCell,
    EncoderDecoderModel,
    Model,
    NextStepModel,
    RepeatVectorModel,
    Stack,
)
from rnncli.data.examples import Examples, Sizes

Count = NDArray[np.float64]
"""FLOP or time steps of each example, float64 [examples]."""

COUNTED_AT_A_TIME = 2**20
"""Examples that are counted at a time, since each one takes many times the memory of its length."""


def needed_flop(config: Model, sizes: Sizes, examples: Examples, samples: bool = False) -> float | None:
    """Return the FLOP of training on one example, forward and backward; see the module.

    Args:
        config: The `model` section of a config.
        sizes: Sizes of the vocabularies and sequences.
        examples: The training examples; only their lengths matter.
        samples: True with scheduled sampling.

    Returns:
        The mean FLOP over all examples; None for a custom cell.
    """
    if isinstance(config.cell, CustomCell):
        return None
    total = 0.0
    for begin in range(0, len(examples), COUNTED_AT_A_TIME):
        part = slice(begin, begin + COUNTED_AT_A_TIME)
        source, target = (each[part].astype(float) for each in (examples.source_lengths, examples.target_lengths))
        if sizes.first_symbols:
            first = np.count_nonzero(np.asarray(examples.source[part])[:, : sizes.tags], axis=1)
            total += float(np.sum(_flop_of_two_texts(config, sizes, first.astype(float), source, target)))
        else:
            total += float(np.sum(_flop(config, sizes, source, target, samples)))
    return total / len(examples)


def _flop(config: Model, sizes: Sizes, source: Count, target: Count, samples: bool) -> Count:
    """Return the FLOP of training on each example, given the lengths of source and target; see `needed_flop`."""
    cells = [[CELLS[name] for name in config.layer_cells(stack)] for stack in config.stacks]
    total: Count
    if isinstance(config, EncoderDecoderModel):
        source = source - sizes.tags
        total = _encoding(config, sizes, cells[0], cells[-1], source, target)
        decoding = _decoding(config, sizes, cells[-1], source, target)
        total = total + decoding + samples * decoding / 3
    elif isinstance(config, RepeatVectorModel):
        rows = target if config.decoder.dropout else np.ones_like(target)
        total = _stack(config.encoder, cells[0], source)
        total = total + _stack(config.decoder, cells[-1], target, 6 * rows * config.encoder.output_width)
        total = total + 6 * target * config.decoder.output_width * sizes.target_symbols
    else:
        numbers = sizes.features or (config.symbols == "number")
        carried = isinstance(config, NextStepModel) and config.stateful
        total = _stack(config, cells[0], source, 4 * source * numbers, "carried" if carried else "zeros")
        total = total + 6 * target * config.output_width * sizes.target_symbols
    return total


def _encoding(
    config: EncoderDecoderModel,
    sizes: Sizes,
    cells: list[BuiltInCell],
    decoder_cells: list[BuiltInCell],
    source: Count,
    target: Count,
) -> Count:
    """Return the FLOP of all that an encoder-decoder computes before the first target step."""
    encoder, decoder = config.encoder, config.decoder
    projected: Count | float = 0.0
    if sizes.tags:  # their vector is projected once, unless dropout makes it differ
        projected = 6 * decoder.layer_units[0] * (source if encoder.dropout else np.ones_like(source))
    total = _stack(encoder, cells, source, projected)
    if sizes.tags:
        total = total + 6 * (encoder.embedding or 0) * decoder.layer_units[0]
    if config.bridge == "dense" or not (config.bridge == "zero" or config.states_fit or config.states_join):
        total = total + 6 * _state_width(encoder, cells) * _state_width(decoder, decoder_cells)
    return total + _attention(config, source, np.zeros_like(target))


def _decoding(
    config: EncoderDecoderModel, sizes: Sizes, cells: list[BuiltInCell], source: Count, target: Count
) -> Count:
    """Return the FLOP of all that an encoder-decoder computes at target steps."""
    decoder = config.decoder
    projected = 6 * target * decoder.output_layer_width * config.input_feeding
    if sizes.tags:  # as in `_encoding`
        projected = projected + 6 * decoder.layer_units[0] * (target if decoder.dropout else np.ones_like(target))
    total = _stack(decoder, cells, target, projected, "zeros" if config.bridge == "zero" else "bridged")
    total = total + _attention(config, source, target) - _attention(config, source, np.zeros_like(target))
    outputs = target * source if config.attention == "monotonic" else target
    return total + 6 * outputs * decoder.output_layer_width * sizes.target_symbols


def _flop_of_two_texts(config: Model, sizes: Sizes, first: Count, source: Count, target: Count) -> Count:
    """Return the FLOP of training a classifier of two texts on each example; `source` is the length of both."""
    assert isinstance(config, ClassifierModel), "the only model of two texts"
    assert config.encoder is not None, "which reads the first"
    of_first, of_second = ([CELLS[name] for name in config.layer_cells(stack)] for stack in config.stacks)
    total = _stack(config.encoder, of_first, first)
    total = total + _stack(config, of_second, source - sizes.tags, start="bridged")
    if not (config.states_fit or config.states_join):
        total = total + 6 * _state_width(config.encoder, of_first) * _state_width(config, of_second)
    return total + 6 * target * config.output_width * sizes.target_symbols


def _stack(
    section: Stack, cells: list[BuiltInCell], steps: Count, projected: Count | float = 0.0, start: str = "zeros"
) -> Count:
    """Return the FLOP of stacked recurrent layers.

    Args:
        section: The config of the layers.
        cells: The cell of each layer.
        steps: The time steps of each example.
        projected: FLOP of the first layer's input projection to one column of weights.
        start: The initial states: `zeros`, `bridged` (which need a gradient) or `carried`.
    """
    later = np.maximum(steps - 1, 0)
    recurrent = {"zeros": 6 * later, "bridged": 6 * steps, "carried": 4 * steps + 2 * later}[start]
    read = [projected, *(6 * steps * width for width in section.layer_widths)]
    total: Count = np.zeros_like(steps)
    for cell, units, projection in zip(cells, section.layer_units, read, strict=False):
        total = total + section.directions * cell.gates * units * (recurrent * units + projection)
    return total


def _attention(config: EncoderDecoderModel, source: Count, target: Count) -> Count | float:
    """Return the FLOP of attention; additive scores, which are no product, are counted like one."""
    if config.attention == "none":
        return 0.0
    units, width = config.decoder.output_width, config.encoder.output_width
    if config.attention == "monotonic":
        return _monotonic_attention(config, units, width, source, target)
    keys = 0.0 if config.attention == "dot" else source * width * units
    queries = target * units * units if config.attention == "additive" else 0.0
    scores = source * target * (units + width)
    combined = (width + units) * config.decoder.output_layer_width
    switch = 0 if config.copying == "none" else width + units + (config.decoder.embedding or 0)
    return 6 * (keys + queries + scores + target * (combined + switch))


def _monotonic_attention(
    config: EncoderDecoderModel, units: int, width: int, source: Count, target: Count
) -> Count | float:
    """Return the FLOP of monotonic attention without the output layer; see `_attention`."""
    keys, read = source * width * units, (source * width + target * units) * config.decoder.output_layer_width
    if config.attention_order == 0:
        return 6 * (keys + read + source * target * units)
    jumps = (source + target) * units * (config.attention_window + 1)
    return 6 * (keys + read + source * units + jumps)  # scores of the first step alone


def _state_width(section: Stack, cells: list[BuiltInCell]) -> int:
    """Return the width of all states of all layers together."""
    layers = zip(cells, section.layer_units, strict=True)
    return section.directions * sum(len(cell.states) * units for cell, units in layers)
