"""The states of a run on some held-out examples: steps where a unit is highest, steps like another, their plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.data.task import Task, symbols_to_write
from rnncli.errors import InputError
from rnncli.inference.numpy_network import Matrix, NumpyNetwork
from rnncli.plots.pca import fit_plane
from rnncli.runs.directory import SavedRun
from rnncli.runs.held_out import recorded_examples

MAX_PLACED = 300
"""Held-out steps that are shown in a plane: more cover each other."""
MAX_EXAMPLES, MAX_STEPS = 100, 4000
"""Held-out examples that are read, and steps of all of them: a second's work, so that nobody waits long."""


class Context(NamedTuple):
    """A step of a held-out example.

    Attributes:
        symbols: The symbols of the sequence.
        step: The number of the step, from 0.
        value: The unit's value there, or how alike the states are: the cosine.
    """

    symbols: list[str]
    step: int
    value: float


@dataclass(frozen=True)
class HeldOutStates:
    """States and gates after every step of some held-out examples.

    Attributes:
        count: Number of examples.
        arrays: float32 [steps of all examples, units] by name.
        places: For each array, the symbols of each of these steps' example, and its number there.
    """

    count: int
    arrays: dict[str, Matrix]
    places: dict[str, list[tuple[list[str], int]]]

    @classmethod
    def read(cls, saved: SavedRun, network: NumpyNetwork) -> HeldOutStates:
        """Run a model over the first held-out examples.

        Raises:
            InputError: They are not there, or have changed.
        """
        examples, task = recorded_examples(saved), saved.task
        found: dict[str, list[Matrix]] = {}
        places: dict[str, list[tuple[list[str], int]]] = {}
        count = steps = 0
        while count < min(MAX_EXAMPLES, len(examples)) and steps < MAX_STEPS:
            length = int(examples.source_lengths[count])
            source = np.asarray(examples.rows([count]).source)[0, :length].tolist()
            text = examples.texts[count].source if examples.texts else task.show_source(source)
            count, steps = count + 1, steps + length
            if not length:
                continue
            trace = network.read(source)
            symbols = symbols_to_write(task, text)
            sides = source_symbols(task, source), [symbols[each] for each in trace.ids]
            for name, values in trace.arrays.items():
                shown = sides[name.startswith("decoder/")]
                found.setdefault(name, []).append(values)
                places.setdefault(name, []).extend((shown, step) for step in range(len(values)))
        return cls(count, {name: np.concatenate(values) for name, values in found.items()}, places)

    def highest(self, name: str, unit: int, count: int) -> list[Context]:
        """Return the steps at which a unit is highest, the highest first.

        Raises:
            InputError: There is no such unit.
        """
        values = self._array(name)
        if not 0 <= unit < values.shape[1]:
            raise InputError(f"unit: {name} has units 0 to {values.shape[1] - 1}")
        return self._contexts(name, values[:, unit], count)

    def nearest(self, name: str, vector: Sequence[float], count: int) -> list[Context]:
        """Return the steps whose states are most alike, by the cosine.

        Raises:
            InputError: There is no such array, or the vector has another width.
        """
        values = self._array(name)
        wanted = self._checked(name, vector)
        norms = np.linalg.norm(values, axis=1) * np.linalg.norm(wanted)
        return self._contexts(name, values @ wanted / np.maximum(norms, 1e-12), count)

    def plane(self, name: str, vectors: Sequence[Sequence[float]]) -> dict[str, Any]:
        """Return states, and some of the held-out ones, in the plane of the held-out ones' largest variance.

        Raises:
            InputError: There is no such array, or a vector has another width.
        """
        values = self._array(name)
        if len(values) < 2:
            raise InputError("a plane needs at least two steps of held-out examples")
        plane = fit_plane(values)
        chosen = np.linspace(0, len(values) - 1, min(len(values), MAX_PLACED)).astype(int).tolist()
        others = [
            {"symbols": self.places[name][each][0], "step": self.places[name][each][1], "point": point}
            for each, point in zip(chosen, plane(values[chosen]).tolist(), strict=True)
        ]
        points = [plane(self._checked(name, vector)).tolist() for vector in vectors]
        return {"variances": plane.variances, "points": points, "others": others}

    def _checked(self, name: str, vector: Sequence[float]) -> NDArray[np.float64]:
        wanted = np.clip(np.asarray(vector, np.float64), -1e6, 1e6)
        if wanted.shape != (width := self._array(name).shape[1],):
            raise InputError(f"a state of {len(vector)} numbers, and {name} has {width} units")
        return wanted

    def _array(self, name: str) -> Matrix:
        if name not in self.arrays:
            raise InputError(f"array: {name[:100]} is none of the model", f"it has {', '.join(self.arrays)}")
        return self.arrays[name]

    def _contexts(self, name: str, values: NDArray[Any], count: int) -> list[Context]:
        best = np.argsort(-values, kind="stable")[:count].tolist()
        found: list[Context] = []
        for each in best:
            symbols, step = self.places[name][each]
            found.append(Context(symbols, step, float(values[each])))
        return found


def source_symbols(task: Task, source: Sequence[Any]) -> list[str]:
    """Return the symbols that recurrent layers read of a source; steps of numbers are named by their indices."""
    if task.sizes.features is not None:
        return [str(step) for step in range(len(source))]
    return task.source_vocabulary.decode(source[task.sizes.tags :])
