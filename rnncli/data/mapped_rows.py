"""Rows of ids in files: written a block at a time, then mapped into memory and read by their numbers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rnncli.data.copying import with_copies
from rnncli.data.examples import Ids
from rnncli.data.padding import id_type
from rnncli.data.vocabulary import UNKNOWN_ID
from rnncli.errors import RnncliError, RunFailedError

WIDENED_AT_A_TIME = 2**20
"""Values of a file that are in memory while it gets a wider type."""


class NoRoomError(RnncliError):
    """Files would take more room than they may."""


class Room(contextlib.ExitStack):
    """The bytes that files may take together; at the end of the context, the files are closed.

    Attributes:
        left: Those that are left.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = self.left = limit

    def take(self, size: int) -> None:
        """Take bytes.

        Raises:
            NoRoomError: There are not as many.
        """
        self.left -= size
        if self.left < 0:
            raise NoRoomError(f"they take more than {self.limit / 1e9:,.3g} GB")


class ArrayWriter:
    """Writes an `.npy` file of one dimension a block at a time; its type becomes wider where values need it.

    Args:
        path: The file.
        dtype: The type to begin with.
        room: The bytes that it may take.
    """

    def __init__(self, path: Path, dtype: DTypeLike, room: Room) -> None:
        self.path, self._room = path, room
        self._begin(np.dtype(dtype))

    def _begin(self, dtype: np.dtype[Any]) -> None:
        self.dtype, self.count = dtype, 0
        self._file = self._room.enter_context(self.path.open("w+b"))
        self._write_header()

    def append(self, values: NDArray[Any]) -> None:
        """Write further values."""
        if values.dtype.itemsize > self.dtype.itemsize:
            self._widen(values.dtype)
        self._room.take(len(values) * self.dtype.itemsize)
        self._file.write(np.ascontiguousarray(values, self.dtype).data)
        self.count += len(values)

    def close(self) -> None:
        """Complete the file, and wait until it is on disk."""
        self._write_header()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def _write_header(self) -> None:
        """Write the header, which has the same size for any number of values, for NumPy leaves room for digits."""
        self._file.seek(0)
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.count,)}
        np.lib.format.write_array_header_1_0(self._file, header)

    def _widen(self, dtype: np.dtype[Any]) -> None:
        self.close()
        values = np.load(self.path, mmap_mode="r", allow_pickle=False)
        self.path.unlink()
        self._room.take(-values.nbytes)
        self._begin(dtype)
        for begin in range(0, len(values), WIDENED_AT_A_TIME):
            self.append(values[begin : begin + WIDENED_AT_A_TIME])


@dataclass(frozen=True)
class Copying:
    """Says how targets copy symbols that their vocabulary has not; see `rnncli.data.copying`.

    Attributes:
        sources: The sources.
        symbols: The symbols of sources and of targets, by their numbers.
        size: Size of the target vocabulary.
        steps: Maximum length of a source.
    """

    sources: MappedRows
    symbols: tuple[Sequence[str], Sequence[str]]
    size: int
    steps: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of ids."""
        return np.dtype(id_type(self.size + self.steps))

    def copied(self, padded: Ids, rows: NDArray[np.integer], targets: MappedRows) -> Ids:
        """Return targets with copied symbols, given as padded ids, and their numbers among all targets."""
        texts = {}
        for at in np.flatnonzero((padded == UNKNOWN_ID).any(axis=1)).tolist():
            source, target = (
                [symbols[number] for number in side.numbers_of(int(rows[at]))]
                for side, symbols in zip((self.sources, targets), self.symbols, strict=True)
            )
            texts[at] = source, target
        return with_copies(padded, texts, self.size, self.steps)


class MappedRows:
    """Rows of ids in a mapped file, which are read like an array that is padded on the right with 0.

    A slice of rows stays in the file; rows by their numbers, and all rows as an array, are copies.

    Args:
        numbers: Numbers of the symbols of all rows, one row behind the other; int.
        bounds: Where each row begins, and the last one ends, int [rows + 1].
        ids: The id of each number, of the type of the array.
        steps: Padded length.
        end: An id that each row ends with; None is none.
        copying: How symbols are copied; None for rows without copies.
    """

    ndim = 2

    def __init__(
        self,
        numbers: Ids,
        bounds: Ids,
        ids: Ids,
        steps: int,
        end: int | None = None,
        copying: Copying | None = None,
    ) -> None:
        self._numbers, self._bounds, self._ids, self._end, self._copying = numbers, bounds, ids, end, copying
        self._rows = range(len(bounds) - 1)
        self._steps = steps
        self.dtype = ids.dtype if copying is None else copying.dtype

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows, and their padded length."""
        return len(self), self._steps

    def __getitem__(self, index: Any) -> Any:
        """Return what the array would: a row, some rows, or columns of them."""
        if isinstance(index, tuple):
            rows, columns = index
            return np.asarray(self[rows])[..., columns]
        if isinstance(index, slice):
            view = copy(self)
            view._rows = self._rows[index]
            return view
        if isinstance(index, int | np.integer):
            return self._padded(np.array([self._rows[index]]))[0]
        return self._padded(self._rows.start + self._rows.step * np.asarray(index, np.int64))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Ids:
        """Return all rows as an array."""
        del copy
        everything: Ids = self[np.arange(len(self))]
        return everything.astype(dtype or self.dtype, copy=False)

    def _padded(self, rows: NDArray[np.int64]) -> Ids:
        """Return rows as an array, [rows, steps], by their numbers in the file."""
        starts, lengths = self._places(rows)
        try:
            padded = self._ids_at(starts, lengths)
            return padded if self._copying is None else self._copying.copied(padded, rows, self)
        except (IndexError, ValueError) as error:  # the files were sound at the start
            message = "the encoded data of task.data: mapped changed while they were read"
            raise RunFailedError(message, "resume the training, or start it again: they are written again") from error

    def _ids_at(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Ids:
        """Return rows as ids, [rows, steps], by the places of their first symbols and their lengths."""
        padded: Ids = np.zeros((len(lengths), self._steps), self._ids.dtype)
        ends, total = np.cumsum(lengths), int(lengths.sum())
        if total > padded.size:  # which could be more than the memory
            raise IndexError(f"{total} symbols")
        places = np.arange(total) + np.repeat(starts - (ends - lengths), lengths)
        padded[np.arange(self._steps) < lengths[:, None]] = self._ids[self._numbers[places]]
        if self._end is not None:
            padded[np.arange(len(lengths)), lengths] = self._end
        return padded

    def _places(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the place of the first symbol of each row, and how many it has."""
        starts = self._bounds[rows].astype(np.int64)
        return starts, self._bounds[rows + 1] - starts

    def numbers_of(self, row: int) -> list[int]:
        """Return the numbers of the symbols of a row, by its number in the file."""
        found: list[int] = self._numbers[self._bounds[row] : self._bounds[row + 1]].tolist()
        return found


class MappedWindows(MappedRows):
    """Windows of a text in a mapped file, all of the same length; see `MappedRows`.

    Args:
        numbers: Numbers of the symbols of the text from the first window on.
        ids: The id of each number.
        rows: Number of windows.
        steps: Their length.
    """

    def __init__(self, numbers: Ids, ids: Ids, rows: int, steps: int) -> None:
        super().__init__(numbers, np.zeros(1, np.int64), ids, steps)
        self._rows = range(rows)

    def _places(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return rows * self._steps, np.full(len(rows), self._steps)
