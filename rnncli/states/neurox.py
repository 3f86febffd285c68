"""NeuroX: HDF5 with one dataset a sentence, [layers, tokens, units], and a JSON text from sentences to their numbers.

After `neurox/data/writer.py` (`HDF5ActivationsWriter`) and `neurox/data/loader.py` (`load_activations`), which reads
files that end in `.hdf5` and takes every dataset that `sentence_to_index` names. A file holds one side: the source's
arrays where there are any, else the target's. Arrays of one width are the layers; of several widths they are laid
side by side as one layer. `tokens` holds each sentence as NeuroX's `load_data` wants it, words between spaces. The
loader fails on a sentence without tokens, so there is none in the file; the manifest lists such examples as `empty`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rnncli.errors import InputError
from rnncli.states.batch import StateBatch, is_final, side_of, visible_token
from rnncli.states.hdf5 import NewHdf5File, append_rows, create_growing, write_manifest
from rnncli.states.writer import ExportPlan, StateWriter


class NeuroxWriter(StateWriter):
    """Writes one dataset for each sentence; the text stays in memory, since the format has it in one dataset."""

    vectors = True

    def __init__(self, output: Path, plan: ExportPlan) -> None:
        import h5py

        steps = {name: shape for name, shape in plan.spec.items() if not is_final(name)}
        if not steps:
            raise InputError("NeuroX reads states of each step, and none was selected", "add --which h,c,output")
        self._side = "source" if "source" in map(side_of, steps) else "target"
        super().__init__(output, plan, {name: shape for name, shape in steps.items() if side_of(name) == self._side})
        self._stacked = len({shape[1] for shape in self.kept.values()}) == 1
        self._sentences: dict[str, str] = {}
        self._seen: dict[str, int] = {}
        self._empty: list[int] = []
        self._hdf5 = NewHdf5File(output)
        self._file = self._hdf5.file
        self._tokens: Any = create_growing(self._file, "tokens", (), h5py.string_dtype())

    def _append(self, batch: StateBatch) -> None:
        arrays = [batch.arrays[name] for name in self.kept]  # each [batch, steps, units]
        layers = np.stack(arrays, axis=1) if self._stacked else np.concatenate(arrays, axis=2)[:, np.newaxis]
        lines = []
        for row, tokens in enumerate(batch.tokens(self._side)):
            if not tokens:
                self._empty.append(self.count + row)
                continue
            lines.append(" ".join(map(visible_token, tokens)))
            number = str(self.count + row)
            self._file.create_dataset(number, data=layers[row, :, : len(tokens)])
            self._sentences[self._unique(lines[-1])] = number
        append_rows(self._tokens, lines)
        self._hdf5.check()

    def _unique(self, line: str) -> str:
        """Return a sentence with the mark by which NeuroX's writer tells it from equal ones before it."""
        unique, count = line, self._seen.get(line, 0)
        while not count or unique in self._sentences:
            count += 1
            unique = line if count == 1 else f"{line} (Occurrence {count})"
        self._seen[line] = count
        return unique

    def _finish(self) -> None:
        import h5py

        index = self._file.create_dataset("sentence_to_index", (1,), h5py.string_dtype())
        index[0] = json.dumps(self._sentences)
        layers = [[name] for name in self.kept] if self._stacked else [list(self.kept)]
        write_manifest(self._file, self.manifest(side=self._side, layers=layers, empty=self._empty))

    def close(self) -> None:
        """Close the file."""
        self._hdf5.close()
