"""Initial weights by the names of Keras's initializers."""

from __future__ import annotations

import numpy as np

from rnncli.config import InitialWeights
from rnncli.config.initializers import INITIALIZERS
from rnncli.config.named_objects import import_named
from rnncli.errors import InputError
from rnncli.models import NetworkModel

ROLES = {"kernel": "kernel", "recurrent_kernel": "recurrent", "embeddings": "embedding"}
"""The key of the config for the last part of a parameter's name."""


def set_initial_weights(model: NetworkModel, config: InitialWeights, seed: int) -> None:
    """Give the parameters of a new model other initial values, where the config says so; biases stay.

    Args:
        model: The model.
        config: The section `training.initial_weights`.
        seed: The seed of training; each parameter has its own from it.

    Raises:
        InputError: The model has no parameter of a kind.
    """
    names = {role: name for role in ROLES.values() if (name := getattr(config, role)) is not None}
    set_roles = set()
    for number, variable in enumerate(model.network.trainable_variables):
        role = ROLES.get(variable.path.rpartition("/")[2], "")
        if role in names:
            own_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
            variable.assign(import_named(INITIALIZERS[names[role]])(seed=own_seed)(variable.shape, variable.dtype))
            set_roles.add(role)
    if missing := sorted(names.keys() - set_roles):
        raise InputError(f"training.initial_weights.{missing[0]}: the model has no such weights", "remove this key")
