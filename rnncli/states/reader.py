"""Reading files of states.

Files are untrusted: nothing is unpickled, and nothing is allocated that the file itself does not hold.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.config.named_objects import import_named
from rnncli.errors import InputError, explain_os_errors
from rnncli.files import open_plain
from rnncli.states.batch import MAX_AXES, NAME, StateBatch, is_final, state_name
from rnncli.states.formats import FORMATS, readable_formats
from rnncli.states.reader_base import StateSource, Texts
from rnncli.text import shorten

SIGNATURE_BYTES = 64
"""The bytes at the beginning of a file by which its format is recognized."""
_FLOATS = (np.dtype(np.float16), np.dtype(np.float32))


class StateFile:
    """A file of states; made by `read_states`.

    Attributes:
        path: The file.
        manifest: Its description of itself; JSON values.
        rows: Number of examples.
        shapes: Shape of each array without the examples, by its name in the file.
        final: Final states, float32 [rows, units], by their names in the state dictionary.
        arrays: Every array as float32, by its name in the file, read on access.
    """

    def __init__(self, path: Path, source: StateSource) -> None:
        self.path = path
        self._source = source
        self.manifest = _manifest(source)
        self.rows, self.shapes = _shapes(source)
        found = {name: [self.rows, *shape] for name, shape in self.shapes.items()}
        if self.manifest.get("arrays") != found or self.manifest.get("examples") != self.rows:
            raise ValueError("the manifest lists other arrays than the file has")
        self.arrays: Mapping[str, NDArray[np.float32]] = _Lazy(self)
        self.final = self._final()

    def _final(self) -> dict[str, NDArray[np.float32]]:
        names = [name for name in self.shapes if self.is_final(name)]
        final = {state_name(name): self.array(name) for name in names}
        if len(final) != len(names):
            raise ValueError("the file has a final state twice")
        return final

    def is_final(self, name: str) -> bool:
        """Return True if an array holds one state an example; in a file of final states alone, all do."""
        return is_final(name) or not self._source.lengths

    def array(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Return rows of an array, float32 [rows, steps, units] or [rows, units].

        Args:
            name: A name in `shapes`.
            start: First row.
            stop: Row after the last; None is the end.

        Raises:
            KeyError: There is no such array.
            InputError: The file is damaged, or a value is not finite.
        """
        shape, start, stop = self.shapes[name], *self._range(start, stop)
        if start == stop:
            return np.zeros((0, *shape), np.float32)
        with untrusted(self.path):
            array = self._source.rows(name, start, stop).astype(np.float32)
            if array.shape != (stop - start, *shape):
                raise ValueError(f"{name} ends too early")
            if not np.isfinite(array).all():
                raise InputError(f"{self.path}: {name} has values that are not finite")
            return array

    def read(self, start: int = 0, stop: int | None = None, names: Sequence[str] | None = None) -> StateBatch:
        """Return examples as they were exported, arrays as float32.

        Args:
            start: First row.
            stop: Row after the last; None is the end.
            names: The arrays wanted; None is all.

        Raises:
            KeyError: There is no such array.
            InputError: The file holds final states alone, or is damaged, or a value is not finite.
        """
        if not self._source.lengths:
            raise InputError(f"{self.path}: only final states, no examples", "`rnncli export-states` writes both")
        start, stop = self._range(start, stop)
        with untrusted(self.path):
            texts = self._source.texts(start, stop)
            source, target = (self._source.rows(name, start, stop) for name in ("source_lengths", "target_lengths"))
            _check_texts(texts, source, target)
        names = list(self.shapes) if names is None else names
        arrays: dict[str, Any] = {name: self.array(name, start, stop) for name in names}
        return StateBatch(
            texts.sources, texts.predictions, texts.source_tokens, texts.target_tokens, source, target, arrays
        )

    def _range(self, start: int, stop: int | None) -> tuple[int, int]:
        start, stop, _ = slice(start, stop).indices(self.rows)
        return start, max(start, stop)


class _Lazy(Mapping[str, NDArray[np.float32]]):
    def __init__(self, file: StateFile) -> None:
        self._file = file

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        return self._file.array(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.shapes)

    def __len__(self) -> int:
        return len(self._file.shapes)


def read_states(path: str | Path) -> StateFile:
    """Open a file of states that `rnncli export-states` or `predict --state-out` wrote.

    Args:
        path: The file; its first bytes tell its format.

    Raises:
        InputError: The file cannot be read, is damaged or of another kind, or has values that are not finite.
    """
    path = Path(path)
    if path.is_dir():
        hint = "give a file that `rnncli export-states`, or `predict` with --state-out or --attention, wrote"
        raise InputError(f"{path}: a directory", hint)
    with explain_os_errors(path, "read", InputError), open_plain(path) as file:
        start = file.read(SIGNATURE_BYTES)
    found = next((form.reader for form in FORMATS.values() if form.matches(start)), None)
    if found is None:
        raise InputError(f"{path}: not a file of states", f"readable are {', '.join(readable_formats())}")
    with untrusted(path):
        return StateFile(path, import_named(found)(path))


@contextlib.contextmanager
def untrusted(path: Path) -> Iterator[None]:
    """Turn every error of a parser in the block into an `InputError`."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # libraries raise many kinds
        reason = shorten(str(error).strip(), 160) or type(error).__name__
        raise InputError(f"{path}: damaged, or not a file of states: {reason}") from error


def _manifest(source: StateSource) -> dict[str, Any]:
    manifest = json.loads(source.manifest_text)
    if not isinstance(manifest, dict):
        raise ValueError("the manifest is not a JSON object")
    if manifest.get("format") not in readable_formats():
        raise ValueError("an export for another tool, which cannot be read back")
    return manifest


def _shapes(source: StateSource) -> tuple[int, dict[str, tuple[int, ...]]]:
    """Return the number of rows of all arrays, and their shapes without the rows."""
    stored = {**source.arrays, **source.lengths}
    for name, array in source.arrays.items():
        if not NAME.fullmatch(name) or array.dtype not in _FLOATS or not 2 <= len(array.shape) <= MAX_AXES + 1:
            raise ValueError(f"{name} is not an array of states")
    for name, array in source.lengths.items():
        if array.dtype != np.int32 or len(array.shape) != 1:
            raise ValueError(f"{name} are not lengths")
    rows = {array.shape[0] for array in stored.values()}
    if len(rows) != 1 or min(min(array.shape[1:]) for array in source.arrays.values()) < 1:
        raise ValueError("its arrays have different numbers of rows")
    return rows.pop(), {name: array.shape[1:] for name, array in source.arrays.items()}


def _check_texts(texts: Texts, source_lengths: NDArray[Any], target_lengths: NDArray[Any]) -> None:
    """Check the types and the numbers of untrusted text."""
    for column in (texts.sources, texts.predictions):
        if not _are_strings(column) or len(column) != len(source_lengths):
            raise ValueError("the numbers of texts and of rows differ")
    for tokens, lengths in ((texts.source_tokens, source_lengths), (texts.target_tokens, target_lengths)):
        if not all(map(_are_strings, tokens)) or [len(row) for row in tokens] != lengths.tolist():
            raise ValueError("the numbers of tokens are not the lengths")


def _are_strings(values: Any) -> bool:
    """Return True for a list of text without halves of characters, which cannot be written or shown."""
    return isinstance(values, list) and all(isinstance(value, str) and _is_whole(value) for value in values)


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
