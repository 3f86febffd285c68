"""Files with columns, as people have them: header lines, CSV, line ends, empty and ragged lines, in every task."""

import gzip
import math
import re
from pathlib import Path

import numpy as np
import pytest
from pair_task import FEATURES, shown, task, write_files

from rnncli.config import ClassifyTask, Columns, parse_config
from rnncli.data.examples import Examples
from rnncli.data.header import looks_like_header
from rnncli.data.length_checks import describe_far_longer
from rnncli.data.parsing import read_examples
from rnncli.data.tables import Reading, guess_format, read_rows
from rnncli.data.tasks.classify import Classify
from rnncli.data.text_files import MANY_BYTES, describe_large, read_lines, read_text
from rnncli.errors import DataError

HEADER = "singular_form\tplural_form\n"
PAIRS = "".join(f"w{n}\tW{n}\n" for n in range(30))


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)


@pytest.mark.parametrize(
    ("first", "rows"),
    [
        ("Lemma\tForm", []),
        ("source_text\ttarget_text", []),
        ("singular_form\tplural_form", [f"cat{n}\tcats{n}" for n in range(9)]),
        ("word\tphon", [f"cat{n}\tK AE1 T" for n in range(9)]),
        ("日本語\tword", ["dog\tいぬ"] * 9),
        ("id\tsrc\tdst", [f"{n}\ta\tb" for n in range(9)]),
        ("english\tfrench", ["hello\tbonjour"] * 9),
        ("singular\tplural", ["mouse\tmice"] * 9),
        ("number\tin words", ["1\tone"] * 9),
        ("word\twords", ["1\t2"] * 9),
    ],
)
def test_names_of_columns_are_a_header_by_word_or_by_shape(first, rows):
    cells = [row.split("\t") for row in rows]
    width = first.count("\t") + 1
    assert looks_like_header(first.split("\t"), cells, [0, 1] if width == 2 else [1, 2])


@pytest.mark.parametrize(
    ("first", "rows"),
    [
        ("word\tword", ["cat\tcat"] * 9),
        ("word\twords", [f"{w}\t{w}s" for w in ("cat", "order", "wood", "dew", "row")]),
        ("ñandú\tñandúes", [f"casa{n}\tcasas{n}" for n in range(9)]),
        ("zebra\tzebras", ["cat\tcats"] * 9),
        ("1\tone", ["2\ttwo"] * 9),
        ("'bout\tB AW1 T", [f"cat{n}\tK AE1 T" for n in range(9)]),
    ],
)
def test_ordinary_first_lines_are_no_header(first, rows):
    assert not looks_like_header(first.split("\t"), [row.split("\t") for row in rows], [0, 1])


def test_header_is_left_out_of_training_validation_test_and_input_alike():
    for name in ("train.tsv", "train2.tsv", "validation.tsv", "test.tsv"):
        Path(name).write_text(HEADER + PAIRS)
    pairs = task(train="train*.tsv", test="test.tsv")
    train, validation = pairs.splits()
    assert [len(train), len(validation), len(pairs.test_split())] == [60, 30, 30]
    assert sum("header line: singular_form, plural_form" in note for note in train.notes) >= 2
    assert any(re.match(r"validation\.tsv: .*header", note) for note in validation.notes)
    examples = read_examples(pairs, (HEADER + PAIRS).splitlines(), "f", leave_out=True)
    assert (len(examples), examples.texts[0].line) == (30, 2)
    assert len(task(header=False).splits()[0]) == 31
    assert len(task(header=True, validation="test.tsv").splits()[1]) == 30


def test_header_of_parallel_files_is_left_out():
    Path("a.src").write_text("english\n" + "hello\n" * 9)
    Path("a.tgt").write_text("french\n" + "bonjour\n" * 9)
    assert shown(task(train={"source": "a.src", "target": "a.tgt"})) == [("hello", "bonjour")] * 9


def classify(**options):
    section = {"train": "l.tsv", "validation": "l.tsv", **options}
    return Classify(ClassifyTask.model_validate(section))


def test_header_of_labelled_texts_is_no_class():
    Path("l.tsv").write_text("label\ttext\n" + "good\tfine film\nbad\tawful film\n" * 9)
    labelled = classify()
    assert labelled.target_vocabulary.symbols == ("bad", "good")
    assert "header" in labelled.splits()[0].notes[0]
    assert classify(header=False).target_vocabulary.symbols == ("bad", "good", "label")


def test_too_long_texts_are_skipped_and_counted():
    Path("l.tsv").write_text("good\tfine film\nbad\tawful\nbad\ta b c d\n")
    with pytest.raises(DataError, match=r"l\.tsv:3: 4 symbols, more than task\.max_length"):
        classify(max_length=3).splits()
    train, _ = classify(max_length=3, too_long="skip").splits()
    assert (len(train), train.left_out) == (2, 1)


@pytest.mark.parametrize(
    "text",
    [
        'ab,"A, ""B"""\nba,BA\n',
        'ab;"A, ""B"""\nba;BA\n',
        'sep=;\nab;"A, ""B"""\nba;BA\n',
        'sep=\t\nab\t"A, ""B"""\nba\tBA\n',
        'source,target\n"ab","A, ""B"""\nba,BA\n',
    ],
)
def test_csv_is_read_with_its_separator_and_quotes(text):
    Path("train.tsv").write_text(text)
    assert shown(task(format="csv")) == [("ab", 'A, "B"'), ("ba", "BA")]
    assert guess_format(text.splitlines()) == "csv"


def test_csv_cells_of_several_lines_keep_their_line_number_and_damage_is_named():
    rows = list(read_rows(['a,"b', 'c"', "d,e"], "f", Reading("csv"), Columns()).rows)
    assert rows == [(1, "a\tb c"), (3, "d\te")]
    with pytest.raises(DataError, match=r"^f:2: .*CSV"):
        list(read_rows(["a,b", 'd,"e" x'], "f", Reading("csv"), Columns()).rows)


def test_quoted_tab_separated_cells_get_a_warning():
    Path("train.tsv").write_text('"ab"\t"AB"\n' * 3)
    assert any("task.format: csv" in note for note in task().splits()[0].notes)


def test_json_lines_and_workbooks_are_named():
    Path("train.tsv").write_text('{"a": "b"}\n')
    with pytest.raises(DataError, match=r"^train\.tsv:1: JSON lines"):
        task()
    for text in ('[\n{"a": "b"},', '[{"a": "b"},\n', '{\n  "a": "b"\n', '{"a": [\n', '["a",\n'):
        Path("train.tsv").write_text(text)
        with pytest.raises(DataError, match=r"^train\.tsv:1: JSON, "):
            task()
    Path("train.tsv").write_text("[\t]\n[a]\t{\n{\t}\n")
    assert len(task().splits()[0]) == 3
    Path("train.tsv").write_bytes(b"PK\x03\x04\0\0")
    with pytest.raises(DataError, match=r"^train\.tsv: a workbook"):
        task()


def test_line_ends_and_byte_order_marks_of_other_systems_are_read():
    Path("mac").write_bytes(b"a\tA\rb\tB\r")
    assert list(read_lines("mac")) == ["a\tA", "b\tB"]
    Path("joined").write_bytes("\ufeffa\r\n\ufeffb\r\n".encode())
    assert read_text("joined") == "a\nb\n"
    Path("mixed.gz").write_bytes(gzip.compress(b"a\rb\nc"))
    assert list(read_lines("mixed.gz")) == ["a\rb", "c"], "carriage returns beside line feeds are text"


def test_large_files_are_said_to_be_read():
    assert describe_large(["train.tsv", "none.tsv"]) == ""
    with Path("large.tsv").open("wb") as file:
        file.truncate(MANY_BYTES)  # which takes no space
    assert f"{MANY_BYTES / 1e6:.0f} MB" in describe_large(["*.tsv"])


def test_sources_are_padded_to_the_longest_of_them_not_to_the_maximum():
    examples = read_examples(task(max_source_length=100_000), ["ab\tAB", "a\tA"], "f")
    assert examples.source.shape == (2, 2)
    assert examples.source.dtype == np.uint8


def test_empty_targets_are_refused_allowed_or_skipped():
    Path("train.tsv").write_text("ab\tAB\nx\t\n")
    with pytest.raises(DataError, match=r"train\.tsv:2: no target"):
        task()
    assert shown(task(empty_target="allow")) == [("ab", "AB"), ("x", "")]
    skipping = task(empty_target="skip")
    assert shown(skipping) == [("ab", "AB")]
    assert any(re.match(r"train\.tsv: .*\b1 ", note) for note in skipping.splits()[0].notes)
    examples = read_examples(skipping, ["ab\tAB", "a\t"], "f", leave_out=True)
    assert (len(examples), examples.left_out) == (1, 1)
    assert len(read_examples(task(empty_target="allow"), ["a\t"], "f", leave_out=True)) == 1


def test_ragged_rows_are_refused_or_skipped():
    Path("train.tsv").write_text("ab\tAB\na\tb\tc\nx\n")
    with pytest.raises(DataError, match=r"train\.tsv:2: 3 columns"):
        task()
    skipping = task(ragged_rows="skip")
    assert shown(skipping) == [("ab", "AB")]
    assert any("skipped 2 of 3 lines" in note for note in skipping.splits()[0].notes)
    examples = read_examples(skipping, ["ab\tAB", "a\tb\tc", "a"], "f", leave_out=True)
    assert (len(examples), examples.left_out) == (1, 2)


def test_symbols_of_skipped_lines_are_not_counted_as_unknown():
    Path("train.tsv").write_text("ab\tAB\n")
    skipping = task(ragged_rows="skip", empty_target="skip")
    read_examples(skipping, ["zb\tAB", "yyy", "xx\t", "wz\tAB\tc"], "f", leave_out=True)
    assert str(skipping.unknown) == "1 unknown symbol ('z' 1)"


def test_configs_of_earlier_runs_keep_every_line():
    text = "task: {type: pairs, train: a, validation: b}\nmodel: encoder_decoder"
    assert parse_config(text, "c").task.header == "auto"
    assert parse_config(text, "c", recorded=True).task.header is False
    assert parse_config(text.replace("b}", "b, header: auto}"), "c", recorded=True).task.header == "auto"


def test_overlap_of_sources_is_counted_with_and_without_features():
    Path("train.tsv").write_text("go\twent\tV;PST\nsee\tsaw\tV;PST\n")
    Path("validation.tsv").write_text("go\tgoes\tV\nsee\tsaw\tV;PST\neso\tx\tV\n")
    _, validation = task(**FEATURES).splits()
    assert re.search(r"\b2 of 3 .*train\.tsv.*\b1 .*features", validation.notes[-1])


def examples_of(targets, **more):
    count = len(targets)
    ones = np.ones(count, np.int32)
    return Examples(np.ones((count, 1), int), ones, np.ones((count, 1), int), np.array(targets, np.int32), **more)


def test_a_few_far_longer_targets_are_said_with_what_leaves_them_out():
    config = parse_config("task: {type: pairs, train: a, validation: b}\nmodel: encoder_decoder", "c").task
    said = describe_far_longer(examples_of([12] * 3999 + [3000]), config, 64)
    assert "task.max_target_length: 12" in said
    slower = 1 + (3000 - 12) / (math.ceil(4000 / 64) * 13)
    assert f" {slower:.1f} times" in said
    assert not describe_far_longer(examples_of([12] * 3999 + [30]), config, 64)
