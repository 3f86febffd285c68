"""Data that is none: one line that names file and line, status 2, and nothing new on the disk."""

import gzip
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from bad_input import assert_one_error, assert_refused, rnncli, tree, unprivileged

from rnncli.config import load_config
from rnncli.errors import InputError
from rnncli.files import open_plain
from rnncli.training.inputs import TrainingInputs

CONFIGS = {
    "pairs": """
task: {type: pairs, train: bad, validation: good, max_source_length: 12, max_target_length: 12}
model: {type: encoder_decoder, encoder: {units: 4}, decoder: {units: 4}}
""",
    "classify": """
task: {type: classify, train: bad, validation: good, max_length: 12, tokenize: characters}
model: {type: classifier, units: 4}
""",
    "text": "task: {type: text, train: bad, validation: good, window: 2}\nmodel: {type: next_step, units: 4}\n",
    "image_rows": "task: {type: image_rows, path: bad}\nmodel: {type: classifier, units: 4}\n",
}
LINES = ["pairs", "classify"]
TEXTS = [*LINES, "text"]
GOOD = "a\tsome\nb\tmore\n"

BAD = {
    "empty": (b"", TEXTS, ["bad: ", "bad: ", "task.train: "]),
    "only a byte order mark": ("\ufeff".encode(), TEXTS, ["bad: ", "bad: ", "task.train: "]),
    "only blank lines": (b"\n \n\t\n\r\n", LINES, ["bad: ", "bad: "]),
    "Latin-1": (b"a\tx\nb\t\xe9\n", TEXTS, ["bad:2: "] * 3),
    "UTF-16": (GOOD.encode("utf-16"), TEXTS, ["bad:1: "] * 3),
    "a NUL byte": (b"a\tx\nb\t\0\n", TEXTS, ["bad:2: "] * 3),
    "one column": (b"a\tx\nb\n", LINES, ["bad:2: ", "bad:2: "]),
    "three columns": (b"a\tx\nb\ty\tz\n", LINES, ["bad:2: ", "bad:2: "]),
    "no first column": (b"a\tx\n\ty\n", LINES, ["bad:2: ", "bad:2: "]),
    "no second column": (b"a\tx\nb\t\n", LINES, ["bad:2: ", "bad:2: "]),
    "too long": (
        b"a\tx\nb\t" + b"y" * 13 + b"\n",
        LINES,
        ["bad:2: ", "bad:2: "],
    ),
    "one huge line": (
        b"b\t" + b"y" * 3_000_000,
        LINES,
        ["bad:1: ", "bad: "],
    ),
    "too short": (b"ab", ["text"], ["task.train: "]),
    "half a gzip file": (gzip.compress(GOOD.encode())[:-9], TEXTS, ["bad: "] * 3),
    "a bomb": (gzip.compress(bytes(65 * 2**20), 9), TEXTS, ["more than 67,108,864"] * 3),
    "no archive": (b"PK\x03\x04", ["image_rows"], ["bad: "]),
}
CASES = [
    pytest.param(content, task, words[tasks.index(task)], id=f"{name}-{task}")
    for name, (content, tasks, words) in BAD.items()
    for task in tasks
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("good").write_text(GOOD)
    return tmp_path


@pytest.mark.parametrize(("content", "task", "words"), CASES)
def test_data_that_is_none_is_refused_by_file_and_line(folder, content, task, words):
    Path("c.yaml").write_text(CONFIGS[task])
    Path("bad").write_bytes(content)
    before = tree(folder)
    assert_refused(rnncli("train", "c.yaml"), words)
    assert tree(folder) == before


@pytest.mark.parametrize("task", TEXTS)
def test_the_file_to_measure_on_is_read_before_training(folder, task):
    swapped = CONFIGS[task].replace("train: bad", "train: good").replace("validation: good", "validation: bad")
    Path("c.yaml").write_text(swapped)
    Path("bad").write_bytes(b"a\tx\nb\t\xff\n")
    before = tree(folder)
    assert_refused(rnncli("train", "c.yaml"), "bad:2: ")
    assert tree(folder) == before


def link_to_itself(path):
    path.symlink_to(path)


def endless(path):
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("task", CONFIGS)
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "bad: "),
        (Path.mkdir, "bad: "),
        (link_to_itself, "bad: "),
        (endless, "bad: "),
        (os.mkfifo, "bad: "),
    ],
    ids=["missing", "directory", "link to itself", "device", "FIFO"],
)
def test_what_is_no_file_is_refused_by_its_name_and_not_waited_for(folder, task, make, words):
    Path("c.yaml").write_text(CONFIGS[task])
    make(folder / "bad")
    before = tree(folder)
    assert_refused(rnncli("train", "c.yaml"), words)
    assert tree(folder) == before


@pytest.mark.parametrize("task", CONFIGS)
def test_data_that_may_not_be_read_is_named(task, monkeypatch):
    rnncli("train", "none.yaml")  # imports what it needs, as a user who may read that
    with unprivileged() as folder:
        monkeypatch.chdir(folder)
        Path("good").write_text(GOOD)
        Path("c.yaml").write_text(CONFIGS[task])
        Path("bad").touch(0o000)
        before = tree(folder)
        assert_refused(rnncli("train", "c.yaml"), ["bad: ", "Permission denied"])
        assert tree(folder) == before
        monkeypatch.undo()


def test_names_do_nothing_to_the_terminal(folder):
    Path("c.yaml").write_text(CONFIGS["text"].replace("bad", '"\\e[2J\\e]0;x\\a"'))
    assert_refused(rnncli("train", "c.yaml"), "error: \\x1b[2J\\x1b]0;x\\x07: no ")


def npz(**changes):
    arrays = {
        "x_train": np.zeros((2, 28, 28), np.uint8),
        "y_train": np.arange(2),
        "x_test": np.zeros((2, 28, 28), np.uint8),
        "y_test": np.arange(2),
    } | changes
    data = io.BytesIO()
    np.savez_compressed(data, **{name: array for name, array in arrays.items() if array is not None})
    return data.getvalue()


def declaring(shape):
    """An mnist.npz whose first array claims a shape of which nothing is there."""
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, {"descr": "|u1", "fortran_order": False, "shape": shape})
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("x_train.npy", array.getvalue())
    return data.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (npz(y_train=None), "bad: "),
        (npz(x_train=np.zeros((2, 28, 28))), "bad: "),
        (npz(x_train=np.array([{}], object)), "bad: "),
        (npz(y_test=np.arange(3)), "bad: "),
        (npz(x_test=np.zeros((2, 8, 8), np.uint8)), "bad: "),
        (declaring((10**12, 28, 28)), "bad: "),
        (npz(x_train=np.zeros((90_000, 28, 28), np.uint8)), "bad: "),
        (npz()[:-30], "bad: "),
    ],
    ids=["missing", "floats", "pickled", "too many", "other sizes", "declared", "bomb", "cut"],
)
def test_images_that_are_none_are_refused(folder, content, words):
    Path("c.yaml").write_text(CONFIGS["image_rows"])
    Path("bad").write_bytes(content)
    assert_refused(rnncli("train", "c.yaml"), words)
    assert sorted(path.name for path in folder.iterdir()) == ["bad", "c.yaml", "good"]


def test_a_batch_of_a_stateful_model_larger_than_the_data_is_refused_with_sizes_that_fit(folder):
    Path("c.yaml").write_text(
        "task: {type: text, train: good, validation: good, window: 2}\n"
        "model: {type: next_step, units: 4, stateful: true}\ntraining: {batch_size: 1000}\n"
    )
    before = tree(folder)
    assert_refused(rnncli("train", "c.yaml"), ["training.batch_size: ", "6"])
    assert tree(folder) == before


@pytest.mark.parametrize("task", TEXTS)
def test_a_pipe_is_read_whole_and_once(folder, task):
    text = CONFIGS[task].replace("train: bad", "train: /dev/stdin").replace("validation: good", "validation: bad")
    Path("c.yaml").write_text(text)
    Path("bad").write_bytes(b"a\t\xff\n")  # so that it ends once the pipe was read, before TensorFlow
    command = [sys.executable, "-m", "rnncli", "train", "c.yaml"]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""}
    ended = subprocess.run(command, input=GOOD * 9000, capture_output=True, text=True, check=False, env=environment)
    assert ended.returncode == 2
    assert_one_error(ended.stderr, "bad:1: ")


def test_a_vocabulary_that_no_run_can_hold_is_refused_before_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rnncli.data.vocabulary.MAX_VOCABULARY", 2**11)
    words = "".join(f"word{number} x\ty\n" for number in range(200))
    (tmp_path / "bad").write_text(words)
    (tmp_path / "good").write_text(GOOD)
    (tmp_path / "c.yaml").write_text(CONFIGS["pairs"].replace("type: pairs", "type: pairs, tokenize: whitespace"))
    assert_refused(rnncli("train", "c.yaml", "--run-dir", "run"), ["vocabularies", "2,048"])
    assert not (tmp_path / "run").exists()
    (tmp_path / "bad").write_text("a\tb\n")
    TrainingInputs.read(load_config("c.yaml"))


@pytest.mark.parametrize("path", ["/proc/kmsg", "/proc/self/mounts"])
def test_a_stream_of_the_kernel_is_no_file(tmp_path, path):
    """The second always has something to read; the first blocks if it has been read to the end."""
    if not os.access(path, os.R_OK):
        pytest.skip("needs Linux, and for the first root")
    with pytest.raises(InputError, match="not a regular file"):
        open_plain(Path(path))
    (tmp_path / "empty").touch()
    with open_plain(tmp_path / "empty") as file:
        assert file.read() == b""
