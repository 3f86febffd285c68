"""Read npz files whole, so that none stays open."""

import numpy as np


def read_npz(path):
    """Return the arrays of an npz file by name."""
    with np.load(path) as file:
        return dict(file)
