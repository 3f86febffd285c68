"""The states of two examples, and final ones, in a file: what tests of files of states share."""

import numpy as np

from rnncli.states.batch import StateBatch
from rnncli.states.export import open_writer

SPEC = {"encoder/0/forward/h": (3, 2), "encoder/0/forward/final/h": (2,)}
ARRAYS = {"decoder/0/forward/h": np.array([[1.0, 2], [3, 4]]), "decoder/0/forward/c": np.array([[5.0, 6], [7, 8]])}
FINAL = dict.fromkeys(ARRAYS, (2,))
IDENTITY = {"cell": "lstm", "weights_digest": "a" * 64, "vocabulary_digest": "b" * 64}
ENDINGS = {"npz": ".npz", "hdf5": ".h5", "safetensors": ".safetensors", "neurox": ".hdf5"}


def batch():
    lengths = np.array([3, 2], np.int32)
    arrays = {"encoder/0/forward/h": np.full((2, 3, 2), 0.25), "encoder/0/forward/final/h": np.full((2, 2), 0.5)}
    tokens = [["a", "b", "c"], ["d", "e"]]
    return StateBatch(["abc", "de"], ["x", "y"], tokens, tokens, lengths, lengths, arrays)


def export(path, format_name=None, stop=None, **options):
    with open_writer(path, format_name, IDENTITY, SPEC, **options) as states:
        states.write(batch())
        if stop:
            raise stop
    return path


def path_of(folder, format_name):
    return folder / f"states{ENDINGS.get(format_name, '')}"
