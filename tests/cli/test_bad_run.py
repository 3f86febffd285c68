"""Run directories that are none, or in the way: one line that names the file, status 2, and all stays as it was."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from bad_input import RUN_CONFIG, assert_refused, made, rnncli, tree
from small_run import seal

from rnncli.runs.arrays import format_arrays
from rnncli.runs.checkpoints import STATES, WEIGHTS
from rnncli.runs.directory import RunDir

STATEFUL = """
task: {type: alphabet, alphabet: ABCDEFG, window: 1}
model: {type: next_step, units: 4, stateful: true}
training: {batch_size: 6, epochs: 1}
"""
STEP = "checkpoints/00000007/"


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return made(Path("run"), RUN_CONFIG)


def arrays(**named):
    def write(path):
        path.write_bytes(format_arrays(named))
        seal(path)

    return write


def content(data):
    def write(path):
        path.write_bytes(data if isinstance(data, bytes) else data.encode())

    return write


def recorded(data):
    def write(path):
        content(data)(path)
        seal(path)

    return write


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def link_beside(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def link_outside(path):
    path.rename("elsewhere")
    path.symlink_to(Path("elsewhere").resolve())


def directory(path):
    remove(path)
    path.mkdir()


def a_list_of_symbols(path):
    path.write_text(json.dumps({"source": ["a", "b"], "target": ["a"]}))


ODD = np.ones((2, 3), np.float32)
HEADER = b'{"kernel":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4000000000000]}}'
TYPES = b'{"kernel":{"dtype":"%s","shape":[1],"data_offsets":[0,%d]}}'


def safetensors(header, data=b""):
    return len(header).to_bytes(8, "little") + header + data


DAMAGES = [
    ("config.yaml", remove, "run: not a run directory (it has no config.yaml)"),
    ("config.yaml", content(""), "run/config.yaml:1: "),
    ("config.yaml", content("task: addition\nmodel: x\n"), "run/config.yaml:2: model: "),
    ("config.yaml", content("a: *b\n"), "run/config.yaml:1: a: "),
    ("config.yaml", directory, "run/config.yaml"),
    ("vocabulary.json", remove, "run/vocabulary.json: "),
    ("vocabulary.json", half, "run/vocabulary.json: "),
    ("vocabulary.json", content(b'{"source": "\xff"}'), "run/vocabulary.json: "),
    ("vocabulary.json", content("[" * 100_000), "run/vocabulary.json: "),
    ("vocabulary.json", content("9" * 100_000), "run/vocabulary.json: "),
    ("vocabulary.json", content('{"source": [3], "target": []}'), "run/vocabulary.json: "),
    ("vocabulary.json", a_list_of_symbols, "run/vocabulary.json: "),
    ("vocabulary.json", link_beside, "run/vocabulary.json: "),
    ("checkpoints", remove, "run: no best checkpoint"),
    ("checkpoints", link_outside, "run/checkpoints/best: "),
    ("checkpoints/best", remove, "run: no best checkpoint"),
    ("checkpoints/best", content("../../00000007"), "run: no best checkpoint"),
    ("checkpoints/best", content("/etc"), "run: no best checkpoint"),
    ("checkpoints/best", content("00000008"), f"run/{STEP.replace('7', '8')}checkpoint.json: missing"),
    (STEP[:-1], remove, f"run/{STEP}checkpoint.json: missing"),
    (STEP[:-1], link_outside, f"run/{STEP}checkpoint.json: not a regular file, or behind a link"),
    (STEP + "checkpoint.json", remove, f"run/{STEP}checkpoint.json: missing"),
    (STEP + "checkpoint.json", half, f"run/{STEP}checkpoint.json: not JSON"),
    (STEP + "checkpoint.json", content("3"), f"run/{STEP}checkpoint.json: not a JSON object"),
    (STEP + "checkpoint.json", content('{"sha256": 3}'), f"run/{STEP}checkpoint.json: damaged"),
    (STEP + WEIGHTS, remove, f"run/{STEP}{WEIGHTS}: missing"),
    (STEP + WEIGHTS, half, f"run/{STEP}{WEIGHTS}: damaged: its sha256"),
    (STEP + WEIGHTS, flipped, f"run/{STEP}{WEIGHTS}: damaged: its sha256"),
    (STEP + WEIGHTS, link_beside, f"run/{STEP}{WEIGHTS}: not a regular file, or behind a link"),
    (STEP + WEIGHTS, directory, f"run/{STEP}{WEIGHTS}: cannot be read: Is a directory"),
    (STEP + WEIGHTS, recorded(""), f"run/{STEP}{WEIGHTS}: not a safetensors file"),
    (STEP + WEIGHTS, recorded(b"\xff" * 99), f"run/{STEP}{WEIGHTS}: not a safetensors file"),
    (STEP + WEIGHTS, recorded(b"\x80\x04K\x01."), f"run/{STEP}{WEIGHTS}: not a safetensors file"),
    (STEP + WEIGHTS, recorded(safetensors(HEADER)), f"run/{STEP}{WEIGHTS}: not a safetensors file"),
    (STEP + WEIGHTS, recorded(safetensors(TYPES % (b"BF16", 2), b"\0\0")), f"run/{STEP}{WEIGHTS}: "),
    (STEP + WEIGHTS, recorded(safetensors(TYPES % (b"F8_E4M3", 1), b"\0")), f"run/{STEP}{WEIGHTS}: "),
    (STEP + WEIGHTS, arrays(kernel=ODD * np.nan), f"best: {WEIGHTS}: kernel has values that are not finite"),
    (STEP + WEIGHTS, arrays(kernel=ODD * np.inf), f"best: {WEIGHTS}: kernel has values that are not finite"),
    (STEP + WEIGHTS, arrays(kernel=ODD.astype(np.int8)), f"best: {WEIGHTS}: kernel is int8, not float32"),
    (STEP + WEIGHTS, arrays(**{"\x1b[2J": ODD}), f"best: {WEIGHTS}: no name of an array: '\\x1b[2J'"),
    (STEP + WEIGHTS, arrays(**{"x" * 9999: ODD}), f"best: {WEIGHTS}: no name of an array: 'xxxx"),
]


@pytest.mark.parametrize(("name", "damage", "words"), DAMAGES)
def test_a_damaged_run_is_refused_by_the_name_of_the_file(tmp_path, run, name, damage, words):
    damage(run / name)
    before = tree(tmp_path)
    assert_refused(rnncli("predict", "run", "1+2"), words)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "arguments", [["evaluate", "run"], ["export-states", "run", "1+2", "-o", "s.npz"], ["predict", "run", "1+2"]]
)
def test_every_command_refuses_it_before_it_writes(tmp_path, run, arguments):
    half(run / STEP / WEIGHTS)
    before = tree(tmp_path)
    assert_refused(rnncli(*arguments), f"run/{STEP}{WEIGHTS}: damaged")
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (remove, f"run/{STEP}{STATES}: missing"),
        (flipped, f"run/{STEP}{STATES}: damaged"),
        (arrays(kernel=ODD * np.nan), f"best: {STATES}: kernel has values that are not finite"),
    ],
)
def test_damaged_states_of_a_stateful_run_are_refused(tmp_path, monkeypatch, damage, words):
    monkeypatch.chdir(tmp_path)
    damage(made(Path("run"), STATEFUL) / STEP / STATES)
    before = tree(tmp_path)
    assert_refused(rnncli("predict", "run", "A"), words)
    assert tree(tmp_path) == before


def test_a_config_of_more_weights_than_there_are_is_refused_before_they_are_made(run, runtime):
    for key in ("units: 4", "layers: 1"):
        path = run / "config.yaml"
        path.write_text(path.read_text().replace(key, "units: 16384" if key[0] == "u" else "layers: 32"))
    words = "run: the weights are not those of this config: 6 numbers, not 17,180,278,784 or more"
    assert_refused(rnncli("predict", "run", "1+2"), words)


def test_weights_of_another_config_are_refused(run, runtime):
    arrays(kernel=np.ones((9, 9), np.float32))(run / STEP / WEIGHTS)
    assert_refused(rnncli("predict", "run", "1+2"), "run: the weights are not those of this config: ")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, runtime):
    """A stateful run."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "c.yaml").write_text(STATEFUL)
    result = rnncli("train", folder / "c.yaml", "--run-dir", folder / "run")
    assert result.exit_code == 0, result.stderr
    return folder / "run"


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        (WEIGHTS, lambda array: array[:-1], "not float32 ["),
        (WEIGHTS, lambda array: array[..., None], "not float32 ["),
        (STATES, lambda array: array[:, :-1], "carried states"),
        (STATES, lambda array: array[:0], "carried states"),
        (STATES, lambda array: array[0, 0], "carried states"),
    ],
)
def test_arrays_of_other_shapes_are_refused(tmp_path, monkeypatch, trained, file, change, words):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, "run")
    step = Path("run/checkpoints") / Path("run/checkpoints/best").read_text().strip()
    found = RunDir(Path("run")).checkpoints.load_arrays(file)[0]
    arrays(**{name: change(array) if array.ndim > 1 else array for name, array in found.items()})(step / file)
    before = tree(tmp_path)
    assert_refused(rnncli("predict", "run", *"ABCDEF"), words.removeprefix(": "))
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: made(Path("new"), RUN_CONFIG), "new: holds a run already; nothing was written"),
        (lambda: Path("new").write_text("mine"), "new: exists and is not an empty directory; nothing was written"),
        (lambda: Path("new").symlink_to("new"), "new: "),
        (lambda: os.mkfifo("new"), "new: exists and is not an empty directory"),
    ],
    ids=["a run", "a file", "a link to itself", "a FIFO"],
)
def test_a_place_that_is_taken_is_left_alone(tmp_path, monkeypatch, make, words):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(RUN_CONFIG)
    make()
    before = tree(tmp_path)
    assert_refused(rnncli("train", "c.yaml", "--run-dir", "new"), words)
    assert tree(tmp_path) == before
