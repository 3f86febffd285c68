"""NumPy's npz: a zip of plain arrays, uncompressed, nothing pickled.

`np.load(path)` gives the arrays by their names; `sources`, `predictions` and the tokens as arrays of text, the tokens
[examples, steps] with "" after a row's end; `source_lengths`, `target_lengths`; `manifest`, a JSON text.
"""

from __future__ import annotations

import math
import sys
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rnncli.errors import InputError
from rnncli.states.batch import StateBatch
from rnncli.states.reader_base import StateSource, Stored, Texts, token_rows
from rnncli.states.spool import LENGTHS, TEXTS, Spool
from rnncli.states.writer import ExportPlan, StateWriter


class NpzWriter(StateWriter):
    """Keeps batches in temporary files, since the header of an array has the number of examples; zips at the end."""

    def __init__(self, output: Path, plan: ExportPlan) -> None:
        super().__init__(output, plan)
        self._spool = Spool(output.parent / "spool", self.kept, plan.dtype)

    def _append(self, batch: StateBatch) -> None:
        self._spool.append(batch)

    def _finish(self) -> None:
        with zipfile.ZipFile(self.output, "w", zipfile.ZIP_STORED) as archive:
            with _member(archive, "manifest") as file:
                _write_array(file, np.array(self.manifest()))
            for name, shape in self._spool.shapes.items():
                with _member(archive, name) as file:
                    _write_header(file, self._spool.dtypes[name], (self.count, *shape))
                    self._spool.copy(name, file)
            for column, name in enumerate(TEXTS):
                with _member(archive, name) as file:
                    self._write_texts(file, column)

    def _write_texts(self, file: IO[bytes], column: int) -> None:
        dtype = np.dtype(f"<U{max(1, self._spool.text.widths[column])}")
        shape = () if column < 2 else (self._spool.text.steps[column - 2],)
        _write_header(file, dtype, (self.count, *shape))
        for block in self._spool.text.blocks(dtype.itemsize * max(1, *shape, 1)):
            array = np.zeros((len(block), *shape), dtype)
            for row, texts in enumerate(block):
                text = texts[column]
                place = row if isinstance(text, str) else (row, slice(len(text)))
                array[place] = text
            file.write(array.tobytes())

    def close(self) -> None:
        """Remove the temporary files."""
        self._spool.close()


def write_states(output: Path, arrays: Mapping[str, NDArray[np.float32]], manifest: str) -> None:
    """Write final states alone: the manifest, and the arrays by their names."""
    with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:
        for name, array in {"manifest": np.array(manifest), **arrays}.items():
            with _member(archive, name) as file:
                _write_array(file, array)


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    # a fixed date, so that equal states make equal files
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def _write_header(file: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    header = {"descr": dtype.newbyteorder("<").str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _write_array(file: IO[bytes], array: NDArray[Any]) -> None:
    _write_header(file, array.dtype, array.shape)
    file.write(array.tobytes())


class NpzFile(StateSource):
    """Reads what `NpzWriter` and `write_states` write, uncompressed members only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offsets: dict[str, int] = {}
        self._stored: dict[str, Stored] = {}
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > path.stat().st_size:
                raise InputError(f"{path}: declares more data than it has")
            for member in members:
                name = member.filename.removesuffix(".npy")
                if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size:
                    raise InputError(f"{path}: compressed; rnncli reads uncompressed npz files only")
                if name in self._stored:
                    raise InputError(f"{path}: an array occurs twice")
                with archive.open(member) as file:
                    self._stored[name], self._offsets[name] = _read_header(file, member.file_size)
        manifest = self._stored.get("manifest")
        if manifest is None or manifest.shape or manifest.dtype.kind != "U":
            raise InputError(f"{path}: not a file of states: it has no manifest")
        self.manifest_text = str(self._array("manifest", 0, 1)[()])
        self.arrays = {name: stored for name, stored in self._stored.items() if "/" in name}
        self.lengths = {name: self._stored[name] for name in LENGTHS if name in self._stored}

    def rows(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Return rows of an array, of the stored type."""
        return self._array(name, start, stop)

    def _array(self, name: str, start: int, stop: int) -> NDArray[Any]:
        stored = self._stored[name]
        row = math.prod(stored.shape[1:]) * stored.dtype.itemsize
        with zipfile.ZipFile(self._path) as archive, archive.open(f"{name}.npy") as file:
            file.seek(self._offsets[name] + start * row)
            data = file.read((stop - start) * row)
        if stored.dtype.kind == "U" and np.frombuffer(data, np.uint32).max(initial=0) > sys.maxunicode:
            raise ValueError(f"{name} has numbers that are no characters")
        return np.frombuffer(data, stored.dtype).reshape((stop - start, *stored.shape[1:]) if stored.shape else ())

    def texts(self, start: int, stop: int) -> Texts:
        """Return the text of rows."""
        for name in TEXTS:
            stored = self._stored[name]
            if stored.dtype.kind != "U" or len(stored.shape) != (2 if name in TEXTS[2:] else 1):
                raise InputError(f"{self._path}: {name} is not an array of text")
        sources, predictions, *tokens = (self._array(name, start, stop).tolist() for name in TEXTS)
        lengths = [self._array(name, start, stop).tolist() for name in LENGTHS]
        return Texts(sources, predictions, *(token_rows(*pair) for pair in zip(tokens, lengths, strict=True)))


def _read_header(file: IO[bytes], size: int) -> tuple[Stored, int]:
    """Return the type and shape of an npy file and the offset of its data; its size must be exactly theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files that Python 2 wrote
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{file.name}: an npy file of another version")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
    if fortran_order or dtype.kind not in "fiU" or dtype.byteorder == ">" or min(shape, default=0) < 0:
        raise ValueError(f"{file.name}: not an array that rnncli writes")
    offset = file.tell()
    if offset + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{file.name}: its size is not what its header says")
    return Stored(shape, dtype), offset
