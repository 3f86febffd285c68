"""Configs that are none: one line that names file and key or line, status 2, and nothing new on the disk."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from bad_input import assert_refused, rnncli, tree, unprivileged

from rnncli.config.yaml_reader import MAX_BYTES

ROOT = Path(__file__).parents[2]
GOOD = "task: {type: addition, digits: 2, examples: 400, held_out: 50}\nmodel: encoder_decoder\n"

CONFIGS = {
    "malformed": ("task: [addition\n", "c.yaml:1: "),
    "empty": ("", "c.yaml:1: "),
    "only a comment": ("# nothing\n", "c.yaml:1: "),
    "only blank lines": ("\n\n\n", "c.yaml:1: "),
    "several documents": (f"{GOOD}---\n{GOOD}", "c.yaml:3: "),
    "a list": ("- task: addition\n", "c.yaml:1: "),
    "a word": ("addition\n", "c.yaml:1: "),
    "Latin-1": (GOOD.encode() + b"# \xe9\n", "c.yaml:3: "),
    "UTF-16": (GOOD.encode("utf-16"), "c.yaml:1: "),
    "UTF-16 without a byte order mark": (GOOD.encode("utf-16-le"), "c.yaml:1: "),
    "UTF-32": (GOOD.encode("utf-32"), "c.yaml:1: "),
    "unknown key": (f"{GOOD}training: {{epocs: 3}}\n", ("c.yaml:3: training.epocs: ", "training.epochs?")),
    "duplicate key": (f"{GOOD}task: addition\n", "c.yaml:3: task: "),
    "wrong type": (f"{GOOD}training: {{epochs: [3]}}\n", "c.yaml:3: training.epochs: "),
    "a mapping for a number": (f"{GOOD}training: {{epochs: {{a: 1}}}}\n", "c.yaml:3: training.epochs: "),
    "no for a string": (
        "task: {type: alphabet, alphabet: 123}\nmodel: next_step\n",
        "c.yaml:1: task.alphabet: ",
    ),
    "no for false": (
        f"{GOOD}training: {{csv_log: no}}\n",
        ("c.yaml:3: training.csv_log: ", "false?"),
    ),
    "NaN": (f"{GOOD}training: {{learning_rate: .nan}}\n", "c.yaml:3: training.learning_rate: "),
    "infinite": (
        f"{GOOD}training: {{clip_norm: .inf}}\n",
        "c.yaml:3: training.clip_norm: ",
    ),
    "too large for a float": (f"{GOOD}training: {{clip_norm: 1e999}}\n", "c.yaml:3: training.clip_norm: "),
    "negative": (
        f"{GOOD}training: {{epochs: -3}}\n",
        "c.yaml:3: training.epochs: ",
    ),
    "huge": (f"{GOOD}training: {{batch_size: {10**99}}}\n", "c.yaml:3: training.batch_size: "),
    "huge units": (f"{GOOD}runtime: {{cores: 1e18}}\n", "c.yaml:3: runtime.cores: "),
    "more digits than are read": (
        f"{GOOD}training: {{epochs: {'9' * 5000}}}\n",
        "c.yaml:3: training.epochs: ",
    ),
    "larger than a config is": ("#" * (MAX_BYTES + 1), "c.yaml:1: "),
    "deep": ("[" * MAX_BYTES, "c.yaml:1: "),
    "wide": (f"{GOOD}x: [{'1,' * 20_000}]\n", "c.yaml:3: "),
    "a bomb of aliases": ("a: &a [x]\nb: [*a, *a]\n", "c.yaml:1: a: "),
    "a tag": ("task: !!python/object/apply:os.system [ls]\n", "c.yaml:1: task: "),
    "a control character": (f"{GOOD}# \x1b[2J\n", "c.yaml:3: "),
    "a name longer than names are": (
        f"task: {{type: text, train: {'x' * 9999}, validation: v}}\nmodel: next_step\n",
        ("c.yaml:1: task.train: ", "at most 4096"),
    ),
    "a long value": (f"{GOOD}training: {{optimizer: {'x' * 99_999}}}\n", "c.yaml:3: training.optimizer: "),
}


@pytest.mark.parametrize("command", ["train", "summary"])
@pytest.mark.parametrize(("content", "words"), CONFIGS.values(), ids=CONFIGS)
def test_a_config_that_is_none_is_refused(tmp_path, monkeypatch, command, content, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    before = tree(tmp_path)
    assert_refused(rnncli(command, "c.yaml"), words)
    assert tree(tmp_path) == before
    text = (tmp_path / "c.yaml").read_bytes()
    words = [word.replace("c.yaml:", "<stdin>:") for word in ([words] if isinstance(words, str) else words)]
    assert_refused(rnncli(command, "-", text=text), words)


def directory(path):
    path.mkdir()


def link_to_itself(path):
    path.symlink_to(path)


def link_to_nothing(path):
    path.symlink_to("nothing")


def endless(path):
    path.symlink_to("/dev/zero")


def listening(path):
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(path.name)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "c.yaml: no such file"),
        (directory, "c.yaml: is a directory"),
        (link_to_itself, "c.yaml: cannot be read: "),
        (link_to_nothing, "c.yaml: no such file"),
        (endless, "c.yaml:1: "),
        (os.mkfifo, "c.yaml:1: "),
        (listening, "c.yaml: cannot be read: "),
    ],
)
def test_what_is_no_file_is_refused_by_its_name_and_not_waited_for(tmp_path, monkeypatch, make, words):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "c.yaml")
    before = tree(tmp_path)
    assert_refused(rnncli("train", "c.yaml"), words)
    assert tree(tmp_path) == before


def test_a_config_that_may_not_be_read_is_named():
    with unprivileged() as folder:
        config = folder / "c.yaml"
        config.touch(0o000)
        assert_refused(rnncli("validate", config), f"{config}: cannot be read: Permission denied")
        assert list(folder.iterdir()) == [config]


@pytest.mark.parametrize(
    "text", ["\ufeff" + GOOD, GOOD.replace("\n", "\r\n"), GOOD.rstrip("\n"), f"---\n{GOOD}...\n"]
)
def test_what_editors_leave_is_accepted(tmp_path, text):
    (tmp_path / "c.yaml").write_bytes(text.encode())
    assert rnncli("validate", tmp_path / "c.yaml").exit_code == 0


BOMBS = r"""
import sys
from pathlib import Path
from rnncli.config import parse_config
from rnncli.errors import ConfigError

def megabytes():
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024

most = 2**20
try:
    parse_config("x: 1", "c.yaml")
except ConfigError:
    pass
before = megabytes()
for bomb in (
    "[" * most, "{" * most, "- " * (most // 2), "? " * (most // 2), "a: " * (most // 3), "[]," * (most // 3),
    "x: [" + "[]," * (most // 3 - 3) + "]", "x: [" + "1," * (most // 2 - 4) + "]", "---\n" * (most // 4),
    "".join(f"k{n}: 1\n" for n in range(most // 12)), "a: " + "9" * (most - 3), "a: '" + "x" * (most - 5) + "'",
    "a: \"" + "\\n" * (most // 2 - 4) + "\"", "#" * most, "\n" * most, " " * most, "é" * (most // 2), b"\xff" * most,
    "a: &a [x]\n" + "b: *a\n" * 9, "%YAML 1.2\n" * (most // 10), "\u2028" * (most // 3), "😀: 1\n" * (most // 8),
):
    try:
        parse_config(bomb, "c.yaml")
    except ConfigError as error:
        assert len(error.message) < 8000
    else:
        raise SystemExit(f"accepted {bomb[:20]!r}")
print(megabytes() - before)
"""


def test_no_document_takes_more_than_100_megabytes():
    ended = subprocess.run([sys.executable, "-c", BOMBS], capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert float(ended.stdout) < 100


@pytest.mark.parametrize("name", ["words.tsv", "words", "words.csv", "words.txt"])
def test_data_in_place_of_a_config_leads_to_init(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_text("cat\ttac\ndog\tgod\n")
    result = rnncli("train", name)
    assert_refused(result, name)
    assert f"rnncli init {name}" in result.stderr


def test_misspelt_file_is_found_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.yaml", "words.tsv"):
        Path(name).touch()
    assert "mine.yaml?" in rnncli("train", "mine.yml").stderr
    asked = rnncli("init", "wrods.tsv", "--split", "0.1").stderr
    assert "words.tsv?" in asked
    assert "config" not in rnncli("init", "nothing.like.it", "--split", "0.1").stderr
