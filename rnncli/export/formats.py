"""The table of formats that trained models are exported in, a format a file or a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.runs.directory import SavedRun

Writer = Callable[..., None]
"""Writes a run to a path that does not exist, or where the format is a folder into an empty one: as
`writer(saved, path)`, and as `writer(saved, path, weights)` where the format has several types of weights."""

Runner = Callable[[NDArray[Any], NDArray[np.int32]], tuple[NDArray[np.int32], NDArray[np.float32]]]
"""Sources, int32 [rows, steps] or float32 [rows, steps, features], and their lengths, int32 [rows], to the ids of
greedy predictions, int32 [rows, target steps], and their scores, float32 [rows]."""

Opener = Callable[[SavedRun, Path], Runner]
"""Opens an export by its own runtime."""


@dataclass(frozen=True)
class ExportFormat:
    """A format. Its functions are given as `module:name` and imported when they are needed.

    Attributes:
        description: One line about the format.
        writer: A `Writer`.
        opener: An `Opener`.
        packages: The packages that writing needs, beside those of rnncli.
        runtime: The package that runs an export; empty for TensorFlow.
        extra: The extra of rnncli that brings these packages.
        marker: The file by which a folder of this format is known; empty where an export is one file.
        extension: The extension that a file of this format must have.
        weights: The types that weights can be stored in.
    """

    description: str
    writer: str
    opener: str
    packages: tuple[str, ...] = ()
    runtime: str = ""
    extra: str = ""
    marker: str = ""
    extension: str = ""
    weights: tuple[str, ...] = ("float32",)

    @property
    def is_directory(self) -> bool:
        """Return True if an export is a folder of files."""
        return bool(self.marker)

    def is_export(self, path: Path) -> bool:
        """Return True if a folder is an export in this format."""
        return (path / self.marker).is_file()


EXPORTS: dict[str, ExportFormat] = {
    "onnx": ExportFormat(
        description="a folder of ONNX graphs, for onnxruntime and for `rnncli predict` without TensorFlow",
        writer="rnncli.export.onnx.writer:write_onnx",
        opener="rnncli.export.onnx.runner:open_onnx",
        packages=("onnx",),
        runtime="onnxruntime",
        extra="export-onnx",
        marker="predict.onnx",
    ),
    "savedmodel": ExportFormat(
        description="a SavedModel, for TensorFlow and TensorFlow Serving, from texts too",
        writer="rnncli.export.savedmodel:write_savedmodel",
        opener="rnncli.export.savedmodel:open_savedmodel",
        marker="saved_model.pb",
    ),
    "keras": ExportFormat(
        description="plain Keras layers, for `keras.saving.load_model`",
        writer="rnncli.export.keras_file:write_keras",
        opener="rnncli.export.keras_file:open_keras",
        extension=".keras",
    ),
    "litert": ExportFormat(
        description="a LiteRT file (.tflite), for phones and small devices",
        writer="rnncli.export.litert:write_litert",
        opener="rnncli.export.litert:open_litert",
        runtime="ai_edge_litert",
        extra="export-litert",
        extension=".tflite",
        weights=("float32", "float16", "int8"),
    ),
}
"""Every format by its name, the value of `--format`."""
