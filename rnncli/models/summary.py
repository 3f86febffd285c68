"""The table of a model's layers."""

from __future__ import annotations

import math
from typing import Any

from rnncli.layers import Bridge, Recurrent, TokenEmbedding
from rnncli.models.base import TrainableModel


def describe(model: TrainableModel) -> str:
    """Return a table of layers, the total of parameters, and a line on the kernel of each recurrent layer."""
    rows = [("layer", "type", "output shape", "parameters")]
    names = {x.name: x.prefix for x in model.recurrent_layers}
    counts = parameters(model.network.layers)
    rows += [(names.get(x.name, x.name), kind(x), shape(x), f"{counts[x.name]:,}") for x in model.network.layers]
    wide = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c:<{wide[2]}}  {d:>{wide[3]}}" for a, b, c, d in rows]
    lines.insert(1, "-" * len(lines[0]))
    total = model.network.count_params()
    lines += ["-" * len(lines[0]), f"total: {total:,} parameters ({4 * total / 2**20:.2f} MiB)", ""]
    lines += [f"{x.prefix}: {x.choice.kernel} kernel ({x.choice.reason})" for x in model.recurrent_layers]
    return "\n".join(lines)


def parameters(layers: list[Any]) -> dict[str, int]:
    """Return the parameters of each layer by its name, without those of layers in the list that it is made of."""
    counts = dict.fromkeys((layer.name for layer in layers), 0)
    counted: set[str] = set()
    for layer in sorted(layers, key=lambda layer: len(layer.weights)):  # parts before what they are part of
        new = [weight for weight in layer.weights if weight.path not in counted]
        counts[layer.name] = sum(math.prod(weight.shape) for weight in new)
        counted |= {weight.path for weight in new}
    return counts


def kind(layer: Any) -> str:
    """Return a layer's type, as Keras names it."""
    if isinstance(layer, Recurrent):
        return f"Bidirectional({layer.kind})" if len(layer.directions) > 1 else layer.kind
    if isinstance(layer, TokenEmbedding):
        return "Embedding" if layer.table is not None else "number" if layer.as_number else "one-hot"
    if type(layer).__name__ == "TimeDistributed":
        return f"TimeDistributed({type(layer.layer).__name__})"
    return type(layer).__name__


def shape(layer: Any) -> str:
    """Return the shape of a layer's output; of a bridge, of each state."""
    if isinstance(layer, Bridge):
        return ", ".join(str((None, *shape)) for shape in layer.target.values())
    output = layer.output
    first = output[0] if isinstance(output, list | tuple) else output
    return str(tuple(first.shape))
