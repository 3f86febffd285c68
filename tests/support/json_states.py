"""A state format from outside the package, as `docs/extending.md` adds one: all of an export in one JSON file."""

import json

import numpy as np

from rnncli.states.formats import Format
from rnncli.states.reader_base import StateSource, Stored, Texts
from rnncli.states.spool import LENGTHS, TEXTS
from rnncli.states.writer import StateWriter


class JsonWriter(StateWriter):
    """Collects batches in memory and writes the file at the end."""

    def __init__(self, output, plan):
        super().__init__(output, plan)
        self._columns = {name: [] for name in (*TEXTS, *LENGTHS, *self.kept)}

    def _append(self, batch):
        columns = {
            **{name: getattr(batch, name) for name in TEXTS},
            **{name: getattr(batch, name) for name in LENGTHS},
        }
        for name, rows in {**columns, **batch.arrays}.items():
            self._columns[name] += np.asarray(rows).tolist() if name not in TEXTS else rows

    def _finish(self):
        self.output.write_text(json.dumps({"states": self._columns, "manifest": self.manifest()}))

    def close(self):
        """Nothing is open."""


class JsonFile(StateSource):
    """Reads what `JsonWriter` writes."""

    def __init__(self, path):
        content = json.loads(path.read_text())
        self.manifest_text = content["manifest"]
        self._columns = content["states"]
        arrays = {name: np.array(rows, np.float32) for name, rows in self._columns.items() if "/" in name}
        self.arrays = {name: Stored(array.shape, array.dtype) for name, array in arrays.items()}
        self.lengths = {name: Stored((len(self._columns[name]),), np.dtype(np.int32)) for name in LENGTHS}

    def rows(self, name, start, stop):
        """Return rows of an array or of lengths."""
        return np.array(self._columns[name][start:stop], np.int32 if name in LENGTHS else np.float32)

    def texts(self, start, stop):
        """Return the text of rows."""
        return Texts(*(self._columns[name][start:stop] for name in TEXTS))


FORMAT = Format(
    description="everything as JSON",
    writer="json_states:JsonWriter",
    reader="json_states:JsonFile",
    extensions=(".json",),
    signature=(0, b'{"states"'),
)
