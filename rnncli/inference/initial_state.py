"""The states that prediction of a stateful model starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.errors import InputError

if TYPE_CHECKING:
    from rnncli.inference.decoder import States
    from rnncli.runs.directory import SavedRun
    from rnncli.states.reader import StateFile


class Start:
    """Where prediction starts, read and checked as far as that needs no model.

    Args:
        saved: The run.
        source: A file, `zeros`, `carried`, or None: the states that training left, where it left any; else the model
            starts by itself.
        row: Every row starts from this row of the states; None is each from its own.
        allow_other_weights: Whether the states may come from another run of equal shape.

    Raises:
        InputError: There are no such states.
    """

    def __init__(self, saved: SavedRun, source: str | None, row: int | None, allow_other_weights: bool) -> None:
        from rnncli.states.reader import read_states

        self.saved, self.row, self.allow_other_weights = saved, row, allow_other_weights
        self.name = source or ("carried" if saved.carried else "")
        if self.name == "carried" and not saved.carried:
            raise InputError(f"{saved.path}: --state-in carried: the model is not stateful, training left no states")
        self.file: StateFile | None = None
        if self.name not in ("", "zeros", "carried"):
            self.file = read_states(self.name)
        if row is not None and source is None and not saved.carried:
            raise InputError("--state-row goes with --state-in")

    def shown(self, decoder_only: bool) -> str:
        """What people are told of it; of a model whose decoder starts here, that nothing is read."""
        attends = getattr(self.saved.config.model, "attention", "none") != "none"
        read = "only attention reads the sources" if attends else "sources are not read"
        unread = f"; the decoder goes on from there, and {read}" if decoder_only else ""
        return f"starting from {START_NAMES.get(self.name, f'the states in {self.name}')}{unread}"

    def states(self, spec: dict[str, tuple[int, ...]], rows: int) -> States | None:
        """The states of the first batch, float32 [rows, units] by name; None is as the model starts by itself.

        Raises:
            InputError: They do not fit the model or the rows; says what differs.
        """
        from rnncli.states.final_states import check_states

        if not self.name:
            return None
        found = self.saved.carried
        if self.file is not None:
            wanted = None if self.row is not None else rows
            check_states(self.file, spec, self.saved.identity(), self.allow_other_weights, wanted)
            found = self.file.final
        elif self.name == "zeros":
            return zeros(spec, rows)
        if self.row is None:
            return dict(found)
        count = len(next(iter(found.values())))
        if self.row >= count:
            raise InputError(f"--state-row {self.row}: {self.name} has rows 0 to {count - 1}")
        return {name: value[self.row : self.row + 1].repeat(rows, axis=0) for name, value in found.items()}


def zeros(spec: dict[str, tuple[int, ...]], rows: int) -> States:
    """States of nothing read."""
    import numpy as np

    return {name: np.zeros((rows, *shape), np.float32) for name, shape in spec.items()}


START_NAMES = {"carried": "the states that training left", "zeros": "zeros"}
