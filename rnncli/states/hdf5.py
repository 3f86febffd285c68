"""HDF5: arrays at their names as paths, appended batch by batch in bounded memory.

`sources` and `predictions` are UTF-8 strings; `source_tokens` and `target_tokens` one JSON list an example;
`source_lengths`, `target_lengths`; `manifest` is JSON, as a dataset and as an attribute of the file.

Nothing is compressed, so that a reader can tell from the size of the file whether a declared shape is true. Strings
have the fixed length of the longest: those of variable length are in a heap, and a damaged heap makes HDF5 1.14 loop
forever. So text waits in a temporary file until the longest is known.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from rnncli.errors import InputError
from rnncli.states.batch import NAME, StateBatch
from rnncli.states.reader_base import StateSource, Stored, Texts
from rnncli.states.spool import LENGTHS, TEXTS, TextSpool
from rnncli.states.writer import ExportPlan, StateWriter

if TYPE_CHECKING:
    import h5py

CHUNK_BYTES = 1 << 16  # many fit into HDF5's cache of 1 MiB an array, so that appending reads none from disk


class _RawFile(io.FileIO):
    """A new file that HDF5 writes to; what fails is kept in `error`, and writing does nothing from then on."""

    def __init__(self, path: Path) -> None:
        self.error: BaseException | None = None
        super().__init__(path, "w+")

    def write(self, data: Any) -> int:
        """Write all of the data, or none after an error; returns its size."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while self.error is None and rest:
                rest = rest[super().write(rest) :]
        except BaseException as error:
            self.error = error
        return size

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with what was written, and with zeros where that was dropped; returns its size."""
        view, count = memoryview(buffer).cast("B"), 0
        try:
            count = super().readinto(view) or 0
        except OSError as error:
            self.error = self.error or error
        view[count:] = bytes(len(view) - count)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file, which is how HDF5 ends it; returns the size."""
        try:
            if self.error is None:
                return super().truncate(size)
        except OSError as error:
            self.error = error
        return size or 0


class NewHdf5File:
    """A new HDF5 file that can be closed on a full disk too.

    HDF5 must be able to write all that it holds back when it closes a file. Where it cannot, it keeps the file open,
    prints its stack of errors, and ends in a segmentation fault at the exit of the process. So it never learns of an
    error; whoever writes asks for it by `check`.

    Attributes:
        file: The file as h5py has it.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        self._raw = _RawFile(path)
        self.file = h5py.File(self._raw, "w")
        # a file that HDF5 itself closes when the process ends, when `_raw` is gone, is a segmentation fault too
        weakref.finalize(self, self.file.close)

    def check(self) -> None:
        """Raise the first error of writing.

        Raises:
            OSError: The disk is full, for example.
        """
        if self._raw.error is not None:
            raise self._raw.error

    def close(self) -> None:
        """Write what HDF5 holds back, and close the file; may be called twice.

        Raises:
            OSError: Something could not be written.
        """
        self.file.close()
        self._raw.close()
        self.check()


def create_growing(file: h5py.File, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> h5py.Dataset:
    """Create an empty dataset that grows along the first axis."""
    row = max(1, math.prod(shape)) * np.dtype(dtype).itemsize
    chunks = (max(1, CHUNK_BYTES // row), *(max(1, size) for size in shape))
    return file.create_dataset(name, (0, *shape), dtype, maxshape=(None, *shape), chunks=chunks)


def append_rows(dataset: h5py.Dataset, values: ArrayLike) -> None:
    """Append rows to a dataset made by `create_growing`."""
    count, rows = dataset.shape[0], np.asarray(values)
    dataset.resize(count + len(rows), axis=0)
    dataset[count:] = rows


def write_manifest(file: h5py.File, manifest: str) -> None:
    """Write the manifest as a dataset of fixed length, so that reading needs no heap, and as an attribute."""
    import h5py

    data = manifest.encode()
    file.create_dataset("manifest", data=data, dtype=h5py.string_dtype("utf-8", len(data)))
    file.attrs["manifest"] = manifest


class Hdf5Writer(StateWriter):
    """Appends batches to one dataset for each array."""

    def __init__(self, output: Path, plan: ExportPlan) -> None:
        super().__init__(output, plan)
        self._hdf5 = NewHdf5File(output)
        file = self._hdf5.file
        self._datasets = {name: create_growing(file, name, shape, plan.dtype) for name, shape in self.kept.items()}
        self._datasets |= {name: create_growing(file, name, (), np.int32) for name in LENGTHS}
        self._text = TextSpool(output.with_name("text"))
        self._widths = [1] * len(TEXTS)  # bytes of the longest text

    def _append(self, batch: StateBatch) -> None:
        columns: dict[str, NDArray[Any]] = {
            "source_lengths": batch.source_lengths,
            "target_lengths": batch.target_lengths,
            **batch.arrays,
        }
        for name, values in columns.items():
            append_rows(self._datasets[name], values)
        self._hdf5.check()
        self._text.append(batch)
        texts = batch.sources, batch.predictions, batch.source_tokens, batch.target_tokens
        columns_of_text: tuple[Sequence[str | list[str]], ...] = texts
        for number, column in enumerate(columns_of_text):
            self._widths[number] = max(self._widths[number], *(len(_encoded(text)) for text in column))

    def _finish(self) -> None:
        import h5py

        dtypes = [h5py.string_dtype("utf-8", width) for width in self._widths]
        file = self._hdf5.file
        columns = [create_growing(file, name, (), dtype) for name, dtype in zip(TEXTS, dtypes, strict=True)]
        for block in self._text.blocks(sum(self._widths)):
            for dataset, dtype, texts in zip(columns, dtypes, zip(*block, strict=True), strict=True):
                append_rows(dataset, np.array([_encoded(text) for text in texts], dtype))
            self._hdf5.check()
        write_manifest(file, self.manifest())

    def close(self) -> None:
        """Close the files."""
        with contextlib.ExitStack() as both:
            both.callback(self._hdf5.close)
            both.callback(self._text.close)


def write_states(output: Path, arrays: Mapping[str, NDArray[np.float32]], manifest: str) -> None:
    """Write final states alone: the manifest, and the arrays at their names as paths."""
    with contextlib.closing(NewHdf5File(output)) as hdf5:
        for name, array in arrays.items():
            hdf5.file.create_dataset(name, data=array)
        write_manifest(hdf5.file, manifest)


def _encoded(text: str | list[str]) -> bytes:
    return (text if isinstance(text, str) else json.dumps(text, ensure_ascii=False)).encode()


class Hdf5File(StateSource):
    """Reads what `Hdf5Writer` and `write_states` write, and only arrays whose values are all in the file itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size = path.stat().st_size
        with self._open() as file:
            manifest = self._dataset(file, "manifest")
            if manifest.shape != () or manifest.dtype.kind != "S":
                raise InputError(f"{path}: not a file of states: its manifest is not text")
            self.manifest_text = bytes(manifest[()]).decode()
            listed = json.loads(self.manifest_text)
            if listed["format"] != "hdf5":
                raise InputError(f"{path}: an export for another tool, which cannot be read back")
            self.arrays = {name: self._stored(file, name) for name in listed["arrays"] if NAME.fullmatch(name)}
            self.lengths = {name: self._stored(file, name) for name in LENGTHS if name in file}
            stored = (*self.arrays.values(), *self.lengths.values())
            if sum(math.prod(array.shape) * array.dtype.itemsize for array in stored) > self._size:
                raise InputError(f"{path}: declares more data than it has")

    def _open(self) -> h5py.File:
        import h5py

        return h5py.File(self._path, "r")

    def _dataset(self, file: h5py.File, name: str) -> h5py.Dataset:
        """Return a dataset whose values are all in this file, uncompressed."""
        import h5py

        place = file
        for part in name.split("/"):
            if not isinstance(place, h5py.Group) or part not in place:
                raise InputError(f"{self._path}: not a file of states: it has no {name}")
            if not isinstance(place.get(part, getlink=True), h5py.HardLink):
                raise InputError(f"{self._path}: {name} is a link")
            place = place[part]
        if not isinstance(place, h5py.Dataset) or place.is_virtual or place.external:
            raise InputError(f"{self._path}: {name} is not an array in this file")
        if place.id.get_create_plist().get_nfilters():
            raise InputError(f"{self._path}: {name} is compressed; rnncli reads uncompressed states only")
        size = math.prod(place.shape) * place.dtype.itemsize
        if size > min(self._size, place.id.get_storage_size()):
            raise InputError(f"{self._path}: {name} declares more data than the file has")
        return place

    def _stored(self, file: h5py.File, name: str) -> Stored:
        dataset = self._dataset(file, name)
        return Stored(dataset.shape, dataset.dtype)

    def rows(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Return rows of an array, of the stored type."""
        with self._open() as file:
            return np.asarray(self._dataset(file, name)[start:stop])

    def texts(self, start: int, stop: int) -> Texts:
        """Return the text of rows."""
        with self._open() as file:
            sources, predictions, *tokens = (self._column(file, name, start, stop) for name in TEXTS)
        return Texts(sources, predictions, *([json.loads(row) for row in column] for column in tokens))

    def _column(self, file: h5py.File, name: str, start: int, stop: int) -> list[str]:
        dataset = self._dataset(file, name)
        if dataset.ndim != 1 or dataset.dtype.kind != "S" or dataset.shape[0] < stop:
            raise InputError(f"{self._path}: {name} is not one text an example")
        return [text.decode() for text in dataset[start:stop].tolist()]
