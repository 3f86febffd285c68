"""Keras files of plain layers, which `keras.saving.load_model` opens without rnncli."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.config import CustomCell
from rnncli.errors import InputError
from rnncli.export.formats import Runner
from rnncli.export.savedmodel import RECORD, to_longest
from rnncli.runs.directory import SavedRun
from rnncli.runs.export_record import IDS, LENGTHS, SCORE, SOURCE, ExportRecord
from rnncli.runtime.tensorflow_setup import setup_inference


def write_keras(saved: SavedRun, path: Path) -> None:
    """Write a run as a `.keras` file, with the record in it as `rnncli.json`.

    Args:
        saved: The run.
        path: The file.

    Raises:
        InputError: The cell is a custom one, whose class the loading process would need.
    """
    if isinstance(saved.config.model.cell, CustomCell):
        name = saved.config.model.cell.class_
        raise InputError(f"{saved.path}: model.cell: {name} is no plain Keras layer", "use --format savedmodel")
    setup_inference(saved.config.on_device("cpu"))
    from rnncli.export.functions import rebuild
    from rnncli.export.plain_keras import plain_model

    model = plain_model(rebuild(saved), saved.config)
    written = path.with_name(f"{path.name}.keras")  # the only name that Keras writes to
    model.save(written)
    written.rename(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(RECORD, ExportRecord.of(saved).model_dump_json(indent=1))


def open_keras(saved: SavedRun, path: Path) -> Runner:
    """Return a function that predicts by the loaded model; of a next-step model from states of zeros."""
    setup_inference(saved.config.on_device("cpu"))
    import keras

    model = keras.saving.load_model(path)
    inputs = model.inputs if isinstance(model.inputs, list) else list(model.inputs.values())
    states = {each.name: each.shape[1:] for each in inputs if each.name not in (SOURCE, LENGTHS)}

    def run(source: NDArray[Any], lengths: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        zeros = {name: np.zeros((len(source), *shape), np.float32) for name, shape in states.items()}
        given = {SOURCE: to_longest(source, saved.task.sizes), LENGTHS: lengths.astype(np.int32), **zeros}
        found = model.predict_on_batch(given)
        return np.asarray(found[IDS]), np.asarray(found[SCORE])

    return run
