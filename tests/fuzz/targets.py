"""What is fuzzed: for each kind of file the mutants, and how they are read.

A target is a strategy and a function; the function reads a mutant, in the current directory, as a command would. It
returns normally, or raises an `InputError`; whatever else comes out of it is a bug.
"""

import contextlib
import gzip
import hashlib
import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
from click.testing import CliRunner
from hypothesis import strategies as st
from mutate import mutants

from rnncli.checkpoints import OPTIMIZER, STATES, WEIGHTS
from rnncli.cli.lines import open_lines
from rnncli.cli.main import main
from rnncli.config import dump_config, parse_config
from rnncli.errors import DataError, InputError
from rnncli.rundir import RunDir
from rnncli.states import StateBatch, open_writer, read_states, write_final_states
from rnncli.tasks import build_task, read_examples, read_sources

ROOT = Path(__file__).parent.parent.parent


def rnncli(*arguments):
    """A command that must succeed, or refuse what it was given in a few short lines."""
    result = CliRunner().invoke(main, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code == 0:
        return
    assert result.exit_code == 2, result.stderr
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert lines[0].startswith("error: ")
    assert len(lines) <= 25
    assert max(map(len, lines)) < 500
    raise InputError(lines[0])


# Configs

MODELS = {
    "encoder_decoder": "encoder_decoder, encoder: {embedding: 3, bidirectional: true, merge: sum}, bridge: dense",
    "repeat_vector": "repeat_vector, cell: gru, encoder: {recurrent_dropout: 0.1}",
    "next_step": "next_step, cell: simple_rnn, stateful: true, reset: never",
    "classifier": "classifier, symbols: number, pooling: mean, bidirectional: true, merge: ave",
    "custom": "classifier, cell: {type: custom, class: 'a.b:C', x: [1, {y: 2.5}]}",
}
TASKS = {
    "addition": ("addition", "encoder_decoder"),
    "reversed": ("addition, digits: 2, examples: 100, held_out: 10, reverse: false", "repeat_vector"),
    "alphabet": ("alphabet, alphabet: ABCDEFG, window: 1", "next_step"),
    "classify": ("classify, train: a, validation: b, tokenize: characters", "classifier"),
    "text": ("text, train: a, validation: b", "next_step"),
    "images": ("image_rows, path: a", "custom"),
    "nested": ("nested", "custom"),
    "pairs": (
        "pairs, train: {file: a}, validation: b, test: c, columns: {source: 1, target: 3, features: 2, count: 4}, "
        "features: joined, tokenize: {source: graphemes, target: bytes}, normalize: nfkc, vocabulary: r",
        "encoder_decoder",
    ),
    "parallel": ("pairs, train: {source: a, target: b}, validation: {source: c, target: d}", "encoder_decoder"),
}
REST = (
    "training: {epochs: 2, batch_size: 6, clip_norm: 1.0, early_stopping: {patience: 2}, schedule: warmup_cosine, "
    "warmup_steps: 2}\nruntime: {cores: 2}\n"
)
OF_EVERY_KEY = [
    dump_config(parse_config(f"task: {{type: {task}}}\nmodel: {{type: {MODELS[model]}}}\n{REST}", name)).encode()
    for name, (task, model) in TASKS.items()
]
SHIPPED = [path.read_bytes() for path in sorted((ROOT / "configs").glob("*.yaml"))]


def read_config(data):
    Path("c.yaml").write_bytes(data)
    rnncli("validate", "c.yaml")


# Data

LINES = "\n".join(f"{word}\t{word.upper()}" for word in ("ab", "cdé", "f g h", "ß", "😀x", "ab")) + "\n"
FEATURES = "".join(f"{word}\t{word.upper()}\tN;PL\n" for word in ("ab", "cdé", "x"))
LABELLED = "".join(f"{'good' if n % 2 else 'bad'}\tthe film was {'long ' * n}\n" for n in range(6))
TEXT = "It was the best of times,\nit was the worst of times.\n" * 4
SUMS = "1+2\t3\n12+34\t46\n99+99\n"
LETTERS = "ABC\tD\nXYZ\tA\nBCD\n"
NUMBERS = "".join(f"{','.join(['0.5'] * 26)}\t{n}\n" for n in range(3))
IMAGES = "".join(f"{' '.join(['3'] * 64)}\t{n}\n" for n in range(3))


def images():
    data = io.BytesIO()
    pixels, labels = np.arange(24, dtype=np.uint8).reshape(4, 3, 2), np.arange(4) % 2
    np.savez_compressed(data, x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    return data.getvalue()


def config(task, model):
    return parse_config(f"task: {{type: {task}}}\nmodel: {model}\n", "c.yaml")


PAIRS = "pairs, train: train, validation: validation, max_source_length: 40, max_target_length: 40"
FILES = {
    "pairs": (config(PAIRS, "encoder_decoder"), LINES),
    "skipping": (config(f"{PAIRS}, too_long: skip, min_frequency: 2", "encoder_decoder"), LINES),
    "bytes": (config(f"{PAIRS}, tokenize: bytes, normalize: none", "encoder_decoder"), LINES),
    "graphemes": (config(f"{PAIRS}, tokenize: graphemes, normalize: nfkc", "encoder_decoder"), LINES),
    "words": (config(f"{PAIRS}, tokenize: whitespace", "encoder_decoder"), LINES),
    "features": (config(f"{PAIRS}, columns: {{features: 3}}, features: joined", "encoder_decoder"), FEATURES),
    "classify": (config("classify, train: train, validation: validation", "classifier"), LABELLED),
    "letters": (
        config("classify, train: train, validation: validation, tokenize: characters", "classifier"),
        LABELLED,
    ),
    "text": (config("text, train: train, validation: validation, window: 7", "next_step"), TEXT),
}
IMAGE_FILE = config("image_rows, path: train, rows: 3, columns: 2", "classifier")
ASKED = {
    name: (build_task(config(*of)), lines)
    for name, of, lines in (
        ("addition", ("addition, digits: 2, examples: 99, held_out: 9", "encoder_decoder"), SUMS),
        ("last digit", ("addition, digits: 2, examples: 99, held_out: 9", "classifier"), SUMS),
        ("alphabet", ("alphabet", "next_step"), LETTERS),
        ("text", ("text", "next_step"), TEXT.replace(",\n", "\\n")),
        ("classify", ("classify", "classifier"), LABELLED.replace("good", "positive").replace("bad", "negative")),
        ("nested", ("nested, vector: 4, matrix: [3, 3], steps: 4, examples: 9, held_out: 3", "classifier"), NUMBERS),
        ("image_rows", ("image_rows", "classifier"), IMAGES),
    )
}


def texts(text):
    return mutants([text.encode(), ("\ufeff" + text.replace("\n", "\r\n")).encode(), gzip.compress(text.encode(), 9)])


def read_files(name, side, data):
    """A file to train on, or one to measure on beside a good one."""
    settings, good = FILES[name]
    Path("train").write_bytes(data if side == "train" else good.encode())
    Path("validation").write_bytes(data if side == "validation" else good.encode())
    build_task(settings).splits()


def read_images(data):
    Path("train").write_bytes(data)
    build_task(IMAGE_FILE).splits()


def read_lines(name, data):
    """Lines for prediction, each by itself, and lines for evaluation."""
    task, _ = ASKED[name]
    Path("lines").write_bytes(data)
    with open_lines("lines") as (_, lines):
        for line in lines:
            with contextlib.suppress(DataError):
                task.show_source(task.read_source(line))
            with contextlib.suppress(DataError):
                read_sources(task, [line], "lines")
    with open_lines("lines") as (_, lines):
        read_examples(task, lines, "lines")


def survey(data):
    """A file that `rnncli init` looks at."""
    Path("train").write_bytes(data)
    rnncli("init", "train", "--validation", "train", "-o", "drawn.yaml", "--overwrite")


def rebuilt(member, data):
    """An npz with another member in it, and the right checksums."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(images())) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, data if name == member else old.read(name))
    return out.getvalue()


def members(npz):
    with zipfile.ZipFile(io.BytesIO(npz)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


DATA = st.one_of(
    *(
        st.tuples(st.just(read_files), st.just(name), st.sampled_from(["train", "validation"]), texts(text))
        for name, (_, text) in FILES.items()
    ),
    *(st.tuples(st.just(read_lines), st.just(name), texts(text)) for name, (_, text) in ASKED.items()),
    st.tuples(st.just(survey), texts(LINES) | texts(FEATURES)),
    st.tuples(st.just(read_images), mutants([images()])),
    *(
        st.tuples(st.just(read_images), st.builds(rebuilt, st.just(name), mutants([data])))
        for name, data in members(images()).items()
    ),
)


# States and weights

IDENTITY = {"cell": "lstm", "weights_digest": "a" * 64, "vocabulary_digest": "b" * 64}
SPEC = {"encoder/0/forward/h": (3, 2), "encoder/0/forward/final/h": (2,)}
ENDINGS = {"npz": ".npz", "hdf5": ".h5", "safetensors": ".safetensors"}


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
    """What a safetensors file says of itself."""
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
    run.save_checkpoint(7, {WEIGHTS: some, OPTIMIZER: some, STATES: some}, {"metrics": {"loss": 0.5}}, True)
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


TARGETS = {
    "configs": lambda: st.tuples(st.just(read_config), mutants(SHIPPED + OF_EVERY_KEY, "yaml")),
    "data": lambda: DATA,
    "stored": stored,
}
"""Name to a maker of a strategy of functions with their arguments; made in an empty current directory."""
