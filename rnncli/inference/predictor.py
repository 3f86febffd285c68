"""A trained run with its model rebuilt in TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from rnncli.errors import InputError, RunDirError
from rnncli.inference.decoder import Decoder
from rnncli.inference.generation import TextGenerator
from rnncli.inference.prediction import Predictor
from rnncli.models import AutoregressiveModel, NetworkModel, PredictionModel, build_model
from rnncli.models.ensemble import Ensemble
from rnncli.runs.directory import SavedRun
from rnncli.runs.size_limits import check_size
from rnncli.runtime.tensorflow_setup import Runtime


class TrainedRun(Predictor):
    """A saved run with its model rebuilt, ready to predict.

    Attributes:
        model: The model with the parameters of the checkpoint; the first of an ensemble.
        decoder: Runs the model, or all models of an ensemble, over ids.
    """

    decoder: Decoder

    def __init__(self, saved: SavedRun, runtime: Runtime, others: Sequence[SavedRun] = ()) -> None:
        """Rebuild the model from the config and load its parameters.

        Args:
            saved: The run.
            runtime: The device and threads to run on; they may differ from those of training.
            others: The other runs of an ensemble, as `check_ensemble_compatible` allows.

        Raises:
            RunDirError: The parameters or the carried states do not fit the config.
        """
        self.model = _rebuild_model(saved, runtime)
        members = [self.model, *(_rebuild_model(other, runtime) for other in others)]
        model: PredictionModel = self.model
        if others:  # `check_ensemble_compatible` allows autoregressive models only
            model = Ensemble([member for member in members if isinstance(member, AutoregressiveModel)])
        decoder = Decoder(model, runtime, saved.config.fixed_batch_size)
        super().__init__(saved, decoder, self.model.kernels, all(member.has_attention for member in members))

    @cached_property
    def generator(self) -> TextGenerator:
        """The writer of texts with the model.

        Raises:
            InputError: The model does not write texts.
        """
        return TextGenerator(self.model, self.task, self.decoder.runtime)


def _rebuild_model(saved: SavedRun, runtime: Runtime) -> NetworkModel:
    check_size(saved.config, saved.task, saved.weights, str(saved.path))
    with runtime.strategy.scope():
        model = build_model(saved.config, saved.task.sizes, runtime.on_gpu, saved.search_path)
    try:
        model.assign(saved.weights)
    except InputError as error:
        raise RunDirError(f"{saved.path}: {error.message}", error.hint) from error
    return model
