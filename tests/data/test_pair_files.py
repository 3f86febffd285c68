"""Files of pairs: columns, globs, two beside each other, lines that are too long or none."""

import gzip
import re
import tracemalloc
from pathlib import Path

import pytest
from pair_task import shown, sources, task, write_files

from rnncli.config import parse_config
from rnncli.data.parsing import read_examples
from rnncli.data.text_files import matching_files, read_texts
from rnncli.data.vocabulary import Vocabularies
from rnncli.errors import ConfigError, DataError, InputError


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)


def test_parallel_files_give_the_pairs_of_equal_lines():
    Path("a.src").write_text("ab\n\nba\n")
    Path("a.tgt").write_text("AB\r\n\r\nBA")
    assert shown(task(train={"source": "a.src", "target": "a.tgt"})) == [("ab", "AB"), ("ba", "BA")]


def test_columns_select_source_and_target():
    Path("train.tsv").write_text("1\tAB\tab\tx\n2\tBA\tba\ty\n")
    Path("validation.tsv").write_text("3\tA\ta\tz\n")
    columns = {"source": 3, "target": 2, "count": 4}
    assert shown(task(columns=columns)) == [("ab", "AB"), ("ba", "BA")]


def test_globs_are_sorted_and_gzip_is_decompressed():
    Path("b-part").write_bytes(gzip.compress(b"b\tB\n"))
    Path("a-part").write_text("a\tA\n")
    Path("c-part").mkdir()
    assert shown(task(train="*-part")) == [("a", "A"), ("b", "B")]
    Path("[x].tsv").write_text("x\tX\n")
    assert shown(task(train="[x].tsv")) == [("x", "X")], "a file of that very name"


def test_pairs_ignore_byte_order_mark_and_carriage_returns():
    Path("train.tsv").write_bytes(b"\xef\xbb\xbfab\tAB\r\n\r\nba\tBA\r\n")
    assert shown(task()) == [("ab", "AB"), ("ba", "BA")]


def test_too_long_pairs_are_an_error_or_skipped():
    Path("train.tsv").write_text("ab\tAB\nabcd\tA\na\tABCDE\n")
    limits = {"max_source_length": 3, "max_target_length": 4}
    with pytest.raises(DataError) as refused:
        task(**limits)
    assert refused.value.message.startswith("train.tsv:2: source of 4 symbols")
    assert "task.max_source_length (3)" in refused.value.message
    assert "task.too_long: skip" in refused.value.hint
    with pytest.raises(DataError, match=r"train\.tsv:3: .*\b5 .*task\.max_target_length"):
        task(max_target_length=4)
    pairs = task(**limits, too_long="skip")
    assert shown(pairs) == [("ab", "AB")]
    assert "c" not in pairs.source_vocabulary.ids
    (note, *_) = pairs.splits()[0].notes
    assert note.startswith("train.tsv: skipped 2 of 3 pairs")


def test_file_with_only_too_long_pairs_is_refused():
    with pytest.raises(DataError, match=r"validation\.tsv: .* too long"):
        task(max_source_length=2, too_long="skip").splits()


def test_overlap_with_training_is_counted_in_a_note():
    Path("validation.tsv").write_text("ab\tAB\nab\tX\ncc\tCC\n")
    Path("test.tsv").write_text("abc\tABC\n")
    train, validation = task(test="test.tsv").splits()
    assert [re.match(r"test\.tsv: 1 of 1 .*train\.tsv", note) is not None for note in train.notes] == [True]
    unknown, known = validation.notes
    assert re.match(r"validation\.tsv: 1 unknown .*'X' 1", unknown)
    assert re.match(r"validation\.tsv: 2 of 3 .*train\.tsv", known)


def test_test_split_needs_no_training_file():
    Path("test.tsv").write_text("cb\tCB\n")
    first = task(test="test.tsv")
    Path("train.tsv").unlink()
    again = task(Vocabularies(first.source_vocabulary, first.target_vocabulary), test="test.tsv")
    assert sources(again.test_split(), again) == ["cb"]
    with pytest.raises(InputError, match=r"^task\.test"):
        task(Vocabularies(first.source_vocabulary, first.target_vocabulary)).test_split()


def test_error_in_test_file_is_raised_before_training():
    Path("test.tsv").write_text("cb\n")
    with pytest.raises(DataError, match=r"test\.tsv:1: "):
        task(test="test.tsv").splits()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"ab\tA\xffB", "train.tsv:2: not UTF-8 text: byte 0xff at byte 5"),
        (b"ab", "train.tsv:2: no target: 1 column"),
        (b"a\tb\tc", "train.tsv:2: 3 columns"),
        (b"ab\t", "train.tsv:2: no target"),
        (b" \tAB", "train.tsv:2: no source"),
    ],
)
def test_invalid_line_is_named_by_file_and_number(content, problem):
    Path("train.tsv").write_bytes(b"a\tA\n" + content + b"\nb\tB\n")
    with pytest.raises(DataError) as refused:
        task()
    assert refused.value.message.startswith(problem)
    assert refused.value.hint


@pytest.mark.parametrize("content", ["", "\n", "\n \n\t\n", "\ufeff"])
def test_file_without_pairs_is_refused(content):
    Path("train.tsv").write_text(content)
    with pytest.raises(DataError, match=r"(?m)^train\.tsv: "):
        task()


@pytest.mark.parametrize(
    ("source", "target", "problem"),
    [
        ("a\nb\n", "A\n", "a.src: 2 lines, but a.tgt has 1"),
        ("a\n\n", "A\nB\n", "a.src:2: no source"),
        ("a\nb\n", "A\n\n", "a.tgt:2: no target"),
        ("a\tb\n", "A\n", "a.src:1: a tab"),
        ("", "", "a.src and a.tgt: "),
        ("a\n", "B" * 101, "a.tgt:1: target of 101 symbols, more than task.max_target_length (100)"),
    ],
)
def test_parallel_files_of_different_lengths_are_refused(source, target, problem):
    Path("a.src").write_text(source)
    Path("a.tgt").write_text(target)
    with pytest.raises(DataError) as refused:
        task(train={"source": "a.src", "target": "a.tgt"})
    assert refused.value.message.startswith(problem)


@pytest.mark.parametrize(
    ("train", "problem"),
    [
        ("none.tsv", "none.tsv: no such file"),
        ("none*.tsv", "none*.tsv: no file matches"),
        (".", ".: cannot be read: Is a directory"),
        ("broken.gz", "broken.gz: "),
        ("cut.tsv", "cut.tsv: "),
        ({"source": "*.tsv", "target": "train.tsv"}, "*.tsv and train.tsv: 3 source files and 1 target files"),
    ],
)
def test_unreadable_file_is_named(train, problem):
    Path("broken.gz").write_text("a\tA\n")
    Path("cut.tsv").write_bytes(gzip.compress(b"a\tA\n" * 100)[:-12])
    with pytest.raises(InputError) as refused:
        task(train=train)
    assert refused.value.message.startswith(problem)


def test_parallel_files_refuse_columns():
    text = (
        "task: {type: pairs, train: {source: a, target: b}, validation: {source: a, target: b}, columns: {source: 3}}"
    )
    with pytest.raises(ConfigError, match=r"task\.columns: "):
        parse_config(f"{text}\nmodel: encoder_decoder", "c")


def test_read_examples_skips_too_long_lines():
    pairs = task(max_source_length=2, too_long="skip")
    examples = read_examples(pairs, ["ab\tAB", "abc\tABC"], "f", leave_out=True)
    assert len(examples) == 1
    assert [re.match("f: .*1 of 2 .*too long", note) is not None for note in examples.notes] == [True]
    with pytest.raises(DataError, match=r"^f: .* too long"):
        read_examples(pairs, ["abc\tABC"], "f", leave_out=True)
    with pytest.raises(DataError, match="f:2: 3 symbols"):
        read_examples(pairs, ["ab\tAB", "abc\tABC"], "f")


def test_glob_searches_a_limited_number_of_folders(tmp_path):
    for name in ("a/b", "a/c", "d"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "x.tsv").touch()
    assert len(matching_files(f"{tmp_path}/a/**/x.tsv", max_folders=4)) == 2
    assert len(matching_files(f"{tmp_path}/*/*.tsv", max_folders=4)) == 1
    for pattern in ("**/x.tsv", "**"):
        with pytest.raises(InputError, match=r"\b4 folders"):
            matching_files(f"{tmp_path}/{pattern}", max_folders=4)


def test_texts_of_a_directory_are_limited_in_all(tmp_path):
    for name, text in (("a/b", "one"), ("a/c", "zwölf\n"), ("d", ""), ("e", "end")):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "x.txt").write_text(text, "utf-8")
    joined = "one\nzwölf\n\nend"
    found = read_texts(str(tmp_path), max_bytes=13, max_folders=6)
    assert found == joined
    assert found == read_texts(f"{tmp_path}/**/*.txt", max_bytes=13)
    for limits, what in (({"max_bytes": 12}, r"\b12 bytes"), ({"max_folders": 5}, r"\b5 folders")):
        with pytest.raises(InputError, match=what):
            read_texts(str(tmp_path), **limits)
    with pytest.raises(InputError, match="in all"):
        read_texts(f"{tmp_path}/*/*/x.txt", max_bytes=9)


def test_reading_holds_few_bytes_for_each_of_a_file():
    lines = [f"{number:08}\t{number * 7:08}\n" for number in range(20_000)]
    Path("train.tsv").write_text("".join(lines))
    Path("validation.tsv").write_text("1\t7\n")
    size = Path("train.tsv").stat().st_size
    tracemalloc.start()
    train, _ = task(max_source_length=8, max_target_length=8).splits()
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(train) == 20_000
    assert held < 4 * size
    assert most < 10_000_000, "blocks are read one after another"
