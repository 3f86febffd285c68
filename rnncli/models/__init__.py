"""The models. Each has `encode` and `step` (it writes symbol by symbol) or `read` (it answers at once)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rnncli.config import Config
from rnncli.layers import choose_kernel, layers_of, probe_cudnn
from rnncli.models.base import Model, Readout, Stepper
from rnncli.models.encoder_decoder import EncoderDecoder
from rnncli.models.many_to_one import ManyToOne
from rnncli.models.repeat_vector import RepeatVector
from rnncli.tasks import Sizes

MODELS: dict[str, Callable[..., Any]] = {
    "encoder_decoder": EncoderDecoder,
    "repeat_vector": RepeatVector,
    "next_step": ManyToOne,
    "classifier": ManyToOne,
}


def build_model(config: Config, sizes: Sizes, on_gpu: bool = False) -> Model:
    """Make the model of a config, with fresh weights drawn from Keras's global seed.

    Args:
        config: The validated config.
        sizes: What the data says of vocabularies and lengths.
        on_gpu: Whether it will run on a GPU; decides the kernels.

    Raises:
        InputError: `runtime.kernel` asks for a kernel that cannot be had.
        RunFailedError: It requires cuDNN, which does not work on this GPU.
    """
    kernel, precision = config.runtime.kernel, config.runtime.precision
    probe = partial(probe_cudnn, precision=precision)
    choice = choose_kernel(config.model.cell, kernel, on_gpu, config.model.implementation, probe)
    with layers_of(precision):
        model: Model = MODELS[config.model.type](config.model, sizes, choice)
    return model


__all__ = ["MODELS", "Model", "Readout", "Stepper", "build_model"]
