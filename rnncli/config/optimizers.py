"""The table of optimizers."""

from __future__ import annotations

OPTIMIZERS = {"adam": "Adam", "rmsprop": "RMSprop", "sgd": "SGD"}
"""The class in `keras.optimizers` of each; made with the learning rate, and Keras's defaults for the rest."""
