"""The initial states of prediction with a stateful model, or with states from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.errors import InputError

if TYPE_CHECKING:
    from rnncli.config import Config
    from rnncli.inference.decoding import States
    from rnncli.runs.directory import SavedRun
    from rnncli.states.reader import StateFile


def first_states(config: Config, carried: States) -> States:
    """Return the states that an epoch of training starts from, and so does prediction.

    Args:
        config: The config of the run.
        carried: The carried states, float32 [batch size, units] by name; empty for models that are not stateful.

    Returns:
        Zeros with `model.reset: epoch`, else the carried states.
    """
    import numpy as np

    return {name: np.zeros_like(value) for name, value in carried.items()} if config.resets_states else carried


def num_rows(states: States) -> int:
    """Return the number of rows of states."""
    return len(next(iter(states.values())))


def leading_rows(states: States, rows: int) -> States:
    """Return the states of the first rows."""
    return {name: value[:rows] for name, value in states.items()}


def advance(states: States, final: States) -> States:
    """Return the states of a batch whose first rows have read a source; those of the other rows stay.

    Args:
        states: float32 [batch size, units] by name.
        final: float32 [rows, units] by name, of as many rows or fewer.
    """
    import numpy as np

    return {name: np.concatenate([final[name], value[len(final[name]) :]]) for name, value in states.items()}


class InitialStates:
    """Initial states, read and checked as far as that is possible without the model.

    Args:
        saved: The run.
        source: A file, `zeros`, `carried`, or None: those that an epoch of training starts from for a stateful model,
            else the model's own.
        row: Row of the states that every row starts from; None if each row has its own.
        allow_other_weights: True accepts states of another run if their shapes match.

    Attributes:
        name: `source` or its default; empty for the model's own.

    Raises:
        InputError: There are no such states.
    """

    def __init__(self, saved: SavedRun, source: str | None, row: int | None, allow_other_weights: bool) -> None:
        from rnncli.states.reader import read_states

        self.saved, self.row, self.allow_other_weights = saved, row, allow_other_weights
        self.is_default = source is None
        self.name = source or (("zeros" if saved.config.resets_states else "carried") if saved.carried else "")
        if self.name == "carried" and not saved.carried:
            raise InputError(f"{saved.path}: --state-in carried: no carried states, the model is not stateful")
        self.file: StateFile | None = None
        if self.name not in ("", "zeros", "carried"):
            self.file = read_states(self.name)
        if source is None and (row is not None or allow_other_weights) and not saved.carried:
            raise InputError(f"--{'allow-other-weights' if row is None else 'state-row'} needs --state-in")

    @property
    def batch_rows(self) -> int | None:
        """The rows of every batch of a stateful model; None for other models."""
        return num_rows(self.saved.carried) if self.saved.carried else None

    def describe(self, autoregressive: bool) -> str:
        """Return a message about the initial states.

        Args:
            autoregressive: True if the states are those of a decoder, so that no encoder reads the sources.
        """
        names = {"carried": "the states carried from training", "zeros": "zeros"}
        start = f"starting from {names.get(self.name, f'the states in {self.name}')}"
        if autoregressive:
            readers = ["attention"] if getattr(self.saved.config.model, "attention", "none") != "none" else []
            readers += ["the encoder of features"] if self.saved.task.sizes.tags else []
            reads = "only {} reads" if len(readers) == 1 else "only {} read"
            reader = f"{reads.format(' and '.join(readers))} the sources" if readers else "the sources are not read"
            return f"{start}: the decoder continues from there, and {reader}"
        if self.saved.task.sizes.first_symbols:
            return f"{start}: the second texts are read from there, and the first texts are not read"
        reset = "epoch" if self.saved.config.resets_states else "never"
        return f"{start}, as an epoch of training does (model.reset: {reset})" if self.is_default else start

    def load(self, spec: dict[str, tuple[int, ...]], rows: int) -> States | None:
        """Return the states of the first batch, float32 [rows, units] by name; None for the model's own.

        A stateful model gets the rows of its batch: states of fewer rows are those of the first ones, and the others
        start from zeros.

        Args:
            spec: Names and shapes of a row's states.
            rows: Sources of the first batch.

        Raises:
            InputError: The states do not fit the model or the rows.
        """
        if not self.name:
            return None
        count = self.batch_rows or rows
        if self.name == "zeros":
            return zero_states(spec, count)
        states = self.saved.carried if self.file is None else self._read(self.file, spec, rows)
        if self.row is None:
            return advance(zero_states(spec, count), states)
        last = num_rows(states) - 1
        if self.row > last:
            raise InputError(f"--state-row {self.row}: {self.name} has rows 0 to {last}")
        return {name: value[self.row : self.row + 1].repeat(count, axis=0) for name, value in states.items()}

    def load_rows(self, spec: dict[str, tuple[int, ...]], rows: int) -> tuple[States, list[int]]:
        """Return states for so many texts, whatever the batch size of the model, float32 [rows, units] by name.

        States of one row, or the chosen one, are those that all texts start from.

        Args:
            spec: Names and shapes of a row's states.
            rows: Number of texts.

        Returns:
            The states, and the number of symbols that were sampled before of each text; see `Continuation`.

        Raises:
            InputError: The states do not fit the model or the texts.
        """
        from rnncli.states.final_states import check_states

        if self.name == "zeros":
            return zero_states(spec, rows), [0] * rows
        states, positions = self.saved.carried, [0] * num_rows(self.saved.carried) if self.saved.carried else []
        if self.file is not None:
            check_states(self.file, spec, self.saved.identity(), self.allow_other_weights)
            states, positions = self.file.final, _positions(self.file)
        count = num_rows(states)
        if self.row is not None and self.row >= count:
            raise InputError(f"--state-row {self.row}: {self.name} has rows 0 to {count - 1}")
        if self.row is None and count not in (1, rows):
            raise InputError(f"{self.name}: {count} rows of states for {rows} texts", "choose one with --state-row")
        one = self.row if self.row is not None else 0 if count == 1 else None
        chosen = range(rows) if one is None else [one] * rows
        return {name: value[list(chosen)] for name, value in states.items()}, [positions[row] for row in chosen]

    def _read(self, file: StateFile, spec: dict[str, tuple[int, ...]], rows: int) -> States:
        from rnncli.states.final_states import check_states

        wanted = None if self.row is not None or file.rows == self.batch_rows else rows
        check_states(file, spec, self.saved.identity(), self.allow_other_weights, wanted)
        return file.final


def _positions(file: StateFile) -> list[int]:
    """Return the symbols that were sampled before of each row of a file, which is not trusted."""
    found = file.manifest.get("positions")
    if not isinstance(found, list) or len(found) != file.rows:
        return [0] * file.rows
    return [value if isinstance(value, int) and 0 <= value < 2**48 else 0 for value in found]


def zero_states(spec: dict[str, tuple[int, ...]], rows: int) -> States:
    """Return states of zeros, float32 [rows, ...] by name."""
    import numpy as np

    return {name: np.zeros((rows, *shape), np.float32) for name, shape in spec.items()}
