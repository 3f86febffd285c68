"""The backend that runs exported graphs by onnxruntime; see `rnncli.inference.backends`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from rnncli.config import EncoderDecoderModel, NextStepModel
from rnncli.errors import InputError, command_line, install_command
from rnncli.inference.backends import Refusal, Request
from rnncli.inference.onnx_decoder import OnnxDecoder
from rnncli.inference.onnx_model import OnnxModel
from rnncli.inference.prediction import Predictor
from rnncli.runs.checkpoints import BEST
from rnncli.runs.directory import SavedRun
from rnncli.runs.export_record import PREDICT, graph_file, own_export
from rnncli.runs.size_limits import max_checkpoint_bytes
from rnncli.runtime.host import available_cores
from rnncli.runtime.parallelism import needs_threads
from rnncli.runtime.tensorflow_setup import MAX_WORKERS

RUNTIME = "onnxruntime"
"""The package, and the name of the kernel of all layers in files of states."""

OTHERWISE = "use --backend tensorflow"


def refusal(request: Request) -> Refusal | None:
    """Return why exported graphs cannot answer; None if they can."""
    saved = request.saved
    if request.others:
        return Refusal("an ensemble needs TensorFlow", OTHERWISE)
    if request.device == "gpu":
        return Refusal("onnxruntime answers on the CPU", f"leave out --device, or {OTHERWISE}")
    if request.states and not isinstance(saved.config.model, NextStepModel | EncoderDecoderModel):
        return Refusal(f"exported graphs of model {saved.config.model.type} take no initial states", OTHERWISE)
    own = saved.exported is None
    if own and not _file(saved).exists():
        return Refusal("no export in onnx", f"{command_line('export', saved.path)} writes one")
    if find_spec(RUNTIME) is None:
        return Refusal(f"the package {RUNTIME} is not installed", install_command("rnncli[export-onnx]"), True)
    return _other_weights(saved) if own else None


def _other_weights(saved: SavedRun) -> Refusal | None:
    """Return a refusal if the export in a run directory is not of the checkpoint that was asked for."""
    hint = f"{command_line('export', saved.path)} writes it again"
    if saved.which != BEST:
        hint = "it is of the best checkpoint; leave out --checkpoint, or name another place with export --output"
    try:
        difference = _open(saved).record.difference(saved)
    except InputError as error:
        return Refusal(f"its export cannot be used: {error.message}", hint, True)
    if difference:
        return Refusal(f"its export has other {difference} than the checkpoint", hint, True)
    return None


def start(request: Request) -> Predictor:
    """Return a predictor that runs the exported graphs.

    Raises:
        InputError: A graph cannot be used.
    """
    saved = request.saved
    cores = saved.config.runtime.cores or available_cores()
    threads = cores if needs_threads(saved.config) else 1
    model = _open(saved, threads)
    workers = 1 if threads > 1 else min(cores, available_cores(), MAX_WORKERS)
    decoder = OnnxDecoder(model, saved.task.sizes, saved.config.is_autoregressive, workers)
    attends = getattr(saved.config.model, "attention", "none") != "none"
    return Predictor(saved, decoder, dict.fromkeys(_layers(decoder), RUNTIME), attends)


def _open(saved: SavedRun, threads: int = 1) -> OnnxModel:
    """Open the graphs; in a run directory, which may be a stranger's, no link is followed and size has a limit."""
    if saved.exported is not None:
        return OnnxModel(saved.exported, threads)
    return OnnxModel(_file(saved), threads, saved.path, 2 * max_checkpoint_bytes(saved.config, saved.task))


def _file(saved: SavedRun) -> Path:
    return saved.exported or own_export(saved.path, "onnx") / graph_file(PREDICT)


def _layers(decoder: OnnxDecoder) -> list[str]:
    """Return the prefixes of the layers whose states are known outside."""
    return list(dict.fromkeys(name.rsplit("/", 2)[0] for name in decoder.state_spec))
