"""The models, each an `AutoregressiveModel` or a `SinglePassModel`."""

from __future__ import annotations

from functools import partial
from typing import TypeAlias

from rnncli.config import ClassifierModel, Config, CustomCell, EncoderDecoderModel, RepeatVectorModel
from rnncli.config import Model as ModelConfig
from rnncli.data.examples import Sizes
from rnncli.layers import AnyCell, KernelChoice, choose_kernel, layer_precision, load_cell, probe_cudnn
from rnncli.models.base import AutoregressiveModel, Model, SinglePassModel, TrainableModel
from rnncli.models.encoder_decoder import EncoderDecoder
from rnncli.models.many_to_one import ManyToOne
from rnncli.models.pair_classifier import PairClassifier
from rnncli.models.repeat_vector import RepeatVector
from rnncli.runtime.user_code import NO_SEARCH_PATH, ModuleSearchPath

NetworkModel: TypeAlias = EncoderDecoder | SinglePassModel
"""The models that a config can ask for."""

PredictionModel: TypeAlias = AutoregressiveModel | SinglePassModel
"""The models that prediction can run: one or an ensemble."""


def make_model(config: ModelConfig, sizes: Sizes, cell: AnyCell, choice: KernelChoice) -> NetworkModel:
    """Make a model from its section of the config.

    Args:
        config: The `model` section.
        sizes: Sizes of vocabularies and lengths of sequences.
        cell: The cell that `config.cell` names.
        choice: The kernel.
    """
    if isinstance(config, EncoderDecoderModel):
        return EncoderDecoder(config, sizes, cell, choice)
    if isinstance(config, RepeatVectorModel):
        return RepeatVector(config, sizes, cell, choice)
    if isinstance(config, ClassifierModel) and config.encoder is not None:
        return PairClassifier(config, sizes, cell, choice)
    return ManyToOne(config, sizes, cell, choice)


def build_model(
    config: Config, sizes: Sizes, on_gpu: bool = False, search_path: ModuleSearchPath = NO_SEARCH_PATH
) -> NetworkModel:
    """Make the model of a config, with initial parameters from Keras's global seed.

    Args:
        config: The validated config.
        sizes: Sizes of vocabularies and lengths of sequences.
        on_gpu: True if the model will run on a GPU; decides the kernel.
        search_path: Where to look for the class of a custom cell, besides Python's own search path.

    Raises:
        InputError: `runtime.kernel` cannot run the model, or the custom cell is not a cell.
        RunFailedError: cuDNN is required, and does not work on this GPU.
    """
    precision, section = config.runtime.precision, config.model
    cell = load_cell(section.cell, search_path) if isinstance(section.cell, CustomCell) else section.cell
    probe = partial(probe_cudnn, precision=precision)
    dropping = section.recurrent_dropout_keys
    choice = choose_kernel(section.cell, config.runtime.kernel, on_gpu, section.implementation, probe, dropping)
    with layer_precision(precision):
        return make_model(section, sizes, cell, choice)


__all__ = [
    "AutoregressiveModel",
    "EncoderDecoder",
    "ManyToOne",
    "Model",
    "NetworkModel",
    "PairClassifier",
    "PredictionModel",
    "SinglePassModel",
    "TrainableModel",
    "build_model",
    "make_model",
]
