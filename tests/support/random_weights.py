"""Weights for models of tests."""

import numpy as np


def give_random_weights(model, seed=5):
    """Draw all weights of a model, biases too, from a fixed seed; return the model."""
    rng = np.random.default_rng(seed)
    model.assign({name: rng.normal(0, 0.6, a.shape).astype(np.float32) for name, a in model.arrays().items()})
    return model
