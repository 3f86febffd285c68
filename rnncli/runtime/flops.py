"""The arithmetic that a step of training needs, and how cores share it. Imports no TensorFlow.

Only the products of matrices are counted, which are nearly all of the work; a product of [rows, a] with [a, b] is
2 * rows * a * b floating-point operations (FLOP). "Needed" is what no implementation can leave out, found from the
config and the data alone, so that a kernel which does more than it must shows a lower rate:

* The recurrent product of a layer with n units and g gates is n by g * n, once a step that is really read; padding is
  not counted. In the first step from zeros there is nothing to multiply.
* The input projection is d by g * n of a step with d values. One-hot and embedded symbols need none, for their
  projections are rows of a table that are looked up. What is the same at every step (the input of a RepeatVector
  decoder) is projected once, unless dropout makes it differ.
* A Dense layer is its width in by its width out, once a step of the target; of a dense bridge, once an example.
* Attention is its keys once a step of the source, its query and what it becomes once a step of the target, and a
  score and a share of the context for each pair of these steps.
* Backward each is needed twice more: for the gradient of its weights and for that of its input. Numbers that are
  data, and states carried from the batch before, want no gradient.

So a step is 6 * rows * a * b FLOP over all products, and 4 where the input wants no gradient.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rnncli.config import CELLS, CustomCell, EncoderDecoderModel, Model, NextStepModel, RepeatVectorModel, Stack
from rnncli.data.examples import Examples, Sizes

Count = NDArray[np.float64]
"""FLOP or steps of each example."""


def needed_flop(config: Model, sizes: Sizes, examples: Examples) -> float | None:
    """FLOP that training on one example needs, forward and backward, in the mean over examples; see the module.

    Args:
        config: The `model` section of a config.
        sizes: What the data says of vocabularies and lengths.
        examples: What is trained on; only lengths play a part.

    Returns:
        FLOP; None where the cell is the user's own.
    """
    cell = config.cell
    if isinstance(cell, CustomCell):
        return None
    source, target = examples.source_lengths.astype(np.float64), examples.target_lengths.astype(np.float64)
    total: Count
    if isinstance(config, EncoderDecoderModel):
        encoder, decoder = config.encoder, config.decoder
        fed = 6 * target * config.decoder.output_layer_width * config.input_feeding
        start = "zeros" if config.bridge == "zero" else "bridged"
        total = _stack(encoder, cell, source) + _stack(decoder, cell, target, fed, start)
        if config.bridge == "dense" or not (config.bridge == "zero" or config.states_fit or config.states_join):
            total = total + 6 * _state_width(encoder, cell) * _state_width(decoder, cell)
        total = total + _attention(config, source, target)
        total = total + 6 * target * config.decoder.output_layer_width * sizes.target_symbols
    elif isinstance(config, RepeatVectorModel):
        rows = target if config.decoder.dropout else np.ones_like(target)
        total = _stack(config.encoder, cell, source)
        total = total + _stack(config.decoder, cell, target, 6 * rows * config.encoder.output_width)
        total = total + 6 * target * config.decoder.units * sizes.target_symbols
    else:
        numbers = sizes.features or (config.symbols == "number")
        carried = isinstance(config, NextStepModel) and config.stateful
        total = _stack(config, cell, source, 4 * source * numbers, "carried" if carried else "zeros")
        total = total + 6 * target * config.output_width * sizes.target_symbols
    return float(np.mean(total))


def _stack(section: Stack, cell: str, steps: Count, projected: Count | float = 0.0, start: str = "zeros") -> Count:
    """Recurrent layers one above the other.

    Args:
        section: The config of the layers.
        cell: A key of `CELLS`.
        steps: What is read of each example.
        projected: FLOP of the first layer's projection to one column of weights.
        start: What the layers start from: `zeros`, `bridged` states, which want a gradient, or `carried` ones.
    """
    later = np.maximum(steps - 1, 0)
    recurrent = {"zeros": 6 * later, "bridged": 6 * steps, "carried": 4 * steps + 2 * later}[start]
    columns = section.directions * CELLS[cell].gates * section.units
    upper = (section.layers - 1) * 6 * steps * section.output_width
    total: Count = columns * (section.layers * recurrent * section.units + projected + upper)
    return total


def _attention(config: EncoderDecoderModel, source: Count, target: Count) -> Count | float:
    """Keys, scores, contexts and what they become; scores by a sum over tanh are no product, but cost as much."""
    if config.attention == "none":
        return 0.0
    units, width = config.decoder.units, config.encoder.output_width
    keys = 0.0 if config.attention == "dot" else source * width * units
    queries = target * units * units if config.attention == "additive" else 0.0
    looked = source * target * (units + width)
    return 6 * (keys + queries + looked + target * (width + units) * config.decoder.output_layer_width)


def _state_width(section: Stack, cell: str) -> int:
    """Of all states of all layers."""
    return section.units * section.layers * section.directions * len(CELLS[cell].states)
