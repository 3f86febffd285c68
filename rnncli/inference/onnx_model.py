"""Exported ONNX graphs in onnxruntime. Imports no TensorFlow."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse_arrays

from rnncli.errors import InputError, explain_os_errors, install_command
from rnncli.files import read_plain
from rnncli.inference.onnx_scan import names_other_files
from rnncli.runs.arrays import Arrays
from rnncli.runs.checkpoints import MAX_ARRAYS
from rnncli.runs.directory import SavedRun
from rnncli.runs.export_record import CARRIED, PREDICT, SCORE, ExportRecord, graph_file
from rnncli.states.named_arrays import check_floats
from rnncli.text import shorten

FATAL = 4
"""Severity of messages that onnxruntime prints; errors are exceptions, too."""


class OnnxGraph:
    """A graph that onnxruntime runs on the CPU.

    Args:
        path: The file. A graph whose weights are in other files is refused: it could name any file.
        threads: Threads of one computation.
        root: An untrusted directory above the file, or None; see `rnncli.files.read_plain`.
        max_bytes: The largest file that is read.

    Attributes:
        inputs: Names of the inputs.
        outputs: Name and shape of each output; a dimension of any size is a name.
        metadata: Texts by key.

    Raises:
        InputError: The file is not there or not such a graph, or onnxruntime is not installed.
    """

    def __init__(self, path: Path, threads: int = 1, root: Path | None = None, max_bytes: int = MAX_ARRAYS) -> None:
        runtime = import_runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = FATAL
        options.add_session_config_entry("session.load_model_format", "ONNX")  # not its own format, too
        with explain_os_errors(path, "read", InputError):
            data = read_plain(path, max_bytes, root)
        _refuse_other_files(data, path)
        try:
            self._session = runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has classes of its own for each kind
            raise InputError(f"{path}: not a graph that onnxruntime can run: {shorten(str(error), 200)}") from error
        self.inputs = [each.name for each in self._session.get_inputs()]
        self.outputs = {each.name: tuple(each.shape) for each in self._session.get_outputs()}
        self.metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the outputs by name; inputs that the graph has not are ignored."""
        given = {name: inputs[name] for name in self.inputs}
        return dict(zip(self.outputs, self._session.run(None, given), strict=True))


class OnnxModel:
    """The graphs of an exported model, which are loaded when they are first used.

    Args:
        path: The file of the graph `predict`; the others are beside it.
        threads: Threads of one computation.
        root: As for `OnnxGraph`.
        max_bytes: As for `OnnxGraph`.

    Attributes:
        record: The record of the run that it comes from.

    Raises:
        InputError: It is not an exported model.
    """

    def __init__(self, path: Path, threads: int = 1, root: Path | None = None, max_bytes: int = MAX_ARRAYS) -> None:
        self._path, self._open = path, partial(OnnxGraph, threads=threads, root=root, max_bytes=max_bytes)
        predict = self._open(path)
        self.record = ExportRecord.parse(predict.metadata, str(path))
        if SCORE not in predict.outputs:
            raise InputError(f"{path}: this graph alone does not predict", f"give {graph_file(PREDICT)} beside it")
        self._graphs = {PREDICT: predict}
        self._loading = threading.Lock()

    def graph(self, name: str) -> OnnxGraph:
        """Return a graph.

        Raises:
            InputError: It is missing, or comes from another run than `predict`.
        """
        with self._loading:
            if name not in self._graphs:
                path = self._path.with_name(graph_file(name))
                if not path.exists():
                    hint = "beams, samples, attention and states need all graphs of the export in one folder"
                    raise InputError(f"{path}: not there, beside {self._path.name}", hint)
                graph = self._open(path)
                if ExportRecord.parse(graph.metadata, str(path)) != self.record:
                    raise InputError(f"{path}: exported from another run than {self._path.name}")
                self._graphs[name] = graph
            return self._graphs[name]


def exported_file(path: Path) -> Path | None:
    """Return the graph `predict` that a path names, itself or by its folder; None for another path."""
    if path.suffix == ".onnx" and not path.is_dir():
        return path
    with contextlib.suppress(PermissionError):  # who may not look finds none
        return file if (file := path / graph_file(PREDICT)).is_file() else None
    return None


def load_exported(path: Path) -> SavedRun:
    """Return the run that exported graphs come from, without its weights.

    Args:
        path: The file of the graph `predict`.

    Raises:
        InputError: It is not an exported model, or a stateful one without its states.
    """
    saved = OnnxModel(path).record.rebuild(path)
    return replace(saved, carried=_read_carried(path.with_name(CARRIED))) if saved.config.stateful else saved


def _read_carried(path: Path) -> Arrays:
    """Return the states that training ended with."""
    with explain_os_errors(path, "read", InputError):
        data = read_plain(path, MAX_ARRAYS)
    try:
        carried: Arrays = parse_arrays(data)
    except (SafetensorError, KeyError) as error:  # a KeyError for types that NumPy has not
        raise InputError(f"{path}: not a safetensors file: {error}") from error
    check_floats(carried, str(path))
    return carried


def _refuse_other_files(data: bytes, path: Path) -> None:
    """Refuse a graph that names other files, before onnxruntime opens them.

    Raises:
        InputError: It does, or is not a graph.
    """
    try:
        names_others = names_other_files(data)
    except ValueError as error:
        raise InputError(f"{path}: not a graph that onnxruntime can run: {error}") from error
    if names_others:
        raise InputError(f"{path}: its weights are in other files, which are not read", "save it as one file")


def import_runtime() -> Any:
    """Import onnxruntime, whose telemetry (since 1.29) is off unless the environment says otherwise.

    Raises:
        InputError: It is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # nothing is sent, and no id is stored in the cache folder
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise InputError(
            "the package onnxruntime is not installed", install_command("rnncli[export-onnx]")
        ) from error
    return onnxruntime
