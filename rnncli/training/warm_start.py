"""Weights taken from another run: by name, and the rows of symbols by symbol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.data.vocabulary import Vocabularies
from rnncli.errors import InputError
from rnncli.models import NetworkModel
from rnncli.runs.start_weights import StartWeights
from rnncli.training.inputs import TrainingInputs

INIT_FROM = "init_from"
"""The key of the manifest that records the weights that training started from."""
MAX_LISTED = 6
"""Arrays and symbols that a message lists."""

Shapes = dict[str, tuple[int, ...]]


@dataclass
class Taken:
    """The parameters that a training starts with.

    Attributes:
        start: The weights of the other run.
        new_symbols: Symbols that the other run does not have, of both sides.
        whole: Parameters taken as they are, with their shapes.
        parts: Parameters of which the rows or columns of known symbols were taken, with their shapes here.
        new: Parameters that the other run has not, and that are random; with their shapes.
        unused: Parameters of the other run that this model has not, with their shapes.
    """

    start: StartWeights
    new_symbols: tuple[list[str], list[str]]
    whole: Shapes = field(default_factory=dict)
    parts: Shapes = field(default_factory=dict)
    new: Shapes = field(default_factory=dict)
    unused: Shapes = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return what the manifest records."""
        return {
            "run": str(self.start.path.absolute()),
            "step": self.start.record.step,
            "weights_digest": self.start.record.weights_digest,
            "whole": self.whole,
            "parts": self.parts,
            "new": self.new,
            "unused": self.unused,
        }

    def lines(self) -> list[str]:
        """Return messages about what was taken and what not."""
        path, record = self.start.path, self.start.record
        total = len(self.whole) + len(self.parts) + len(self.new)
        place = f"epoch {record.epoch}, step {record.step}, weights {record.weights_digest[:12]}"
        lines = [f"{path}: starting from its weights of {place}: {len(self.whole)} of {total} arrays as they are"]
        if self.parts:
            lines.append(f"{path}: only the rows of known symbols taken: {_listed(self.parts)}")
        for side, symbols in zip(Vocabularies._fields, self.new_symbols, strict=True):
            if symbols:
                shown = " ".join(map(repr, symbols[:MAX_LISTED])) + " ..." * (len(symbols) > MAX_LISTED)
                lines.append(f"{path}: {len(symbols)} new {side} symbols, whose rows are random: {shown}")
        if self.new:
            lines.append(f"{path}: not there, and so random: {_listed(self.new)}")
        if self.unused:
            lines.append(f"{path}: not taken, as this model has no such array: {_listed(self.unused)}")
        return lines


def take_weights(model: NetworkModel, start: StartWeights, inputs: TrainingInputs) -> Taken:
    """Set the parameters of a model to those of another run, where that has them.

    An array is taken if it has the name and the shape. Where its rows or columns stand for symbols, each is taken by
    its symbol, and those of new symbols stay random. The output layer is taken from a model of the same type only, as
    it means something else in another.

    Args:
        model: The model, with random parameters.
        start: The weights.
        inputs: The config, and the task with the vocabularies.

    Raises:
        InputError: An array has another shape, or no array can be taken.
    """
    task = inputs.task
    here = Vocabularies(task.source_vocabulary, task.target_vocabulary)
    sides = zip(here, start.vocabularies, strict=True)
    more = tuple([symbol for symbol in new.symbols if symbol not in old.ids] for new, old in sides)
    taken, result = Taken(start, (more[0], more[1])), model.arrays()
    same_type, axes = start.config.model.type == inputs.config.model.type, model.symbol_axes
    wrong: Shapes = {}
    for name, fresh in result.items():
        axis, side = axes.get(name, (None, None))
        found = start.weights.get(name) if same_type or side != "target" else None
        if found is None:
            taken.new[name] = fresh.shape
        elif side is not None and (new := here.of(side)) != (old := start.vocabularies.of(side)):
            places = _places(new.symbols, old.symbols)
            merged = _merge(fresh, found, axis or 0, *places)
            (wrong if merged is None else taken.parts)[name] = fresh.shape
            result[name] = fresh if merged is None else merged
        else:
            (taken.whole if fresh.shape == found.shape else wrong)[name] = fresh.shape
            result[name] = found
    _refuse_wrong(wrong, start, taken)
    used = {*taken.whole, *taken.parts}
    taken.unused = {name: array.shape for name, array in start.weights.items() if name not in used}
    model.assign(result)
    return taken


def _refuse_wrong(wrong: Shapes, start: StartWeights, taken: Taken) -> None:
    if wrong:
        name, shape = next(iter(wrong.items()))
        others = f" (and {len(wrong) - 1} more arrays)" if len(wrong) > 1 else ""
        raise InputError(
            f"training.init_from: {start.path}: {name} is {list(start.weights[name].shape)} there and {list(shape)} "
            f"here{others}; its weights do not fit",
            f"use the model section of {start.path / 'config.yaml'}, or train without init_from",
        )
    if not taken.whole and not taken.parts:
        raise InputError(
            f"training.init_from: {start.path}: none of its {len(start.weights)} arrays is one of this model",
            f"use the model section of {start.path / 'config.yaml'}, or train without init_from",
        )


def _places(here: tuple[str, ...], there: tuple[str, ...]) -> tuple[list[int], list[int], int, int]:
    """Return the ids of shared symbols in both vocabularies, and the number of symbols of both."""
    index = {symbol: number for number, symbol in enumerate(there)}
    shared = [(number, index[symbol]) for number, symbol in enumerate(here) if symbol in index]
    return [a for a, _ in shared], [b for _, b in shared], len(here), len(there)


def _merge(
    fresh: NDArray[Any], found: NDArray[Any], axis: int, here: list[int], there: list[int], symbols: int, before: int
) -> NDArray[Any] | None:
    """Return an array with the rows of known symbols taken from another; None if the rest has another shape.

    Rows behind those of the symbols stand for other inputs, such as the attention output, and are taken all.
    """
    result, source = np.moveaxis(fresh.copy(), axis, 0), np.moveaxis(found, axis, 0)
    if result.shape[1:] != source.shape[1:] or len(result) - symbols != len(source) - before or len(source) < before:
        return None
    result[here] = source[there]
    result[symbols:] = source[before:]
    return np.ascontiguousarray(np.moveaxis(result, 0, axis))


def _listed(shapes: Shapes) -> str:
    shown = [f"{name} {list(shape)}" for name, shape in list(shapes.items())[:MAX_LISTED]]
    return ", ".join(shown) + (f" and {len(shapes) - MAX_LISTED} more" if len(shapes) > MAX_LISTED else "")
