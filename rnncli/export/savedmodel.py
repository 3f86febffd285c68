"""SavedModels: for TensorFlow alone, without rnncli and without Keras, and for TensorFlow Serving."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Sizes
from rnncli.export.formats import Runner
from rnncli.runs.directory import SavedRun
from rnncli.runs.export_record import IDS, LENGTHS, SCORE, SOURCE, ExportRecord
from rnncli.runtime.tensorflow_setup import setup_inference

EXTRA, RECORD = "assets.extra", "rnncli.json"
"""The folder of a SavedModel for files of others, and the file of the record."""


def write_savedmodel(saved: SavedRun, folder: Path) -> None:
    """Write a run as a SavedModel with the signatures `predict_ids`, `encode` and `step`, and `predict` from texts.

    Args:
        saved: The run.
        folder: An empty directory.
    """
    setup_inference(saved.config.on_device("cpu"))
    import tensorflow as tf

    from rnncli.export.functions import ExportedModule, ModelFunctions, rebuild
    from rnncli.export.texts import text_signature

    model = rebuild(saved)
    functions = ModelFunctions(model, saved.config, saved.task.sizes)
    module = ExportedModule(model)
    signatures = functions.concrete()
    if (predict := text_signature(saved, functions, module)) is not None:
        signatures["predict"] = predict
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(folder), signatures, options)
    (folder / EXTRA).mkdir()
    record = ExportRecord.of(saved).model_dump_json(indent=1)
    (folder / EXTRA / RECORD).write_text(record + "\n", "utf-8")


def open_savedmodel(saved: SavedRun, path: Path) -> Runner:
    """Return a function that predicts by the signature `predict_ids`; of a next-step model from states of zeros."""
    setup_inference(saved.config.on_device("cpu"))
    import tensorflow as tf

    with _errors_only():
        loaded = tf.saved_model.load(str(path))
    signature, sizes = loaded.signatures["predict_ids"], saved.task.sizes
    states = {
        name: spec for name, spec in signature.structured_input_signature[1].items() if name not in (SOURCE, LENGTHS)
    }

    def run(source: NDArray[Any], lengths: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        zeros = {name: tf.zeros([len(source), *spec.shape[1:]]) for name, spec in states.items()}
        given = {SOURCE: tf.constant(to_longest(source, sizes)), LENGTHS: tf.constant(lengths)}
        found = signature(**given, **zeros)
        return found[IDS].numpy(), found[SCORE].numpy()

    # the variables live as long as the loaded module
    run.module = loaded  # type: ignore[attr-defined]
    return run


@contextlib.contextmanager
def _errors_only() -> Iterator[None]:
    """Hold back warnings of loading: one for each function, that it has no gradient of its own to train with."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def to_longest(source: NDArray[Any], sizes: Sizes) -> NDArray[Any]:
    """Return sources in the type of the model, padded to the longest source that it reads."""
    from rnncli.inference.batching import pad_to

    return pad_to(source.astype(np.int32 if sizes.features is None else np.float32), sizes.source_steps)
