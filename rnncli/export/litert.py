"""LiteRT files, for phones and small devices: built-in operations only, so that its interpreter alone runs them.

String tables would make every signature need TensorFlow's operations, so that there is no signature from texts.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.config import CustomCell
from rnncli.errors import InputError, RunFailedError, is_out_of_memory, is_out_of_room
from rnncli.export.formats import Runner
from rnncli.export.savedmodel import RECORD, to_longest
from rnncli.files import temporary_folder
from rnncli.runs.directory import SavedRun
from rnncli.runs.export_record import IDS, LENGTHS, SCORE, SOURCE, ExportRecord
from rnncli.runtime import xla
from rnncli.runtime.tensorflow_setup import setup_inference
from rnncli.text import shorten


def write_litert(saved: SavedRun, path: Path, weights: str = "float32") -> None:
    """Write a run as a LiteRT file with the signatures `predict_ids`, `encode` and `step`.

    The record is appended as a ZIP archive, which is how LiteRT files carry files of their own.

    Args:
        saved: The run.
        path: The file.
        weights: `float32`, `float16` or `int8`: the type in which the weights are stored.

    Raises:
        InputError: The cell is a custom one.
        RunFailedError: TensorFlow's converter refuses the model.
    """
    if isinstance(saved.config.model.cell, CustomCell):
        reason = "may use operations that LiteRT has not"
        raise InputError(
            f"{saved.path}: model.cell: {saved.config.model.cell.class_} {reason}", "use --format savedmodel"
        )
    setup_inference(saved.config.on_device("cpu"))
    import tensorflow as tf

    from rnncli.export.functions import ExportedModule, ModelFunctions, rebuild

    model = rebuild(saved)
    with xla.unrolling():
        signatures = ModelFunctions(model, saved.config, saved.task.sizes).concrete()
    with temporary_folder("rnncli-") as folder:
        tf.saved_model.save(ExportedModule(model), str(folder), signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=list(signatures))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if weights != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if weights == "float16":
            converter.target_spec.supported_types = [tf.float16]
        try:
            converted = converter.convert()
        except Exception as error:  # of many kinds
            if is_out_of_room(error) or is_out_of_memory(error):
                raise
            raise RunFailedError(f"{saved.path}: LiteRT cannot hold the model: {shorten(str(error), 300)}") from error
    path.write_bytes(converted)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(RECORD, ExportRecord.of(saved).model_dump_json(indent=1))


def open_litert(saved: SavedRun, path: Path) -> Runner:
    """Return a function that predicts by the signature `predict_ids`, row by row; from states of zeros."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    runner = interpreter.get_signature_runner("predict_ids")
    shapes = {name: tuple(detail["shape"][1:]) for name, detail in runner.get_input_details().items()}
    states = {name: shape for name, shape in shapes.items() if name not in (SOURCE, LENGTHS)}

    def run(source: NDArray[Any], lengths: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        padded = to_longest(source, saved.task.sizes)
        ids, scores = [], []
        for row, length in zip(padded, lengths, strict=True):
            zeros = {name: np.zeros((1, *shape), np.float32) for name, shape in states.items()}
            found = runner(**{SOURCE: row[None], LENGTHS: np.array([length], np.int32)}, **zeros)
            ids.append(found[IDS][0])
            scores.append(found[SCORE][0])
        return np.stack(ids), np.stack(scores)

    return run
