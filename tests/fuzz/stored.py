"""Files of states and of runs: sound ones, their mutants, and how these are read."""

import contextlib
import hashlib
import io
import json
import math
import shutil
import sys
import zipfile
from functools import partial
from itertools import chain
from pathlib import Path

import h5py
import numpy as np
from hypothesis import strategies as st
from mutate import mutants

from rnncli.config import parse_config
from rnncli.data.tasks import build_task
from rnncli.data.vocabulary import vocabulary_digest
from rnncli.errors import InputError
from rnncli.runs.checkpoints import OPTIMIZER, STATES, WEIGHTS, format_record
from rnncli.runs.directory import RunDir
from rnncli.runs.train_state import TrainState
from rnncli.runs.verification import Verification
from rnncli.states.batch import StateBatch
from rnncli.states.export import open_writer
from rnncli.states.final_states import check_states, write_final_states
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
    batch = file.read()
    for text in chain(batch.sources, batch.predictions, *batch.source_tokens, *batch.target_tokens):
        assert max(map(ord, text), default=0) <= sys.maxunicode
        text.encode()


def read_final_states(data):
    Path("states").write_bytes(data)
    file = read_states("states")
    check_states(file, {"decoder/0/forward/h": (2,)}, IDENTITY)
    assert file.final["decoder/0/forward/h"].shape == (2, 2)


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
        "task: {type: alphabet, window: 2}\nmodel: {type: next_step, units: 2, stateful: true}\n"
        "training: {batch_size: 5}\n",
        "c.yaml",
    )
    shutil.rmtree("sound", ignore_errors=True)
    run, task = RunDir.create(Path("sound"), settings), build_task(settings)
    run.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
    run.write_manifest({"vocabulary": vocabulary_digest(task.source_vocabulary, task.target_vocabulary)})
    metrics = {"epoch": 1, "step": 7, "loss": 0.5, "exact_match": 0.5}
    run.append_metrics(metrics)
    some = {"kernel": np.ones((64, 3), np.float32), "bias": np.zeros(3, np.float32)}
    state = TrainState(step=7, metrics=metrics)
    run.save_checkpoint(state, {WEIGHTS: some, OPTIMIZER: some, STATES: some}, True)
    return {str(p.relative_to(run.path)): p.read_bytes() for p in run.path.rglob("*") if p.is_file()}


def read_run(sound, name, data, recorded):
    """A run with another file in it, whose digest checkpoint.json tells if it is `recorded`."""
    folder = Path("run")
    files = {**sound, name: data}
    if recorded and name.endswith(".safetensors"):
        values = json.loads(sound[f"{STEP}/checkpoint.json"])
        values["sha256"][Path(name).name] = hashlib.sha256(data).hexdigest()
        files[f"{STEP}/checkpoint.json"] = format_record(values)
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    run = RunDir(folder)
    checked = Verification(run)
    with contextlib.suppress(InputError):
        run.checkpoints.newest_sound()  # as resuming does
    run.load()
    if not checked.valid:
        raise InputError("verify found it")


STEP = "checkpoints/00000007"
SIZES = st.sampled_from([0, 1, 1, 1, 2, 3, 64, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64])
SHAPES = st.lists(SIZES, max_size=5) | st.lists(st.sampled_from([0, 1]), min_size=30, max_size=120)


def with_shape(head, number, shape, rest):
    """A safetensors file, one of whose arrays has another shape, and as many bytes as it needs if these are few."""
    header = json.loads(head)
    entry = [value for name, value in header.items() if name != "__metadata__"][number]
    size = math.prod(shape) * 4
    begin = entry["data_offsets"][0]
    entry["shape"] = shape
    entry["data_offsets"] = [begin, begin + size]
    return with_header(json.dumps(header).encode(), rest[:begin] + bytes(min(size, 4096)))


def tensors(data):
    """A strategy of mutants of a safetensors file: of its bytes, of its header, and of the shapes in it."""
    head, rest = of_header(data)
    count = len([name for name in json.loads(head) if name != "__metadata__"])
    shaped = st.builds(with_shape, st.just(head), st.integers(0, count - 1), SHAPES, st.just(rest))
    return mutants([data]) | st.builds(with_header, mutants([head], "json"), st.just(rest)) | shaped


def characters(member):
    """A strategy of mutants of an npy file of text: any numbers in place of code points."""
    start = 10 + int.from_bytes(member[8:10], "little")
    number = st.sampled_from([0, 0x41, 0x1B, 0xD800, 0xDFFF, 0xFFFF, 0x10FFFF, 0x110000, 2**31, 2**32 - 1])
    size = (len(member) - start) // 4
    texts = st.lists(number, min_size=size, max_size=size)
    return texts.map(lambda numbers: member[:start] + b"".join(each.to_bytes(4, "little") for each in numbers))


def of_npz():
    data = exported("npz")
    parts = members(data)
    changed = [
        st.tuples(st.just(read_archive), st.just(parts), st.just(name), mutants([part]))
        for name, part in parts.items()
    ]
    changed += [
        st.tuples(st.just(read_archive), st.just(parts), st.just(name), characters(part))
        for name, part in parts.items()
        if b"<U" in part[:128]
    ]
    return st.one_of(st.tuples(st.just(read_state_file), mutants([data])), *changed)


def of_hdf5():
    data = exported("hdf5")
    with h5py.File("sound.h5") as opened:
        manifest = bytes(opened["manifest"][()])
    return st.tuples(st.just(read_state_file), mutants([data])) | st.tuples(
        st.just(read_hdf5), st.just(data), mutants([manifest], "json")
    )


def of_runs(wanted):
    """Return a strategy of runs in which a file of those wanted is another one."""
    files = run_files()
    chosen = []
    for name, data in files.items():
        if not name.endswith(wanted):
            continue
        kind = {".json": "json", ".yaml": "yaml"}.get(Path(name).suffix)
        made = tensors(data) if name.endswith(".safetensors") else mutants([data], kind)
        chosen.append(st.tuples(st.just(read_run), st.just(files), st.just(name), made, st.booleans()))
    return st.one_of(*chosen)


READERS = {
    "npz": of_npz,
    "hdf5": of_hdf5,
    "safetensors": lambda: st.tuples(st.just(read_state_file), tensors(exported("safetensors"))),
    "final states": lambda: st.tuples(st.just(read_final_states), tensors(final())),
    "checkpoint arrays": lambda: of_runs(".safetensors"),
    **{
        name: partial(of_runs, name)
        for name in ("config.yaml", "manifest.json", "vocabulary.json", "checkpoint.json", "metrics.jsonl")
    },
    "pointers": lambda: of_runs(("best", "last")),
}
"""Name of a kind of files of states and of runs to a maker of a strategy of a function with its arguments."""
