"""Targets of fuzzing: for each kind of file, the mutants and the function that reads them.

A target is a strategy and a function; the function reads a mutant, in the current directory, as a command would. It
returns normally, or raises an `InputError`; whatever else comes out of it is a bug.
"""

import contextlib
import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from hypothesis import strategies as st
from mutate import mutants
from stored import READERS, members

from rnncli.cli.input_lines import open_lines
from rnncli.cli.main import main
from rnncli.config import dump_config, parse_config
from rnncli.data.parsing import read_examples, read_sources
from rnncli.data.tasks import build_task
from rnncli.errors import DataError, InputError

ROOT = Path(__file__).parent.parent.parent


def rnncli(*arguments, longest=0):
    """A command that must succeed, or refuse what it was given in a few short lines.

    A line may name a path, which is not cut: as long as the `longest` one that was given.
    """
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
    assert max(map(len, lines)) < 500 + longest
    raise InputError(lines[0])


# Configs

MODELS = {
    "encoder_decoder": "encoder_decoder, encoder: {embedding: 3, bidirectional: true, merge: sum}, bridge: dense",
    "repeat_vector": "repeat_vector, cell: gru, encoder: {recurrent_dropout: 0.1}",
    "next_step": "next_step, cell: simple_rnn, stateful: true, reset: never",
    "classifier": "classifier, symbols: number, pooling: mean, bidirectional: true, merge: ave",
    "two texts": "classifier, cell: [gru, lstm], units: [3, 4], encoder: {layers: 2, dropout: 0.1}",
    "custom": "classifier, cell: {type: custom, class: 'a.b:C', x: [1, {y: 2.5}]}",
}
TASKS = {
    "addition": ("addition", "encoder_decoder"),
    "reversed": ("addition, digits: 2, examples: 100, held_out: 10, reverse: false", "repeat_vector"),
    "alphabet": ("alphabet, alphabet: ABCDEFG, window: 1", "next_step"),
    "classify": ("classify, train: a, validation: b, tokenize: characters", "classifier"),
    "two texts": ("classify, texts: 2, train: a, validation: b, max_length: 9", "two texts"),
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
    rnncli("validate", "c.yaml", longest=max(map(len, data.splitlines()), default=0))


# Data

LINES = "\n".join(f"{word}\t{word.upper()}" for word in ("ab", "cdé", "f g h", "ß", "😀x", "ab")) + "\n"
FEATURES = "".join(f"{word}\t{word.upper()}\tN;PL\n" for word in ("ab", "cdé", "x"))
LABELLED = "".join(f"{'good' if n % 2 else 'bad'}\tthe film was {'long ' * n}\n" for n in range(6))
TWO_TEXTS = LABELLED.replace("the film", "a film\tthe film").replace("bad", "unrelated").replace("good", "cognate")
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
    "two texts": (
        config("classify, texts: 2, train: train, validation: validation", "{type: classifier, encoder: {}}"),
        TWO_TEXTS,
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
        ("two texts", ("classify, texts: 2, max_length: 9", "{type: classifier, encoder: {}}"), TWO_TEXTS),
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


TARGETS = {
    "configs": lambda: st.tuples(st.just(read_config), mutants(SHIPPED + OF_EVERY_KEY, "yaml")),
    "data": lambda: DATA,
    **READERS,
    "stored": lambda: st.one_of(*(make() for make in READERS.values())),
}
"""Name to a maker of a strategy of functions with their arguments; made in an empty current directory."""
