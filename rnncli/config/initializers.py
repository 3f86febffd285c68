"""The table of distributions that weights may begin with."""

from __future__ import annotations

INITIALIZERS = {
    "glorot_uniform": "keras.initializers:GlorotUniform",
    "glorot_normal": "keras.initializers:GlorotNormal",
    "he_uniform": "keras.initializers:HeUniform",
    "he_normal": "keras.initializers:HeNormal",
    "lecun_uniform": "keras.initializers:LecunUniform",
    "lecun_normal": "keras.initializers:LecunNormal",
    "orthogonal": "keras.initializers:Orthogonal",
    "random_uniform": "keras.initializers:RandomUniform",
    "random_normal": "keras.initializers:RandomNormal",
    "truncated_normal": "keras.initializers:TruncatedNormal",
}
"""The Keras initializer of each name, as `module:Class`. All arguments but the seed are Keras's defaults."""
