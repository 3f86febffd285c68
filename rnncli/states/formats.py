"""The table of formats that states are exported in, a format a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rnncli.errors import InputError


@dataclass(frozen=True)
class Format:
    """A format of state files. Its classes are given as `module:Class` and imported when they are needed.

    Attributes:
        description: One line about the format.
        writer: The class that writes it, a `rnncli.states.writer.StateWriter` made with a path and an `ExportPlan`.
        reader: The class that reads it back, a `rnncli.states.reader_base.StateSource` made with a path; empty for
            formats of other tools that are only written.
        states_writer: The function that writes final states alone, given a path, the arrays by name and the manifest
            as text; empty for formats that states are not restored from.
        extensions: The file extensions that mean this format where no format is named.
        required_extension: The extension without which the tool does not read the file.
        is_directory: Whether an export is a directory of files.
        signature: The offset and the bytes by which a file of this format is recognized, where it has a reader.
    """

    description: str
    writer: str
    reader: str = ""
    states_writer: str = ""
    extensions: tuple[str, ...] = ()
    required_extension: str = ""
    is_directory: bool = False
    signature: tuple[int, bytes] = (0, b"")

    def matches(self, start: bytes) -> bool:
        """Return True if a file that begins with these bytes is of this format."""
        offset, expected = self.signature
        return bool(self.reader) and start[offset : offset + len(expected)] == expected


FORMATS: dict[str, Format] = {
    "npz": Format(
        description="NumPy's arrays, uncompressed",
        writer="rnncli.states.npz:NpzWriter",
        reader="rnncli.states.npz:NpzFile",
        states_writer="rnncli.states.npz:write_states",
        extensions=(".npz",),
        signature=(0, b"PK"),
    ),
    "hdf5": Format(
        description="HDF5, written batch by batch, for any number of examples",
        writer="rnncli.states.hdf5:Hdf5Writer",
        reader="rnncli.states.hdf5:Hdf5File",
        states_writer="rnncli.states.hdf5:write_states",
        extensions=(".h5", ".hdf5"),
        signature=(0, b"\x89HDF\r\n\x1a\n"),
    ),
    "safetensors": Format(
        description="arrays of safetensors, text as JSON",
        writer="rnncli.states.safetensors_file:SafetensorsWriter",
        reader="rnncli.states.safetensors_file:SafetensorsFile",
        states_writer="rnncli.states.safetensors_file:write_states",
        extensions=(".safetensors",),
        signature=(8, b"{"),
    ),
    "projector": Format(
        description="a directory for TensorBoard's projector",
        writer="rnncli.states.projector:ProjectorWriter",
        is_directory=True,
    ),
    "lstmvis": Format(
        description="a directory for LSTMVis",
        writer="rnncli.states.lstmvis:LstmvisWriter",
        is_directory=True,
    ),
    "neurox": Format(
        description="HDF5 for NeuroX",
        writer="rnncli.states.neurox:NeuroxWriter",
        required_extension=".hdf5",
    ),
}
"""Every format by its name, the value of `--format`."""

DEFAULT_STATES_FORMAT = "safetensors"
"""The format of files with final states alone, whose name has no extension."""


def readable_formats() -> list[str]:
    """Return the names of the formats that can be read back."""
    return [name for name, form in FORMATS.items() if form.reader]


def final_state_formats() -> list[str]:
    """Return the names of the formats of files with final states alone, which prediction starts from."""
    return [name for name, form in FORMATS.items() if form.states_writer]


def final_states_format(path: str | Path) -> str:
    """Return the format of a file with final states alone, by its extension.

    Raises:
        InputError: The extension belongs to no format.
    """
    return format_of(path) if Path(path).suffix else DEFAULT_STATES_FORMAT


def format_of(path: str | Path, name: str | None = None) -> str:
    """Return the format of an export by its name, or else by the path's extension.

    Raises:
        InputError: There is no such format, or the extension belongs to none.
    """
    known = ", ".join(
        f"{key} ({', '.join(form.extensions)})" if form.extensions else key for key, form in FORMATS.items()
    )
    if name is not None:
        if name not in FORMATS:
            raise InputError(f"unknown format of states {name!r}", f"known are {known}")
        return name
    for key, form in FORMATS.items():
        if Path(path).suffix.lower() in form.extensions:
            return key
    raise InputError(f"{path}: the file extension belongs to no format of states", f"choose one by --format: {known}")
