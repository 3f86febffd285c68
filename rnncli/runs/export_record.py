"""The record in an exported model of the run that it comes from, and the names of its inputs and outputs.

An export answers for a run only if it has the weights of the run's checkpoint; see `difference`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from rnncli._version import __version__
from rnncli.config import parse_config
from rnncli.config.file_names import base_file_names
from rnncli.config.yaml_scalars import write_yaml
from rnncli.data.tasks import build_task
from rnncli.data.vocabulary import Vocabularies, Vocabulary
from rnncli.errors import InputError
from rnncli.runs.arrays import weights_digest
from rnncli.runs.checkpoints import CheckpointRecord
from rnncli.runs.directory import SavedRun
from rnncli.runtime.run_files import EXPORTS

SOURCE, LENGTHS = "source", "lengths"
"""Inputs: sources, int32 [batch, source steps], or float32 [batch, source steps, features]; and their lengths, int32
[batch]."""
IDS, SCORE, LOGITS, PROBABILITIES, ATTENTION = "ids", "score", "logits", "probabilities", "attention"
"""Outputs; `ids` is an input of `step`, too."""
VALUES_AND_KEYS = ("memory/values", "memory/keys")
"""The attention memory: outputs of `encode`, and inputs of `step`."""
PLACES, FEATURES = "memory/places", "memory/features"
"""Of models that copy, the id that copying each source step writes, int32 [batch, source steps]; and of models with
an encoder of features, their vector, float32 [batch, width]."""
MEMORY = (*VALUES_AND_KEYS, PLACES, FEATURES)
"""Everything of `encode` that `step` reads beside states; a model has some of them."""
NEXT = "next/"
"""Prefix of the states that a graph ends with; without it they are those that it starts from."""
PREDICT, ENCODE, STEP = "predict", "encode", "step"
"""The graphs."""


CARRIED = "states.safetensors"
"""The file of the states that training of a stateful model ended with, beside the graphs."""


def own_export(run: Path, form: str) -> Path:
    """Return the place in a run directory of the export of its checkpoint in a format."""
    return run / EXPORTS / form


def graph_file(name: str) -> str:
    """Return the name of the file of a graph."""
    return f"{name}.onnx"


PREFIX = "rnncli."
"""Prefix of the keys of the metadata."""


class ExportRecord(BaseModel):
    """The record in an exported model. Field names behind `rnncli.` are the keys of its metadata, values are JSON.

    Attributes:
        version: The version of rnncli that exported it.
        run: The name of the run.
        epoch: Epochs that the weights were trained for.
        step: Training steps that the weights were trained for.
        weights_digest: SHA-256 of the weights.
        config: The config, with names of files without their directories; its section `task` says how text is read.
        vocabulary: The symbols of both sides, in order of their ids.
        sizes: The fields of `rnncli.data.examples.Sizes`.
    """

    model_config = ConfigDict(strict=True, extra="ignore")

    version: str
    run: str
    epoch: int
    step: int
    weights_digest: str
    config: dict[str, Any]
    vocabulary: dict[str, list[str]]
    sizes: dict[str, Any]

    @classmethod
    def of(cls, saved: SavedRun) -> ExportRecord:
        """Return the record of a run."""
        task = saved.task
        return cls(
            version=__version__,
            run=saved.path.resolve().name,
            epoch=saved.checkpoint.epoch,
            step=saved.checkpoint.step,
            weights_digest=weights_digest(saved.weights),
            config=base_file_names(saved.config).model_dump(mode="json", by_alias=True),
            vocabulary={
                "source": list(task.source_vocabulary.symbols),
                "target": list(task.target_vocabulary.symbols),
            },
            sizes=json.loads(json.dumps(asdict(task.sizes))),
        )

    @classmethod
    def parse(cls, metadata: Mapping[str, str], name: str) -> ExportRecord:
        """Return the record in a file's metadata.

        Raises:
            InputError: There is none.
        """
        try:
            found = {key.removeprefix(PREFIX): json.loads(text) for key, text in metadata.items() if PREFIX in key}
            return cls.model_validate(found)
        except (ValueError, ValidationError, RecursionError) as error:
            raise InputError(f"{name}: not a model that rnncli exported", "`rnncli export RUN` writes one") from error

    def metadata(self) -> dict[str, str]:
        """Return the record as the metadata of a file."""
        return {f"{PREFIX}{key}": json.dumps(value, ensure_ascii=False) for key, value in self.model_dump().items()}

    def difference(self, saved: SavedRun) -> str:
        """Return what differs in a run, so that this is not an export of it; empty if nothing does."""
        here = ExportRecord.of(saved)
        wanted = {
            "weights": (self.weights_digest, here.weights_digest),
            "vocabulary": (self.vocabulary, here.vocabulary),
            "lengths": (self.sizes, here.sizes),
            "layers": (self.config.get("model"), here.config["model"]),
        }
        return next((name for name, (exported, own) in wanted.items() if exported != own), "")

    def rebuild(self, path: Path) -> SavedRun:
        """Return the run without its weights, which the export has.

        Args:
            path: The exported file that predicts.

        Raises:
            InputError: The record is damaged.
        """
        name = str(path)
        config = parse_config(write_yaml(self.config), name, recorded=True)
        try:
            recorded = Vocabularies(*(Vocabulary(tuple(self.vocabulary[side])) for side in Vocabularies._fields))
        except KeyError as error:
            raise InputError(f"{name}: it records no {error.args[0]} vocabulary") from error
        task = build_task(config, recorded)
        if json.loads(json.dumps(asdict(task.sizes))) != self.sizes:
            raise InputError(f"{name}: its config is not that of its graphs")
        state = CheckpointRecord(epoch=self.epoch, step=self.step, weights_digest=self.weights_digest)
        return SavedRun(path, config, task, {}, state, {}, exported=path)
