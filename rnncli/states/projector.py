"""TensorBoard's projector: final states as points, text as labels; `tensorboard --logdir DIR` opens it.

After `tensorboard/plugins/projector/projector_plugin.py`: a config in text format names for each embedding a file of
tab-separated numbers, a point a line, and a file of labels, with a header since it has several columns. The config
has the shapes too, since the plugin cannot tell them of a file without points.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO, Any

import numpy as np

from rnncli.errors import InputError
from rnncli.states.batch import Spec, StateBatch, is_final, visible_token
from rnncli.states.staging import MANIFEST
from rnncli.states.writer import ExportPlan, StateWriter

COLUMNS = ("example", "source", "prediction", "source_length", "target_length", "prediction_length")


class ProjectorWriter(StateWriter):
    """Writes a file of points for each embedding, one of labels for all."""

    vectors = True

    def __init__(self, output: Path, plan: ExportPlan) -> None:
        names = _default_embeddings(plan.spec) if plan.embeddings is None else list(plan.embeddings)
        for name in names:
            if name not in plan.spec or not is_final(name):
                raise InputError(f"{name}: not a final state of this export, so it is no embedding")
        if not names:
            raise InputError("the projector shows final states, and none was selected", "add --which final")
        super().__init__(output, plan, {name: plan.spec[name] for name in names})
        self._paths = {name: f"tensors-{name.replace('/', '_')}.tsv" for name in names[1:]}
        self._paths = {names[0]: "tensors.tsv", **self._paths}
        self._files: dict[str, IO[str]] = {
            name: (output / path).open("w", encoding="ascii") for name, path in self._paths.items()
        }
        self._labels = (output / "metadata.tsv").open("w", encoding="utf-8", newline="\n")
        self._labels.write("\t".join(COLUMNS) + "\n")

    def _append(self, batch: StateBatch) -> None:
        for name, file in self._files.items():
            np.savetxt(file, batch.arrays[name], "%.9g", delimiter="\t")  # the plugin reads the same float32
        for row, (source, prediction) in enumerate(zip(batch.sources, batch.predictions, strict=True)):
            lengths = (batch.source_lengths[row], batch.target_lengths[row], len(prediction))
            values = (self.count + row, _cell(source), _cell(prediction), *lengths)
            self._labels.write("\t".join(map(str, values)) + "\n")

    def _finish(self) -> None:
        embeddings = "".join(
            f'embeddings {{\n  tensor_name: "{name}"\n  tensor_shape: {self.count}\n  tensor_shape: {shape[0]}\n'
            f'  tensor_path: "{self._paths[name]}"\n  metadata_path: "metadata.tsv"\n}}\n'
            for name, shape in self.kept.items()
        )
        (self.output / "projector_config.pbtxt").write_text(embeddings, "ascii")
        (self.output / MANIFEST).write_text(self.manifest(files=self._paths), "utf-8")

    def close(self) -> None:
        """Close the files."""
        for file in (*self._files.values(), self._labels):
            file.close()


def _cell(text: str) -> str:
    """Return text without tabs and line ends."""
    return "".join(visible_token(letter) if letter.isspace() and letter != " " else letter for letter in text)


def _default_embeddings(spec: Spec) -> list[str]:
    """Return the final h of the last encoder layer, in each direction; without an encoder, of the last layer."""
    final = [name for name in spec if is_final(name)]
    encoder = [name for name in final if name.startswith("encoder/")]
    candidates = encoder or final
    last = max((_layer(name) for name in candidates), default=0)
    candidates = [name for name in candidates if _layer(name) == last]
    return [name for name in candidates if name.endswith("/h")] or candidates[:1]


def _layer(name: str) -> Any:
    match = re.search(r"/(\d+)/", name)
    return int(match[1]) if match else 0
