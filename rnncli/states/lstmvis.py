"""LSTMVis: all examples on one time axis, one after another, each step with its symbol and its states.

After `lstmdata/data_handler.py` of LSTMVis 2.1: `lstm.yml` names the files; `states.hdf5` has [positions, units] an
array; `train.hdf5` has a word id a position; `words.dict` has `word<space>id` lines, read by `str.split`, so that a
word has no white space (a single space alone is a word). Where both sides are exported, an example is its source
followed by its target, and states are zero on the side that their layer does not run on. `train.hdf5` also has the
`example` of each position, and its `side`: 0 source, 1 target.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.errors import InputError
from rnncli.states.batch import StateBatch, is_final, side_of, visible_token
from rnncli.states.hdf5 import NewHdf5File, append_rows, create_growing
from rnncli.states.staging import MANIFEST
from rnncli.states.writer import ExportPlan, StateWriter

SIDES = ("source", "target")


class LstmvisWriter(StateWriter):
    """Appends positions to one dataset for each array."""

    vectors = True

    def __init__(self, output: Path, plan: ExportPlan) -> None:
        kept = {name: shape for name, shape in plan.spec.items() if not is_final(name)}
        if not kept:
            raise InputError("LSTMVis shows states of each step, and none was selected", "add --which h,c,output")
        super().__init__(output, plan, kept)
        self._sides = [side for side in SIDES if side in map(side_of, self.kept)]
        self._ids: dict[str, int] = {}
        self._files = NewHdf5File(output / "states.hdf5"), NewHdf5File(output / "train.hdf5")
        states, train = (hdf5.file for hdf5 in self._files)
        self._datasets = {
            name: create_growing(states, name.replace("/", "_"), shape[1:], plan.dtype)
            for name, shape in self.kept.items()
        }
        self._words = create_growing(train, "word_ids", (), np.int32)
        self._examples = create_growing(train, "example", (), np.int32)
        self._side = create_growing(train, "side", (), np.int8)

    def _append(self, batch: StateBatch) -> None:
        lengths = np.stack([batch.lengths(side) for side in self._sides], axis=1)  # [batch, sides]
        longest = lengths.max(axis=0)  # [sides]
        # mask of steps, [batch, steps of all sides]: selects the source of an example, then its target, then the next
        exists = np.concatenate([np.arange(most) < lengths[:, [side]] for side, most in enumerate(longest)], axis=1)
        for name, dataset in self._datasets.items():
            append_rows(dataset, self._time_axis(batch.arrays[name], name, longest)[exists])
        rows = range(len(batch))
        words = [word for row in rows for side in self._sides for word in batch.tokens(side)[row]]
        append_rows(
            self._words, np.array([self._ids.setdefault(word, len(self._ids) + 1) for word in words], np.int32)
        )
        append_rows(
            self._examples, np.repeat(np.arange(len(batch), dtype=np.int32) + self.count, lengths.sum(axis=1))
        )
        sides = np.array([SIDES.index(side) for side in self._sides], np.int8)
        append_rows(self._side, np.repeat(np.tile(sides, len(batch)), lengths.ravel()))
        for hdf5 in self._files:
            hdf5.check()

    def _time_axis(self, array: NDArray[Any], name: str, longest: NDArray[Any]) -> NDArray[Any]:
        """Return [batch, steps, units] with zeros for the steps of the other side."""
        parts = [
            array[:, :most] if side == side_of(name) else np.zeros((len(array), most, array.shape[2]), array.dtype)
            for side, most in zip(self._sides, longest, strict=True)
        ]
        return np.concatenate(parts, axis=1)

    def _finish(self) -> None:
        words = [(" " if word == " " else visible_token(word), number) for word, number in self._ids.items()]
        text = "".join(f"{word} {number}\n" for word, number in words)
        (self.output / "words.dict").write_text(text, "utf-8", newline="\n")
        (self.output / "lstm.yml").write_text(self._config(), "utf-8")
        (self.output / MANIFEST).write_text(self.manifest(sides=self._sides), "utf-8")

    def _config(self) -> str:
        import yaml

        types = []
        for name in self.kept:
            # c is not bounded and gets LSTMVis's tanh, as in the cell; h is between -1 and 1 already; the states of a
            # custom cell may be either
            is_cell = not name.endswith(("/h", "/output"))
            what = {"type": "state" if is_cell else "output", "layer": _layer(name), "path": name.replace("/", "_")}
            types.append({**what, "transform": "tanh" if is_cell else "none"})
        config = {
            "name": self.plan.path.name,
            "description": f"{self.count} examples, exported by rnncli",
            "files": {"states": "states.hdf5", "train": "train.hdf5", "words": "words.dict"},
            "word_sequence": {"file": "train", "path": "word_ids", "dict_file": "words"},
            "states": {"file": "states", "types": types},
        }
        return str(yaml.safe_dump(config, sort_keys=False, allow_unicode=True))

    def close(self) -> None:
        """Close the files."""
        with contextlib.ExitStack() as both:
            for hdf5 in self._files:
                both.callback(hdf5.close)


def _layer(name: str) -> int:
    """Return the number of a layer, from 1."""
    return next((int(part) + 1 for part in name.split("/") if part.isdecimal()), 1)
