"""The models. Each has `encode` and `step` (it writes symbol by symbol) or `read` (it answers at once)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rnncli.config import Config, CustomCell
from rnncli.data.examples import Sizes
from rnncli.layers import choose_kernel, layers_of, load_cell, probe_cudnn
from rnncli.models.base import Model, Readout, Stepper
from rnncli.models.encoder_decoder import EncoderDecoder
from rnncli.models.many_to_one import ManyToOne
from rnncli.models.repeat_vector import RepeatVector
from rnncli.runtime.user_code import NO_SEARCH_PATH, ModuleSearchPath

MODELS: dict[str, Callable[..., Any]] = {
    "encoder_decoder": EncoderDecoder,
    "repeat_vector": RepeatVector,
    "next_step": ManyToOne,
    "classifier": ManyToOne,
}


def build_model(
    config: Config, sizes: Sizes, on_gpu: bool = False, search_path: ModuleSearchPath = NO_SEARCH_PATH
) -> Model:
    """Make the model of a config, with fresh weights drawn from Keras's global seed.

    Args:
        config: The validated config.
        sizes: What the data says of vocabularies and lengths.
        on_gpu: Whether it will run on a GPU; decides the kernels.
        search_path: Where the class of a custom cell is looked for, beside what Python knows.

    Raises:
        InputError: `runtime.kernel` asks for a kernel that cannot be had, or a custom cell is none.
        RunFailedError: cuDNN is required, and does not work on this GPU.
    """
    cell, precision = config.model.cell, config.runtime.precision
    user = load_cell(cell, search_path) if isinstance(cell, CustomCell) else None
    probe = partial(probe_cudnn, precision=precision)
    kernel, dropping = config.runtime.kernel, config.model.recurrent_dropout_keys
    choice = choose_kernel(cell, kernel, on_gpu, config.model.implementation, probe, dropping)
    with layers_of(precision):
        model: Model = MODELS[config.model.type](config.model, sizes, choice, user)
    return model


__all__ = ["MODELS", "Model", "Readout", "Stepper", "build_model"]
