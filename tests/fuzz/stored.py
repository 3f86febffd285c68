"""Files of states and of runs: sound ones, their mutants, and how these are read."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
from hypothesis import strategies as st
from mutate import mutants

from rnncli.config import parse_config
from rnncli.data.tasks import build_task
from rnncli.runs.checkpoints import OPTIMIZER, STATES, WEIGHTS
from rnncli.runs.directory import RunDir
from rnncli.runs.train_state import TrainState
from rnncli.states.batch import StateBatch
from rnncli.states.export import open_writer
from rnncli.states.final_states import write_final_states
from rnncli.states.reader import read_states

IDENTITY = {"cell": "lstm", "weights_digest": "a" * 64, "vocabulary_digest": "b" * 64}
SPEC = {"encoder/0/forward/h": (3, 2), "encoder/0/forward/final/h": (2,)}
ENDINGS = {"npz": ".npz", "hdf5": ".h5", "safetensors": ".safetensors"}


def members(npz):
    with zipfile.ZipFile(io.BytesIO(npz)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def exported(name):
    """The bytes of an export."""
    lengths, tokens = np.array([3, 2], np.int32), [["a", "b", "c"], ["d", "é"]]
    arrays = {"encoder/0/forward/h": np.full((2, 3, 2), 0.25), "encoder/0/forward/final/h": np.full((2, 2), 0.5)}
    path = Path(f"sound{ENDINGS[name]}")
    with open_writer(path, name, IDENTITY, SPEC, overwrite=True) as states:
        states.write(StateBatch(["abc", "dé"], ["x", "y"], tokens, tokens, lengths, lengths, arrays))
    return path.read_bytes()


def final():
    """The bytes of a file of final states."""
    write_final_states("final", {"decoder/0/forward/h": np.ones((2, 2))}, IDENTITY, overwrite=True)
    return Path("final").read_bytes()


def of_header(data):
    """Return the header of a safetensors file, and the rest."""
    size = int.from_bytes(data[:8], "little")
    return data[8 : 8 + size], data[8 + size :]


def with_header(header, rest):
    return len(header).to_bytes(8, "little") + header + rest


def read_state_file(data):
    Path("states").write_bytes(data)
    file = read_states("states")
    for name in file.arrays:
        file.array(name)
    file.read()


def read_archive(npz, member, data):
    """An npz of states with another member in it, and the right checksums."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, old in npz.items():
            archive.writestr(name, data if name == member else old)
    read_state_file(out.getvalue())


def read_hdf5(sound, manifest):
    """An HDF5 file with another manifest."""
    Path("changed").write_bytes(sound)
    with h5py.File("changed", "a") as file:
        del file["manifest"]
        file.create_dataset("manifest", data=manifest or b" ", dtype=h5py.string_dtype("utf-8", len(manifest) or 1))
    read_state_file(Path("changed").read_bytes())


def run_files():
    """The files of a run, by their paths in it."""
    settings = parse_config(
        "task: {type: alphabet, window: 2}\nmodel: {type: next_step, stateful: true}\ntraining: {batch_size: 5}\n",
        "c.yaml",
    )
    run, task = RunDir.create(Path("sound"), settings), build_task(settings)
    run.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
    some = {"kernel": np.ones((2, 3), np.float32), "bias": np.zeros(3, np.float32)}
    state = TrainState(step=7, metrics={"loss": 0.5})
    run.save_checkpoint(state, {WEIGHTS: some, OPTIMIZER: some, STATES: some}, True)
    return {str(p.relative_to(run.path)): p.read_bytes() for p in run.path.rglob("*") if p.is_file()}


def read_run(sound, name, data, recorded):
    """A run with another file in it, whose digest checkpoint.json tells if it is `recorded`."""
    folder = Path("run")
    files = {**sound, name: data}
    if recorded and name.endswith(".safetensors"):
        values = json.loads(sound[f"{STEP}/checkpoint.json"])
        values["sha256"][Path(name).name] = hashlib.sha256(data).hexdigest()
        files[f"{STEP}/checkpoint.json"] = json.dumps(values).encode()
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    RunDir(folder).load()


STEP = "checkpoints/00000007"


def stored():
    """Mutants of all files of states and of runs."""
    npz, hdf5, tensors, files = exported("npz"), exported("hdf5"), exported("safetensors"), run_files()
    parts = members(npz)
    with h5py.File("sound.h5") as opened:
        manifest = bytes(opened["manifest"][()])
    headers = []
    for data, read in ((tensors, read_state_file), (final(), read_state_file)):
        head, rest = of_header(data)
        made = st.builds(with_header, mutants([head], "json"), st.just(rest))
        headers.append(st.tuples(st.just(read), made))
    weights = f"{STEP}/{WEIGHTS}"
    head, rest = of_header(files[weights])
    made = st.builds(with_header, mutants([head], "json"), st.just(rest))
    return st.one_of(
        *(st.tuples(st.just(read_state_file), mutants([data])) for data in (npz, hdf5, tensors, final())),
        *headers,
        *(
            st.tuples(st.just(read_archive), st.just(parts), st.just(name), mutants([data]))
            for name, data in parts.items()
        ),
        st.tuples(st.just(read_hdf5), st.just(hdf5), mutants([manifest], "json")),
        st.tuples(st.just(read_run), st.just(files), st.just(weights), made, st.booleans()),
        *(
            st.tuples(
                st.just(read_run),
                st.just(files),
                st.just(name),
                mutants([data], {".json": "json", ".yaml": "yaml"}.get(Path(name).suffix)),
                st.booleans(),
            )
            for name, data in files.items()
            if OPTIMIZER not in name
        ),
    )
