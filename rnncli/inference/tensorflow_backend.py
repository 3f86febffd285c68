"""The backend that rebuilds the model in TensorFlow; see `rnncli.inference.backends`."""

from __future__ import annotations

from rnncli.inference.backends import Refusal, Request
from rnncli.inference.prediction import Predictor
from rnncli.runtime.tensorflow_setup import setup_inference


def refusal(request: Request) -> Refusal | None:
    """Return why TensorFlow cannot answer; None if it can."""
    if any(saved.exported is not None for saved in (request.saved, *request.others)):
        return Refusal("TensorFlow reads run directories, not exported models", "give the run directory")
    return None


def start(request: Request) -> Predictor:
    """Import TensorFlow, and return a predictor with the models of a run and of its ensemble."""
    ready = setup_inference(request.saved.config)  # before any module that imports TensorFlow
    from rnncli.inference.predictor import TrainedRun

    return TrainedRun(request.saved, ready, request.others)
