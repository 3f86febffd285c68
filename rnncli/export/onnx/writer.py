"""Write the graphs of a trained run as files."""

from __future__ import annotations

from pathlib import Path

from rnncli.config import CustomCell, EncoderDecoderModel
from rnncli.errors import InputError
from rnncli.export.onnx.encoder_decoder import EncoderDecoderGraphs
from rnncli.export.onnx.layers import Parameters
from rnncli.export.onnx.single_pass import SinglePassGraphs
from rnncli.runs.arrays import format_arrays
from rnncli.runs.directory import SavedRun
from rnncli.runs.export_record import CARRIED, ExportRecord, graph_file


def write_onnx(saved: SavedRun, folder: Path) -> None:
    """Write the graphs of a run, without TensorFlow.

    Args:
        saved: The run.
        folder: An empty directory. It gets `predict.onnx`; of an encoder-decoder `encode.onnx` and `step.onnx`; of a
            next-step model `step.onnx`, and of a stateful one the carried states.

    Raises:
        InputError: The cell has no ONNX operator.
    """
    metadata = ExportRecord.of(saved).metadata()
    for name, build in graphs_of(saved).graphs.items():
        graph, inputs, outputs = build()
        model = graph.model(name, inputs, outputs, metadata)
        (folder / graph_file(name)).write_bytes(model.SerializeToString())
    if saved.config.stateful:
        (folder / CARRIED).write_bytes(format_arrays(saved.carried))


def graphs_of(saved: SavedRun) -> EncoderDecoderGraphs | SinglePassGraphs:
    """Return the graphs of a run.

    Raises:
        InputError: The cell has no ONNX operator.
    """
    config, sizes = saved.config.model, saved.task.sizes
    if isinstance(config.cell, CustomCell):
        raise InputError(
            f"{saved.path}: model.cell: {config.cell.class_} is Python code, which ONNX cannot hold",
            "use --format savedmodel",
        )
    parameters = Parameters(saved.weights, config)
    if isinstance(config, EncoderDecoderModel):
        return EncoderDecoderGraphs(config, sizes, parameters)
    return SinglePassGraphs(config, sizes, parameters)
