"""`rnncli init`: what it sees in files of pairs, the config it writes, and what it never overwrites."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner
from heavy_imports import run_and_list_heavy

from rnncli.cli.commands.init import TOKENS
from rnncli.cli.main import main
from rnncli.config import Columns, load_config
from rnncli.config.pairs import Tokens
from rnncli.data.inspection import guess_columns, guess_tokens
from rnncli.data.tasks import build_task

TRAIN = "ab\tA B\nba\tB A\nab\tA B\nab\tX\nc\tC\n"


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("words.tsv").write_text(TRAIN)
    Path("dev.tsv").write_text("ab\tA B\nd\tD\n")


def init(*arguments):
    return CliRunner().invoke(main, ["init", *map(str, arguments)])


def drafted(path="config.yaml"):
    """The config that was written; its data can be read."""
    config = load_config(path)
    build_task(config).splits()
    return config


def test_it_says_what_it_saw():
    result = init("words.tsv", "--validation", "dev.tsv")
    assert (result.exit_code, result.stdout) == (0, "config.yaml\n")
    for line in (
        "words.tsv: 5 pairs; source in column 1, target in column 2",
        "  ba  ->  B A",
        "3 distinct characters, 1 of them only once; lengths 1 to 2, median 2",
        "duplicates  1 repeated pairs",
        "conflicts   1 sources with several targets, such as ab: A B / X",
        "validation  dev.tsv: 2 pairs, 1 with a source that is in training too",
    ):
        assert line in result.stderr
    assert init("words.tsv", "--validation", "dev.tsv", "-q", "--overwrite").stderr == ""


def test_what_it_writes_is_valid_and_fits_the_data():
    Path("words.tsv").write_text("a b c d e f g h\tHI\tV;PST\n" * 300)
    Path("dev.tsv").write_text("abc\tHIJ\tV\n")
    assert init("words.tsv", "--validation", "dev.tsv", "--test", "dev.tsv", "-o", "c.yaml").exit_code == 0
    task = drafted("c.yaml").task
    assert (task.tokenize.source, task.tokenize.target) == ("whitespace", "characters")
    assert (task.max_source_length, task.max_target_length) == (16, 4), "a quarter more, features counted"
    assert (task.columns.features, task.features, task.test.file) == (3, "joined", "dev.tsv")


def test_init_writes_file_names_relative_to_the_config(tmp_path, monkeypatch):
    Path("conf").mkdir()
    assert init("words.tsv", "--validation", "dev.tsv", "-o", "conf/c.yaml").exit_code == 0
    assert "  train: ../words.tsv\n" in Path("conf/c.yaml").read_text()
    monkeypatch.chdir("/")
    build_task(load_config(tmp_path / "conf/c.yaml")).splits()


def test_a_few_very_long_texts_stay_out():
    Path("words.tsv").write_text("abc\tABC\n" * 999 + "a" * 5000 + "\tA\n")
    assert init("words.tsv", "--validation", "dev.tsv").exit_code == 0
    task = drafted().task
    assert (task.max_source_length, task.too_long) == (4, "skip")


def test_a_line_with_the_names_of_columns_is_pointed_at():
    Path("named.tsv").write_text("Lemma\tForm\nsing\tsang\n")
    said = init("named.tsv", "--validation", "dev.tsv", "-o", "my config.yaml").stderr
    assert "  sing  ->  sang\n  the first line looks like a header" in said
    assert "rnncli train 'my config.yaml'\n" in said
    Path("one.tsv").write_text("sing\tsang\n")
    said = init("one.tsv", "--validation", "dev.tsv", "-o", "one.yaml").stderr
    assert "looks like a header" not in said
    assert "one.tsv: 1 pair; " in said


def test_odd_names_of_files_are_quoted():
    for number, name in enumerate(["1", "no: #file", "é.tsv", "a\nb"]):
        Path(name).write_text(TRAIN)
        assert init(name, "--validation", "dev.tsv", "-o", f"{number}.yaml").exit_code == 0
        assert drafted(f"{number}.yaml").task.train.file == name


def test_a_validation_file_is_split_off_only_if_asked():
    result = init("words.tsv")
    assert (result.exit_code, "give --validation or --split" in result.stderr) == (2, True)
    assert sorted(p.name for p in Path().iterdir()) == ["dev.tsv", "words.tsv"]
    assert init("words.tsv", "--split", "0.4").exit_code == 0
    parts = [Path(f"words.{part}.tsv").read_text().splitlines() for part in ("train", "validation")]
    assert sorted(parts[0] + parts[1]) == sorted(TRAIN.splitlines())
    sources = [{line.split("\t")[0] for line in part} for part in parts]
    assert sources[0].isdisjoint(sources[1])
    assert drafted().task.train.file == "words.train.tsv"


@pytest.mark.parametrize("there", ["config.yaml", "words.train.tsv", "words.validation.tsv"])
def test_nothing_is_overwritten_unless_asked(there):
    Path(there).write_text("mine")
    refused = init("words.tsv", "--split", "0.4")
    assert (refused.exit_code, f"{there}: " in refused.stderr) == (2, True)
    assert sorted(p.name for p in Path().iterdir()) == sorted(["dev.tsv", "words.tsv", there])
    assert Path(there).read_text() == "mine"
    assert init("words.tsv", "--split", "0.4", "--overwrite").exit_code == 0
    assert Path(there).read_text() != "mine"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["none.tsv", "--validation", "dev.tsv"], "none.tsv: "),
        (["words.tsv", "--validation", "none.tsv"], "none.tsv: "),
        (["one.tsv", "--validation", "dev.tsv"], "one.tsv: "),
        (["blank.tsv", "--validation", "dev.tsv"], "blank.tsv: "),
        (["same.tsv", "--split", "0.5"], "same.tsv: "),
        (["[dw]*.tsv", "--split", "0.5"], "[dw]*.tsv: "),
        (["words.tsv", "--validation", "dev.tsv", "--split", "0.5"], "--validation"),
        (["words.tsv", "--validation", "dev.tsv", "--columns", "1"], "--columns 1: "),
        (["words.tsv", "--validation", "dev.tsv", "--columns", "1,1"], "--columns 1,1: "),
        (["words.tsv", "--validation", "dev.tsv", "--columns", "1,3"], "words.tsv:1: "),
        (
            ["words.tsv", "--split", "0.5", "-o", "no/c.yaml"],
            "no/c.yaml: ",
        ),
        ([], "DATA"),
    ],
)
def test_what_cannot_be_used_is_refused_before_anything_is_written(arguments, problem):
    Path("one.tsv").write_text("a\nb\n")
    Path("blank.tsv").write_text("\n")
    Path("same.tsv").write_text("a\tA\na\tB\n")
    refused = init(*arguments)
    assert (refused.exit_code, problem in refused.stderr) == (2, True), refused.stderr
    assert len(list(Path().iterdir())) == 5


@pytest.mark.parametrize(
    ("lines", "columns"),
    [
        ("a\tb\n", Columns()),
        ("a\tb\tc\n", Columns(count=3)),
        ("a\tb\tV;PST\n", Columns(features=3)),
        ("a\tb\tc\tV;PST\td\n", Columns(features=4, count=5)),
        ("a\tV;PST\tb\n", Columns(source=1, target=3, features=2)),
        ("a\tb;c\n", Columns()),
    ],
)
def test_columns_are_guessed(lines, columns):
    Path("words.tsv").write_text(lines * 5)
    assert guess_columns("words.tsv") == columns


@pytest.mark.parametrize(
    ("texts", "tokens"),
    [
        (["k æ t", "d ɔ g"] * 30, "whitespace"),
        ([f"{n} May {n + 1900}" for n in range(100)], "characters"),
        (["cat", "dog"] * 30, "characters"),
    ],
)
def test_symbols_are_guessed(texts, tokens):
    assert guess_tokens(texts) == tokens


def test_chosen_columns_and_symbols_stand_in_the_config():
    Path("words.tsv").write_text("A\tx\ta\n")
    Path("dev.tsv").write_text("B\tx\tb\n")
    more = ("--tokenize-source", "bytes", "--tokenize-target", "whitespace")
    assert init("words.tsv", "--validation", "dev.tsv", "--columns", "3,1", *more).exit_code == 0
    task = drafted().task
    assert task.columns == Columns(source=3, target=1)
    assert (task.tokenize.source, task.tokenize.target) == ("bytes", "whitespace")


def test_tensorflow_is_not_imported(tmp_path):
    arguments = ["init", tmp_path / "words.tsv", "--validation", tmp_path / "dev.tsv", "-o", tmp_path / "c.yaml"]
    assert run_and_list_heavy(*arguments) == (0, [])


def test_on_a_terminal_it_asks_for_what_is_missing():
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "rnncli", "init"], stdin=its, stdout=subprocess.PIPE, stderr=its, text=True
    )
    os.write(ours, b"words.tsv\n\n")
    written, _ = process.communicate(timeout=60)
    os.close(its)
    asked = os.read(ours, 65536).decode()
    os.close(ours)
    assert (process.returncode, written) == (0, "config.yaml\n"), asked
    assert "file of pairs: " in asked
    assert "held-out file" in asked
    assert drafted().task.validation.file == "words.validation.tsv"


def test_what_it_writes_trains(runtime):
    assert init("words.tsv", "--validation", "dev.tsv").exit_code == 0
    few = ["--set", "training.epochs=1", "--set", "model.encoder.units=8", "--set", "model.decoder.units=16"]
    trained = CliRunner().invoke(main, ["train", "config.yaml", "--run-dir", "run", *few])
    assert trained.exit_code == 0, trained.stderr


def test_tokenize_options_have_the_choices_of_the_config():
    assert list(TOKENS.choices) == list(get_args(Tokens))
