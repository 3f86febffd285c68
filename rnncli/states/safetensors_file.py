"""safetensors: arrays by their names and lengths; the metadata holds the manifest and all text as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from rnncli.errors import InputError
from rnncli.states.batch import StateBatch
from rnncli.states.reader_base import StateSource, Stored, Texts
from rnncli.states.spool import LENGTHS, TEXTS, Spool
from rnncli.states.writer import ExportPlan, StateWriter

DTYPES: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "I32": np.dtype("<i4")}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
MAX_TEXT_BYTES = 90_000_000  # safetensors refuses a header over 100,000,000 bytes


class SafetensorsWriter(StateWriter):
    """Keeps batches in temporary files, since the header has the number of examples; writes the file at the end.

    The library writes only arrays that are in memory, so the header is made here.
    """

    def __init__(self, output: Path, plan: ExportPlan) -> None:
        super().__init__(output, plan)
        self._spool = Spool(output.parent / "spool", self.kept, plan.dtype)

    def _append(self, batch: StateBatch) -> None:
        self._spool.append(batch)
        if self._spool.text.size > MAX_TEXT_BYTES:
            raise InputError(
                f"{self.plan.path}: the text of so many examples is too long for a safetensors file",
                "use --format hdf5",
            )

    def _finish(self) -> None:
        texts = zip(*self._spool.text.rows(), strict=True) if self.count else ([], [], [], [])
        metadata = {
            name: json.dumps(list(column), ensure_ascii=False) for name, column in zip(TEXTS, texts, strict=True)
        }
        header: dict[str, Any] = {"__metadata__": {"manifest": self.manifest(), **metadata}}
        offset = 0
        for name, shape in self._spool.shapes.items():  # lengths, of 4 bytes each, come first: all stays aligned
            dtype = self._spool.dtypes[name]
            size = self.count * math.prod(shape) * dtype.itemsize
            header[name] = {
                "dtype": _NAMES[dtype],
                "shape": [self.count, *shape],
                "data_offsets": [offset, offset + size],
            }
            offset += size
        text = json.dumps(header, ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        with self.output.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name in self._spool.shapes:
                self._spool.copy(name, file)

    def close(self) -> None:
        """Remove the temporary files."""
        self._spool.close()


def write_states(output: Path, arrays: Mapping[str, NDArray[np.float32]], manifest: str) -> None:
    """Write final states alone: the arrays by their names, and the manifest in the metadata."""
    output.write_bytes(save(dict(arrays), {"manifest": manifest}))


class SafetensorsFile(StateSource):
    """Reads what `SafetensorsWriter` writes, and files of final states alone.

    The library refuses a header that does not describe exactly the bytes that follow.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as file:
            self._metadata: dict[str, str] = file.metadata() or {}
            stored = {name: _stored(file.get_slice(name)) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if "manifest" not in self._metadata:
            raise InputError(f"{path}: not a file of states: it has no manifest")
        self.manifest_text = self._metadata["manifest"]
        self.lengths = {name: stored.pop(name) for name in LENGTHS if name in stored}
        self.arrays = stored
        self._texts: Texts | None = None

    def _open(self) -> Any:
        from safetensors import safe_open

        return safe_open(self._path, framework="numpy")

    def rows(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Return rows of an array, of the stored type."""
        with self._open() as file:
            array = file.get_slice(name)
            return np.asarray(
                array[start:stop] if stop > start else np.zeros(0, np.int32)
            )  # the library refuses empty slices

    def texts(self, start: int, stop: int) -> Texts:
        """Return the text of rows."""
        if self._texts is None:
            self._texts = Texts(*(json.loads(self._metadata[name]) for name in TEXTS))
        every = self._texts
        return Texts(
            every.sources[start:stop],
            every.predictions[start:stop],
            every.source_tokens[start:stop],
            every.target_tokens[start:stop],
        )


def _stored(array: Any) -> Stored:
    name = array.get_dtype()
    if name not in DTYPES:
        raise ValueError(f"an array of type {name}")
    return Stored(tuple(array.get_shape()), DTYPES[name])
