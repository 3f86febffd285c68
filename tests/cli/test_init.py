"""`rnncli init`: what it sees in files of pairs, the config it writes, and what it never overwrites."""

import errno
import os
import pty
import re
import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner
from heavy_imports import run_and_list_heavy

from rnncli import files
from rnncli.cli.commands.init import TOKENS
from rnncli.cli.main import main
from rnncli.config import Columns, load_config
from rnncli.config.pairs import Tokens
from rnncli.data import splitting
from rnncli.data.table_guess import guess_columns, guess_tokens, read_first_rows
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
        "3 distinct characters, 1 of them only once",
        "lengths 1 to 2, median 2",
        "duplicates  1 repeated pairs",
        "conflicts   1 source with several targets, such as ab: A B / X",
        "validation  dev.tsv: 2 pairs",
        "1 with a source that is in training too",
    ):
        assert line in result.stderr
    assert init("words.tsv", "--validation", "dev.tsv", "-q", "--overwrite").stderr == ""


def test_what_it_writes_is_valid_and_fits_the_data():
    Path("words.tsv").write_text("a b c d e f g h\tHI\tV;PST\n" * 300)
    Path("dev.tsv").write_text("abc\tHIJ\tV\n")
    assert init("words.tsv", "--validation", "dev.tsv", "--test", "dev.tsv", "-o", "c.yaml").exit_code == 0
    config = drafted("c.yaml")
    task = config.task
    assert (task.tokenize.source, task.tokenize.target) == ("whitespace", "characters")
    assert (task.max_source_length, task.max_target_length) == (12, 4), "a quarter more"
    assert (task.columns.features, task.features, task.test.file) == (3, "encoder", "dev.tsv")
    assert config.model.copying == "none", "no target has a symbol of its source"


def test_copying_is_proposed_where_targets_have_the_symbols_of_sources():
    tags = ";".join(f"T{number}" for number in range(20))
    Path("words.tsv").write_text("".join(f"b{a}d{b}\tb{a}d{b}o\t{tags}\n" for a in "aeiu" for b in "aeo"))
    assert init("words.tsv", "--validation", "words.tsv").exit_code == 0
    config = drafted()
    assert config.model.copying == "pointer_generator"
    assert config.task.max_features == 25, "a quarter more"
    Path("words.tsv").write_text("bad\tbado\t" + ";".join(f"T{number}" for number in range(1001)))
    assert init("words.tsv", "--validation", "words.tsv", "--overwrite").exit_code == 0
    assert drafted().task.features == "joined", "an encoder of features reads 1,000"
    assert config.training.steps_per_epoch * config.training.epochs == pytest.approx(5400, rel=0.05)


@pytest.mark.parametrize("more", [(), ("--columns", "1,3,2")])
def test_separator_of_keys_and_values_is_written(more):
    Path("words.tsv").write_text("ab\tpos=V,tense=PST\tabed\n" * 30)
    Path("dev.tsv").write_text("ab\tpos=V\tabs\n")
    assert init("words.tsv", "--validation", "dev.tsv", "-o", "c.yaml", *more).exit_code == 0
    assert drafted("c.yaml").task.columns.feature_separator == ","


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


def test_a_header_line_is_left_out_and_named():
    Path("named.tsv").write_text("Lemma\tForm\nsing\tsang\n")
    said = init("named.tsv", "--validation", "dev.tsv", "-o", "my config.yaml").stderr
    assert "named.tsv: 1 pair; " in said
    assert "header line: Lemma, Form" in said
    assert "rnncli train 'my config.yaml'\n" in said
    assert len(build_task(drafted("my config.yaml")).splits()[0]) == 1
    said = init("named.tsv", "--validation", "dev.tsv", "-o", "no.yaml", "--no-header").stderr
    assert "named.tsv: 2 pairs; " in said
    assert drafted("no.yaml").task.header is False


def test_without_held_out_data_a_command_is_told_that_works():
    Path("words.tsv").write_text("a\tA\nb\tB\n")
    refused = init("words.tsv")
    assert refused.exit_code == 2
    hint = re.search(r"hint: rnncli init (.*?) holds out", refused.stderr)[1]
    assert init(*hint.split()).exit_code == 0


def test_a_split_looks_for_the_header_line_before_it_draws():
    rows = [f"w{n}\tW{n}" for n in range(40)]
    Path("plural.tsv").write_text("\n".join(["singular_form\tplural_form", *rows]))
    assert "header line: singular_form, plural_form" in init("plural.tsv", "--split", "0.5").stderr
    parts = [Path(f"plural.{part}.tsv").read_text().splitlines() for part in ("train", "validation")]
    assert sorted(parts[0] + parts[1]) == sorted(rows)
    assert drafted().task.header is False


def test_inflection_data_is_split_by_lemma_and_both_overlaps_are_counted():
    lemmas = [f"{a}{b}" for a in "bdfg" for b in "aeiou"]
    forms = [f"{lemma}\t{lemma}s\tN;{tag}" for lemma in lemmas for tag in ("PL", "SG", "DU")]
    Path("forms.tsv").write_text("\n".join(forms))
    assert init("forms.tsv", "--split", "0.3").exit_code == 0
    parts = [
        {line.split("\t")[0] for line in Path(f"forms.{part}.tsv").read_text().splitlines()}
        for part in ("train", "validation")
    ]
    assert parts[0].isdisjoint(parts[1])
    Path("held.tsv").write_text("ba\tbas\tV;X\nbe\tbes\tN;PL\nxx\txxs\tN;PL\n")
    said = init("forms.tsv", "--validation", "held.tsv", "-o", "two.yaml").stderr
    assert "2 with a source that is in training too, 1 with the same features" in said


def test_csv_is_guessed_and_split_into_tab_separated_files():
    rows = "".join(f'"say ""{n}"", twice";W{n}\n' for n in range(20))
    Path("sheet.csv").write_text("sep=;\nsource;target\n" + rows)
    assert init("sheet.csv", "--validation", "sheet.csv").exit_code == 0
    task = drafted().task
    assert task.format == "csv"
    assert 'say "0", twice' in [text.source for text in build_task(drafted()).splits()[1].texts]
    assert "sheet.csv: read as CSV" in init("sheet.csv", "--split", "0.2", "--overwrite").stderr.replace("\n  ", " ")
    assert 'say "0", twice\tW0' in (Path("sheet.train.tsv").read_text() + Path("sheet.validation.tsv").read_text())
    assert drafted().task.format == "tsv"


def test_ids_are_passed_over_and_labels_refused():
    Path("ids.tsv").write_text("".join(f"{n}\tw{n}\tW{n}\n" for n in range(3, 30)))
    said = init("ids.tsv", "--validation", "ids.tsv").stderr
    assert "source in column 2, target in column 3" in said
    assert "column 1 has rising numbers" in said
    Path("named.tsv").write_text("id\tsingular\tmany\n" + Path("ids.tsv").read_text())
    named = init("named.tsv", "--validation", "named.tsv", "--overwrite").stderr
    assert "left out the header line: id, singular, many" in named
    assert "column 1 has rising numbers" in named
    Path("labels.tsv").write_text("".join(f"{'good' if n % 9 else 'bad'}\ttext {n}\n" for n in range(40)))
    refused = init("labels.tsv", "--split", "0.5", "-o", "l.yaml")
    assert (refused.exit_code, "labels.tsv: column 1 " in refused.stderr) == (2, True)
    assert init("labels.tsv", "--split", "0.5", "--columns", "1,2", "-o", "l.yaml").exit_code == 0


def test_few_pairs_are_said_and_that_they_may_be_labels():
    Path("few.tsv").write_text("a\tb\nc\td\ne\tf\n")
    said = init("few.tsv", "--validation", "dev.tsv").stderr
    assert "few.tsv: 3 training pairs; " in said
    assert "documents" not in said
    Path("some.tsv").write_text("".join(f"{'good' if n % 2 else 'bad'}\ttext {n}\n" for n in range(6)))
    assert "documents" in init("some.tsv", "--validation", "some.tsv", "--overwrite").stderr


def test_empty_targets_and_a_few_ragged_rows_are_counted():
    Path("gaps.tsv").write_text("a\tb\tc\n" + "".join(f"w{n}\tW{n}\n" for n in range(40)) + "x\t\n")
    said = init("gaps.tsv", "--validation", "dev.tsv").stderr
    assert "skipped 1 of 42 lines with another number of columns" in said
    assert "1 pair has an empty target" in said
    task = drafted().task
    assert (task.ragged_rows, task.empty_target) == ("skip", "allow")


def test_the_report_is_at_most_80_columns_wide_and_shows_marks_and_joiners():
    text = "".join(map(chr, range(0x4E00, 0x4E80))) + "a\u0323\u200d\u200c\u0327"
    Path("wide.tsv").write_text(f"{text}\t{text}\tN;{'LONG' * 5};{'TAG' * 9}\n" * 3 + "x\u200d\u200c\tx\tN;A\n")
    said = init("wide.tsv", "--validation", "wide.tsv").stderr
    shown = [line for line in said.splitlines() if not line.startswith("Train: ")]
    assert all(len(line) + sum(c >= "\u4e00" for c in line) <= 80 for line in shown), said
    assert "<U+200D>" in said
    assert "<U+200C>" in said


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"PK\x03\x04rest", "a workbook"),
        (b'{"source": "a", "target": "b"}\n', "data:1: JSON"),
        (b"a\t\nb\t\n", "data: every target is empty"),
    ],
)
def test_other_kinds_of_files_are_named(content, problem):
    Path("data").write_bytes(content)
    refused = init("data", "--split", "0.5")
    assert (refused.exit_code, problem in refused.stderr) == (2, True), refused.stderr


def test_carriage_returns_alone_end_lines():
    Path("mac.tsv").write_bytes(TRAIN.replace("\n", "\r").encode())
    assert "mac.tsv: 5 pairs; " in init("mac.tsv", "--validation", "dev.tsv").stderr


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
    ("options", "kept"),
    [
        (["words.tsv", "--validation", "dev.tsv", "-o", "words.tsv"], "words.tsv"),
        (["words.tsv", "--validation", "dev.tsv", "-o", "link.tsv"], "dev.tsv"),
        (["words.tsv", "--split", "0.5", "--test", "words.train.tsv"], "words.train.tsv"),
        (["words.tsv", "--text", "-o", "words.tsv"], "words.tsv"),
        (["words.tsv", "--text", "--validation", "d*.tsv", "-o", "dev.tsv"], "dev.tsv"),
    ],
)
def test_no_output_replaces_an_input(options, kept):
    Path("words.train.tsv").write_text(TRAIN)
    Path("link.tsv").symlink_to("dev.tsv")
    before = {path: path.read_bytes() for path in Path().iterdir()}
    result = init(*options, "--overwrite")
    assert result.exit_code == 2
    assert "input" in result.stderr
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize("fault", [1, 2])
def test_a_split_on_a_full_disk_is_as_before(monkeypatch, fault):
    assert init("words.tsv", "--split", "0.5").exit_code == 0
    before = {path: path.read_bytes() for path in Path().iterdir()}
    Path("words.tsv").write_text(TRAIN.replace("b", "d"))
    before[Path("words.tsv")] = Path("words.tsv").read_bytes()
    calls = count(1)

    def full(path, data, *args, **kwargs):
        path.write_bytes(data[:1])
        if next(calls) == fault:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(files, "write_synced", full)
    result = init("words.tsv", "--split", "0.5", "--overwrite")
    assert result.exit_code == 1
    assert os.strerror(errno.ENOSPC) in result.stderr
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize("fault", [1, 2, 3, 4])
def test_a_split_is_never_half_new(monkeypatch, fault):
    assert init("words.tsv", "--split", "0.5").exit_code == 0
    before = len(list(Path().iterdir()))
    Path("words.tsv").write_text(TRAIN.replace("c", "d"))
    old = {name: Path(name).read_bytes() for name in ("words.train.tsv", "words.validation.tsv")}
    rename, calls = Path.rename, count(1)

    def failing(path, target):
        if next(calls) == fault:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    assert init("words.tsv", "--split", "0.5", "--overwrite").exit_code == 1
    assert {name: Path(name).read_bytes() for name in old} == old
    assert len(list(Path().iterdir())) == before


@pytest.mark.parametrize(
    ("lines", "columns"),
    [
        ("a\tb\n", Columns()),
        ("a\tb\tc\n", Columns(count=3)),
        ("a\tb\tV;PST\n", Columns(features=3)),
        ("a\tb\tc\tV;PST\td\n", Columns(features=4, count=5)),
        ("a\tV;PST\tb\n", Columns(source=1, target=3, features=2)),
        ("a\tpos=V,tense=PST\tb\n", Columns(source=1, target=3, features=2, feature_separator=",")),
        ("a\tb;c\n", Columns()),
    ],
)
def test_columns_are_guessed(lines, columns):
    Path("words.tsv").write_text(lines * 5)
    assert guess_columns(read_first_rows("words.tsv")) == columns


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
    os.write(ours, b"none.tsv\nwords.tsv\n\n")
    written, _ = process.communicate(timeout=60)
    os.close(its)
    asked = os.read(ours, 65536).decode()
    os.close(ours)
    assert (process.returncode, written) == (0, "config.yaml\n"), asked
    assert asked.count("file of pairs: ") == 2, "asked again at once"
    assert "none.tsv: no such file" in asked
    assert "held-out file" in asked
    assert drafted().task.validation.file == "words.validation.tsv"


@pytest.mark.long
def test_what_it_writes_trains(runtime):
    assert init("words.tsv", "--validation", "dev.tsv").exit_code == 0
    few = ["--set", "training.epochs=1", "--set", "model.encoder.units=8", "--set", "model.decoder.units=16"]
    trained = CliRunner().invoke(main, ["train", "config.yaml", "--run-dir", "run", *few])
    assert trained.exit_code == 0, trained.stderr


def test_tokenize_options_have_the_choices_of_the_config():
    assert list(TOKENS.choices) == list(get_args(Tokens))


@pytest.mark.parametrize("option", [(), ("--test",)])
@pytest.mark.parametrize("name", ["-", "pipe"])
def test_data_that_cannot_be_read_again_are_refused(tmp_path, monkeypatch, option, name):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    Path("words.tsv").write_text("ab\tba\n")
    result = CliRunner().invoke(main, ["init", *(["words.tsv"] if option else []), *option, name, "--split", "0.1"])
    assert result.exit_code == 2
    assert f"{name}: not a file" in result.stderr


def test_a_file_that_changes_while_it_is_split_is_refused(tmp_path, monkeypatch):
    file = tmp_path / "words.tsv"
    file.write_text("".join(f"{letter}\t{letter * 2}\n" for letter in "abcdefghij"))
    real = splitting.read_lines

    def shortened(path):
        file.write_text("a\taa\n")
        return real(path)

    monkeypatch.setattr(splitting, "read_lines", shortened)
    result = CliRunner().invoke(main, ["init", str(file), "--split", "0.2", "-o", str(tmp_path / "c.yaml")])
    assert result.exit_code == 2
    assert "changed while" in result.stderr
    assert not [*tmp_path.glob("words.*.tsv"), *tmp_path.glob("c.yaml")]
