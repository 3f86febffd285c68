"""The variables that training changes, as named arrays for a checkpoint."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from rnncli.models import NetworkModel
from rnncli.runs.arrays import Arrays
from rnncli.runs.checkpoints import OPTIMIZER, SEEDS, STATES, WEIGHTS
from rnncli.runtime.workers import Workers
from rnncli.states.named_arrays import ArraySpec, check_arrays

TRAINED = "trained"
"""The beginning of the names of parameters in the optimizer's file, where the weights are moving averages."""


class TrainingVariables:
    """All variables that training changes, by the files of a checkpoint.

    Args:
        model: The model, with its weights and the seed generators of a custom cell.
        optimizer: The optimizer, built.
        carried: The states of this worker's rows that a stateful model carries to the next step, by name; empty for
            other models.
        rows: The mini-batch size.
        own_rows: The places of this worker's rows in a mini-batch; those from `rows` on are padding. None is all.
        workers: The processes that train together; None is this one alone.
        averages: The moving average of each parameter, by its name. A checkpoint has them as its weights, which all
            that is not training reads, and the parameters with the optimizer's variables. None or empty is none.
    """

    def __init__(
        self,
        model: NetworkModel,
        optimizer: keras.optimizers.Optimizer,
        carried: Mapping[str, Any],
        rows: int,
        own_rows: NDArray[np.int32] | None = None,
        workers: Workers | None = None,
        averages: Mapping[str, Any] | None = None,
    ):
        self.model, self.rows, self.workers = model, rows, workers or Workers()
        self.own_rows = np.arange(rows, dtype=np.int32) if own_rows is None else own_rows
        weights = {id(variable) for variable in model.network.weights}
        trained = {f"{TRAINED}/{each.path}": each for each in model.network.trainable_variables if averages}
        others = [variable for variable in model.network.variables if id(variable) not in weights]
        self.named: dict[str, dict[str, Any]] = {
            WEIGHTS: {variable.path: variable for variable in model.network.weights} | dict(averages or {}),
            OPTIMIZER: _optimizer_names(optimizer) | trained,
            STATES: dict(carried),
            SEEDS: {
                f"{number:04d}": variable for number, variable in enumerate(others)
            },  # Keras numbers their paths anew
        }

    def carried(self) -> Arrays:
        """Return the carried states, float32 [batch size, units]; empty for a model that is not stateful.

        All workers must call it together, since each one has the states of its own rows.
        """
        return {name: self._of_all_rows(variable.numpy()) for name, variable in self.named[STATES].items()}

    def _of_all_rows(self, own: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.zeros((self.workers.count * len(own), *own.shape[1:]), own.dtype)
        rows[self.own_rows] = own
        return self.workers.total(rows)[: self.rows]

    def arrays(self) -> dict[str, Arrays]:
        """Return a copy of each variable by file and name, without empty files but for weights and optimizer."""
        arrays = {
            file: {name: np.array(variable.numpy()) for name, variable in named.items()}
            for file, named in self.named.items()
            if named or file in (WEIGHTS, OPTIMIZER)
        }
        return arrays | ({STATES: self.carried()} if STATES in arrays else {})

    def check(self, arrays: Mapping[str, Arrays], files: Collection[str] | None = None) -> None:
        """Check names, dtypes, shapes and finite values of the arrays of a checkpoint.

        Args:
            arrays: The arrays of each file.
            files: The files to check; None is all.

        Raises:
            InputError: An array is missing, superfluous or wrong.
        """
        for file, named in self.named.items():
            if files is not None and file not in files:
                continue
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
            InputError: An array is missing, superfluous or wrong; no variable was changed.
        """
        self.check(arrays)
        for file, named in self.named.items():
            for name, variable in named.items():
                value = arrays[file][name]
                if file == STATES:
                    padding = self.workers.count * variable.shape[0] - len(value)
                    value = np.pad(value, ((0, padding), *[(0, 0)] * (value.ndim - 1)))[self.own_rows]
                variable.assign(value)


def _optimizer_names(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    """Return the variables of an optimizer by their paths.

    A variable that the optimizer does not name, as one of Nadam, gets its position: Keras would number its path by
    what was made in the process before.
    """
    return {
        variable.path if "/" in variable.path else f"{optimizer.name}/variable_{position}": variable
        for position, variable in enumerate(optimizer.variables)
    }
