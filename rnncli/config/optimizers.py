"""The table of optimizers."""

from __future__ import annotations

OPTIMIZERS = {"adam": "Adam", "adamw": "AdamW", "nadam": "Nadam", "rmsprop": "RMSprop", "sgd": "SGD"}
"""The class in `keras.optimizers` for each name. All other arguments than the learning rate are Keras's defaults."""
