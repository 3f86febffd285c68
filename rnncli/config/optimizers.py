"""The table of optimizers."""

from __future__ import annotations

OPTIMIZERS = {
    "adam": "keras.optimizers:Adam",
    "adamw": "keras.optimizers:AdamW",
    "nadam": "keras.optimizers:Nadam",
    "rmsprop": "keras.optimizers:RMSprop",
    "sgd": "keras.optimizers:SGD",
}
"""The Keras optimizer of each name, as `module:Class`. All arguments but the learning rate are Keras's defaults."""
