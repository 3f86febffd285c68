"""The initial states of prediction with a stateful model, or with states from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.errors import InputError

if TYPE_CHECKING:
    from rnncli.inference.decoder import States
    from rnncli.runs.directory import SavedRun
    from rnncli.states.reader import StateFile


class InitialStates:
    """Initial states, read and checked as far as that is possible without the model.

    Args:
        saved: The run.
        source: A file, `zeros`, `carried`, or None: `carried` for a stateful model, else the model's own.
        row: Row of the states that every row starts from; None if each row has its own.
        allow_other_weights: True accepts states of another run if their shapes match.

    Attributes:
        name: `source`, or `carried` if that is the default; empty for the model's own.

    Raises:
        InputError: There are no such states.
    """

    def __init__(self, saved: SavedRun, source: str | None, row: int | None, allow_other_weights: bool) -> None:
        from rnncli.states.reader import read_states

        self.saved, self.row, self.allow_other_weights = saved, row, allow_other_weights
        self.name = source or ("carried" if saved.carried else "")
        if self.name == "carried" and not saved.carried:
            raise InputError(f"{saved.path}: --state-in carried: no carried states, the model is not stateful")
        self.file: StateFile | None = None
        if self.name not in ("", "zeros", "carried"):
            self.file = read_states(self.name)
        if row is not None and source is None and not saved.carried:
            raise InputError("--state-row needs --state-in")

    def describe(self, autoregressive: bool) -> str:
        """Return a message about the initial states.

        Args:
            autoregressive: True if the states are those of a decoder, so that no encoder reads the sources.
        """
        attends = getattr(self.saved.config.model, "attention", "none") != "none"
        reader = "only attention reads the sources" if attends else "the sources are not read"
        names = {"carried": "the states carried from training", "zeros": "zeros"}
        start = f"starting from {names.get(self.name, f'the states in {self.name}')}"
        return f"{start}: the decoder continues from there, and {reader}" if autoregressive else start

    def load(self, spec: dict[str, tuple[int, ...]], rows: int) -> States | None:
        """Return the states of the first batch, float32 [rows, units] by name; None for the model's own.

        Args:
            spec: Names and shapes of a row's states.
            rows: Rows of the first batch.

        Raises:
            InputError: The states do not fit the model or the rows.
        """
        from rnncli.states.final_states import check_states

        if not self.name:
            return None
        states = self.saved.carried
        if self.file is not None:
            file_rows = None if self.row is not None else rows
            check_states(self.file, spec, self.saved.identity(), self.allow_other_weights, file_rows)
            states = self.file.final
        elif self.name == "zeros":
            return zero_states(spec, rows)
        if self.row is None:
            return dict(states)
        count = len(next(iter(states.values())))
        if self.row >= count:
            raise InputError(f"--state-row {self.row}: {self.name} has rows 0 to {count - 1}")
        return {name: value[self.row : self.row + 1].repeat(rows, axis=0) for name, value in states.items()}


def zero_states(spec: dict[str, tuple[int, ...]], rows: int) -> States:
    """Return states of zeros, float32 [rows, ...] by name."""
    import numpy as np

    return {name: np.zeros((rows, *shape), np.float32) for name, shape in spec.items()}
