"""Run exported graphs by onnxruntime, to compare them with the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.export.formats import Runner
from rnncli.inference.onnx_decoder import OnnxDecoder
from rnncli.inference.onnx_model import OnnxModel
from rnncli.runs.directory import SavedRun
from rnncli.runs.export_record import PREDICT, graph_file


def open_onnx(saved: SavedRun, path: Path) -> Runner:
    """Return a function that predicts by exported graphs; of a next-step model from states of zeros."""
    decoder = OnnxDecoder(OnnxModel(path / graph_file(PREDICT)), saved.task.sizes, saved.config.is_autoregressive)

    def run(source: NDArray[Any], lengths: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        decoded = decoder(source, lengths)
        return decoded.ids, decoded.log_probabilities[:, 0]

    return run
