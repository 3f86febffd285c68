"""States of five examples in two batches, in a file of any format: what tests of the formats share."""

import numpy as np

from rnncli._version import __version__
from rnncli.states.batch import StateBatch
from rnncli.states.export import open_writer

SPEC = {
    "encoder/0/forward/h": (4, 3),
    "encoder/0/forward/c": (4, 3),
    "encoder/1/output": (4, 3),
    "decoder/0/forward/h": (5, 2),
    "encoder/0/forward/final/h": (3,),
    "encoder/0/forward/final/c": (3,),
    "decoder/0/forward/final/h": (2,),
}
MANIFEST = {"run": "runs/größe", "cell": "lstm", "weights_digest": "ab" * 32, "decoding": {"mode": "greedy"}}
ENDINGS = {"npz": "a.npz", "hdf5": "a.h5", "safetensors": "a.safetensors", "neurox": "a.hdf5"}


def batch_of(texts, predictions, seed=0, spec=SPEC, garbage=np.nan):
    """States in -1..1, what is beyond a row's end being garbage."""
    random = np.random.default_rng(seed)
    source, target = [list(text) for text in texts], [[*text, "</s>"] for text in predictions]
    lengths = {"source": np.array([len(row) for row in source]), "target": np.array([len(row) for row in target])}
    arrays = {}
    for name, shape in spec.items():
        arrays[name] = random.uniform(-1, 1, (len(texts), *shape)).astype(np.float32)
        if len(shape) == 2:
            side = lengths["target" if name.startswith("decoder/") else "source"]
            arrays[name][np.arange(shape[0]) >= side[:, None]] = garbage
    return StateBatch(texts, predictions, source, target, lengths["source"], lengths["target"], arrays)


BATCHES = [
    batch_of(["12+3", "1 é", "x\t\n"], ["15", "ü 1", ""], 1),
    batch_of(["1 é", ""], ["ü 1", "9\0"], 2),
]


def padded(name):
    """Return the array that a file must hold: all batches, zeros after each row's end."""
    return np.concatenate([np.nan_to_num(batch.arrays[name], nan=0.0) for batch in BATCHES])


def export(tmp_path, format_name, dtype="float32", batches=BATCHES, spec=SPEC, **options):
    path = tmp_path / ENDINGS.get(format_name, "directory")
    with open_writer(path, format_name, MANIFEST, spec, dtype, **options) as writer:
        for batch in batches:
            writer.write(batch)
    return path


def check_manifest(manifest, format_name, dtype, arrays=SPEC):
    assert manifest.items() >= MANIFEST.items()
    assert (manifest["format"], manifest["dtype"], manifest["rnncli"]) == (format_name, dtype, __version__)
    assert manifest["examples"] == 5
    assert manifest["arrays"] == {name: [5, *shape] for name, shape in arrays.items()}
    assert manifest["left_out"] == [name for name in SPEC if name not in arrays]
