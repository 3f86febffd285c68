"""All variables that training changes, as arrays by name, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from rnncli.models import NetworkModel
from rnncli.runs.arrays import Arrays
from rnncli.runs.checkpoints import OPTIMIZER, SEEDS, STATES, WEIGHTS
from rnncli.states.named_arrays import ArraySpec, check_arrays


class Variables:
    """The variables of a model in training.

    Args:
        model: Its weights, and the seed generators of a custom cell.
        optimizer: Its moments, steps, learning rate, and scale of the loss; built.
        carried: The states that the next step would start from, by name; none where they are not carried.
        rows: Of a batch; what `carried` has beyond them is of places without an example.
    """

    def __init__(
        self, model: NetworkModel, optimizer: keras.optimizers.Optimizer, carried: Mapping[str, Any], rows: int
    ):
        self.model, self.rows = model, rows
        weights = {id(variable) for variable in model.network.weights}
        others = [variable for variable in model.network.variables if id(variable) not in weights]
        self.named: dict[str, dict[str, Any]] = {
            WEIGHTS: {variable.path: variable for variable in model.network.weights},
            OPTIMIZER: {variable.path: variable for variable in optimizer.variables},
            STATES: dict(carried),
            SEEDS: {f"{number:04d}": variable for number, variable in enumerate(others)},  # Keras numbers their paths
        }

    def carried(self) -> Arrays:
        """The states that the next step would start from, float32 [batch rows, units]."""
        return {name: np.array(value.numpy())[: self.rows] for name, value in self.named[STATES].items()}

    def arrays(self) -> dict[str, Arrays]:
        """A copy of each variable, by file and name; files that would be empty are left out, but for these two."""
        arrays = {
            file: {name: np.array(variable.numpy()) for name, variable in named.items()}
            for file, named in self.named.items()
            if named or file in (WEIGHTS, OPTIMIZER)
        }
        return arrays | ({STATES: self.carried()} if STATES in arrays else {})

    def check(self, arrays: Mapping[str, Arrays]) -> None:
        """Check that arrays are those of these variables: names, types, shapes and finite values.

        Raises:
            InputError: Something does not fit.
        """
        for file, named in self.named.items():
            specs = {
                name: ArraySpec(
                    (self.rows, *variable.shape[1:]) if file == STATES else tuple(variable.shape),
                    keras.backend.standardize_dtype(variable.dtype),
                )
                for name, variable in named.items()
            }
            check_arrays(arrays.get(file, {}), specs, f"{file} is not of this config")

    def assign(self, arrays: Mapping[str, Arrays]) -> None:
        """Set every variable, after checking all arrays.

        Raises:
            InputError: Something does not fit; no variable was changed.
        """
        self.check(arrays)
        for file, named in self.named.items():
            for name, variable in named.items():
                value = arrays[file][name]
                more = variable.shape[0] - len(value) if file == STATES else 0
                variable.assign(np.pad(value, ((0, more), *[(0, 0)] * (value.ndim - 1))) if more else value)
