"""Pairs of texts: files, symbols, vocabularies, features, and what is refused."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.config import PairsTask, parse_config
from rnncli.errors import ConfigError, DataError, InputError
from rnncli.tasks import Vocabularies, read_examples
from rnncli.tasks.pairs import Pairs
from rnncli.tasks.symbols import normalizer, tokenizer
from rnncli.vocabulary import SPECIALS, Unknown, Vocabulary

TRAIN = "ab\tAB\n\nba\tBA\nabc\tABC\n"
VALIDATION = "cab\tCAB\n"
FEATURES = {"columns": {"source": 1, "target": 2, "features": 3}, "features": "joined"}


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.tsv").write_text(TRAIN)
    Path("validation.tsv").write_text(VALIDATION)


def task(recorded=None, **options):
    section = {"train": "train.tsv", "validation": "validation.tsv", **options}
    return Pairs(PairsTask.model_validate(section), "encoder_decoder", recorded)


def sources(examples, pairs):
    rows = zip(examples.source.tolist(), examples.source_lengths.tolist(), strict=True)
    return [pairs.show_source(row[:length]) for row, length in rows]


def shown(pairs):
    """The training pairs as text."""
    train = pairs.splits()[0]
    return list(zip(sources(train, pairs), [pairs.show_target(row) for row in train.target.tolist()], strict=True))


def test_symbols_are_those_of_training_behind_the_special_ones():
    pairs = task()
    assert pairs.source_vocabulary.symbols == ("<pad>", "<bos>", "<eos>", "<unk>", "a", "b", "c")
    assert pairs.target_vocabulary.symbols == ("<pad>", "<bos>", "<eos>", "<unk>", "A", "B", "C")


def test_examples_are_padded_on_the_right_and_targets_end():
    train, validation = task(max_target_length=5).splits()
    assert train.source.tolist() == [[4, 5, 0], [5, 4, 0], [4, 5, 6]]
    assert train.source_lengths.tolist() == [2, 2, 3]
    assert train.target.tolist() == [[4, 5, 2, 0], [5, 4, 2, 0], [4, 5, 6, 2]]
    assert train.target_lengths.tolist() == [3, 3, 4]
    assert validation.target.tolist() == [[6, 4, 5, 2, 0, 0]], "as wide as what a model writes"
    assert (train.source.dtype, train.target.dtype) == (np.uint8, np.uint8)


def test_many_symbols_take_a_wider_type():
    letters = [chr(0x4E00 + n) for n in range(300)]
    Path("train.tsv").write_text("".join(f"{letter}\tx\n" for letter in letters))
    train, _ = task().splits()
    assert (train.source.dtype, train.source.max()) == (np.uint16, 303)


def test_sizes_come_from_the_config_alone():
    sizes = task(max_source_length=7, max_target_length=9).sizes
    assert (sizes.source_symbols, sizes.source_steps, sizes.target_symbols, sizes.target_steps) == (7, 7, 7, 10)


def test_two_files_whose_lines_belong_together():
    Path("a.src").write_text("ab\n\nba\n")
    Path("a.tgt").write_text("AB\r\n\r\nBA")
    assert shown(task(train={"source": "a.src", "target": "a.tgt"})) == [("ab", "AB"), ("ba", "BA")]


def test_columns_are_chosen():
    Path("train.tsv").write_text("1\tAB\tab\tx\n2\tBA\tba\ty\n")
    Path("validation.tsv").write_text("3\tA\ta\tz\n")
    columns = {"source": 3, "target": 2, "count": 4}
    assert shown(task(columns=columns)) == [("ab", "AB"), ("ba", "BA")]


def test_globs_are_read_in_sorted_order_and_gzip_by_its_first_bytes():
    Path("b-part").write_bytes(gzip.compress(b"b\tB\n"))
    Path("a-part").write_text("a\tA\n")
    Path("c-part").mkdir()
    assert shown(task(train="*-part")) == [("a", "A"), ("b", "B")]
    Path("[x].tsv").write_text("x\tX\n")
    assert shown(task(train="[x].tsv")) == [("x", "X")], "a file of that very name"


def test_a_byte_order_mark_and_other_line_ends_are_passed_over():
    Path("train.tsv").write_bytes(b"\xef\xbb\xbfab\tAB\r\n\r\nba\tBA\r\n")
    assert shown(task()) == [("ab", "AB"), ("ba", "BA")]


@pytest.mark.parametrize(
    ("form", "symbols"),
    [("nfc", ["é", "ﬁ"]), ("nfd", ["e", "\u0301", "ﬁ"]), ("nfkc", ["é", "f", "i"]), ("none", ["e", "\u0301", "ﬁ"])],
)
def test_text_is_brought_into_a_normal_form(form, symbols):
    Path("train.tsv").write_text("e\u0301ﬁ\tx\n")
    assert sorted(task(normalize=form).source_vocabulary.symbols[4:]) == sorted(symbols)


@pytest.mark.parametrize(
    ("name", "text", "symbols"),
    [
        ("characters", "a é", ["a", " ", "é"]),
        ("whitespace", " a  bc \u3000d", ["a", "bc", "d"]),
        ("bytes", "aé~", ["a", "<0xC3>", "<0xA9>", "~"]),
    ],
)
def test_what_a_symbol_is(name, text, symbols):
    assert tokenizer(name).split(text) == symbols


def test_a_grapheme_is_what_a_reader_takes_for_one_character():
    pytest.importorskip("regex")
    family, flag = "👩‍👩‍👧", "🇬🇷"
    assert tokenizer("graphemes").split(f"क्षि{family}{flag}x\u0301") == [
        *tokenizer("graphemes").split("क्षि"),
        family,
        flag,
        "x\u0301",
    ]


def test_graphemes_without_their_package_are_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "regex", None)
    with pytest.raises(InputError, match=r"task\.tokenize: graphemes needs the package regex") as refused:
        task(tokenize="graphemes")
    assert refused.value.hint == "python3 -m pip install 'rnncli[graphemes]'"


@given(st.text(st.characters(exclude_characters="\t\n\r", exclude_categories=["Cs"])))
def test_bytes_are_joined_to_the_text_that_they_were(text):
    split, join = tokenizer("bytes")
    assert join(split(text)) == text


def test_bytes_that_are_no_text_are_shown_all_the_same():
    assert tokenizer("bytes").join(["a", "<0xC3>", "b"]) == "a\N{REPLACEMENT CHARACTER}b"


@given(st.text())
def test_a_normal_form_is_stable(text):
    clean = normalizer("nfc")
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize("side", ["source", "target"])
def test_both_sides_are_cut_on_their_own(side):
    Path("train.tsv").write_text("ab cd\tab cd\n")
    pairs = task(tokenize={side: "whitespace"})
    vocabularies = {"source": pairs.source_vocabulary, "target": pairs.target_vocabulary}
    assert vocabularies.pop(side).symbols[4:] == ("ab", "cd")
    assert next(iter(vocabularies.values())).symbols[4:] == (" ", "a", "b", "c", "d")
    assert shown(pairs) == [("ab cd", "ab cd")]


def test_features_stand_as_whole_symbols_before_the_source():
    Path("train.tsv").write_text("ab\tAB\tV; PST\nab\tBA\t\n")
    Path("validation.tsv").write_text("ab\tAB\tV;FUT\n")
    pairs = task(**FEATURES)
    assert pairs.source_vocabulary.symbols[4:] == (";PST", ";V", "a", "b")
    assert shown(pairs) == [("ab\tV;PST", "AB"), ("ab\t", "BA")]
    assert pairs.read_source("ab\tV;;PST") == [5, 4, 6, 7]
    assert pairs.splits()[1].notes == ("validation.tsv: 1 unknown symbol (';FUT' 1)",)
    with pytest.raises(DataError, match="1 column: 'ab'") as refused:
        pairs.read_source("ab")
    assert refused.value.hint == "write source, tab, features"
    assert read_examples(pairs, ["ab\tAB\tPST"], "f").source[0, :3].tolist() == [4, 6, 7]


def test_a_source_that_begins_with_a_semicolon_has_no_features():
    Path("train.tsv").write_text(";)\tsmile\tx\n")
    Path("validation.tsv").write_text(";\tx\t\n")
    assert shown(task(**FEATURES)) == [(";)\tx", "smile")]


def test_rare_symbols_are_unknown():
    Path("train.tsv").write_text("aab\tA\nax\tA\n")
    pairs = task(min_frequency=2)
    assert pairs.source_vocabulary.symbols[4:] == ("a",)
    train, _ = pairs.splits()
    assert train.source.tolist() == [[4, 4, 3], [4, 3, 0]]
    assert train.notes == ("train.tsv: 2 unknown symbols ('b' 1, 'x' 1)",)


def test_unknown_symbols_of_other_files_are_counted():
    Path("validation.tsv").write_text("xa\tX\nxy\tA\n")
    pairs = task()
    _, validation = pairs.splits()
    assert validation.notes == ("validation.tsv: 4 unknown symbols ('x' 2, 'X' 1, 'y' 1)",)
    assert pairs.show_source(pairs.read_source("aza")) == "a\N{REPLACEMENT CHARACTER}a"
    assert str(pairs.unknown) == "1 unknown symbol ('z' 1)"


def test_the_count_of_unknown_symbols_stays_small():
    unknown = Unknown()
    for number in range(5000):
        unknown.add(str(number))
    assert unknown.total == 5000
    assert len(str(unknown)) < 150


@pytest.mark.parametrize("special", SPECIALS)
def test_text_that_reads_like_a_special_symbol_is_unknown(special):
    Path("train.tsv").write_text(f"a {special}\tb {special}\n")
    pairs = task(tokenize="whitespace")
    assert (pairs.source_vocabulary.symbols, pairs.read_source(f"{special} a")) == ((*SPECIALS, "a"), [3, 4])
    assert pairs.read_target(special) == [3, 2]


def test_what_only_a_mistaken_model_writes_is_shown_in_a_line():
    pairs = task()
    assert pairs.show_target([4, 0, 1, 3, 5, 2, 6]) == "A\N{REPLACEMENT CHARACTER}B"
    assert pairs.show_target([4, 5]) == "AB"


def test_what_is_too_long_is_refused_by_its_place_or_left_out():
    Path("train.tsv").write_text("ab\tAB\nabcd\tA\na\tABCDE\n")
    limits = {"max_source_length": 3, "max_target_length": 4}
    with pytest.raises(DataError) as refused:
        task(**limits)
    assert refused.value.message == "train.tsv:2: source of 4 symbols, more than task.max_source_length (3)"
    assert refused.value.hint == "raise task.max_source_length, or task.too_long: skip"
    with pytest.raises(
        DataError, match=r"train\.tsv:3: target of 5 symbols, more than task\.max_target_length \(4\)"
    ):
        task(max_target_length=4)
    pairs = task(**limits, too_long="skip")
    assert shown(pairs) == [("ab", "AB")]
    assert "c" not in pairs.source_vocabulary.ids
    (note, *_) = pairs.splits()[0].notes
    assert note.startswith("train.tsv: 2 of 3 pairs left out, longer than task.max_source_length (3) or task.max_tar")


def test_a_file_of_which_nothing_is_left_is_refused():
    with pytest.raises(DataError, match=r"validation\.tsv: no pairs left; all are too long"):
        task(max_source_length=2, too_long="skip").splits()


def test_overlaps_with_training_are_counted_not_refused():
    Path("validation.tsv").write_text("ab\tAB\nab\tX\ncc\tCC\n")
    Path("test.tsv").write_text("abc\tABC\n")
    train, validation = task(test="test.tsv").splits()
    assert train.notes == ("test.tsv: warning: 1 of 1 sources are in train.tsv too",)
    assert validation.notes == (
        "validation.tsv: 1 unknown symbol ('X' 1)",
        "validation.tsv: warning: 2 of 3 sources are in train.tsv too",
    )


def test_the_file_for_tests_is_measured_on_without_the_training_file():
    Path("test.tsv").write_text("cb\tCB\n")
    first = task(test="test.tsv")
    Path("train.tsv").unlink()
    again = task(Vocabularies(first.source_vocabulary, first.target_vocabulary), test="test.tsv")
    assert sources(again.test_split(), again) == ["cb"]
    with pytest.raises(InputError, match=r"task\.test: the config names no file"):
        task(Vocabularies(first.source_vocabulary, first.target_vocabulary)).test_split()


def test_what_is_wrong_with_the_file_for_tests_is_said_before_training():
    Path("test.tsv").write_text("cb\n")
    with pytest.raises(DataError, match=r"test\.tsv:1: no target"):
        task(test="test.tsv").splits()


@pytest.mark.parametrize("name", ["run", "run/vocabulary.json"])
def test_a_vocabulary_is_taken_from_a_run(name):
    Path("run").mkdir()
    symbols = {"source": [*SPECIALS, "z", "a"], "target": [*SPECIALS, "A"]}
    Path("run/vocabulary.json").write_text(json.dumps(symbols))
    pairs = task(vocabulary=name)
    assert pairs.source_vocabulary.symbols == (*SPECIALS, "z", "a"), "in its own order"
    assert pairs.splits()[0].notes == ("train.tsv: 8 unknown symbols ('b' 3, 'B' 3, 'c' 1, 'C' 1)",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "v.json: missing"),
        ("{", "v.json: not JSON"),
        ('{"source": ["a"]}', "v.json: target symbols are not a list"),
        (
            json.dumps({"source": [*SPECIALS, "a"], "target": ["<pad>", "a"]}),
            "v.json: task.vocabulary: target symbols",
        ),
        (
            json.dumps({"source": [*SPECIALS, "a", "a"], "target": SPECIALS}),
            "v.json: task.vocabulary: source symbols",
        ),
        (
            json.dumps({"source": [*SPECIALS[::-1], "a"], "target": SPECIALS}),
            "v.json: task.vocabulary: source symbol",
        ),
    ],
)
def test_a_vocabulary_of_another_shape_is_refused(text, problem):
    if text is not None:
        Path("v.json").write_text(text)
    with pytest.raises(InputError) as refused:
        task(vocabulary="v.json")
    assert refused.value.message.startswith(problem)


def test_recorded_symbols_that_this_task_never_writes_are_not_taken_as_they_are():
    odd = Vocabularies(Vocabulary(("a", *SPECIALS)), Vocabulary(SPECIALS))
    assert task(odd).source_vocabulary != odd.source


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"ab\tA\xffB", "train.tsv:2: not UTF-8 text: byte 0xff at byte 5 of the line"),
        (b"ab", "train.tsv:2: no target: 1 column"),
        (b"a\tb\tc", "train.tsv:2: 3 columns"),
        (b"ab\t", "train.tsv:2: no target"),
        (b" \tAB", "train.tsv:2: no source"),
    ],
)
def test_a_line_that_is_no_pair_is_refused_by_its_place(content, problem):
    Path("train.tsv").write_bytes(b"a\tA\n" + content + b"\nb\tB\n")
    with pytest.raises(DataError) as refused:
        task()
    assert refused.value.message == problem
    assert refused.value.hint


@pytest.mark.parametrize("content", ["", "\n", "\n \n\t\n", "\ufeff"])
def test_a_file_without_pairs_is_refused(content):
    Path("train.tsv").write_text(content)
    with pytest.raises(DataError, match=r"^train\.tsv: no pairs in it$"):
        task()


@pytest.mark.parametrize(
    ("source", "target", "problem"),
    [
        ("a\nb\n", "A\n", "a.src: 2 lines, but a.tgt has 1"),
        ("a\n\n", "A\nB\n", "a.src:2: no source"),
        ("a\nb\n", "A\n\n", "a.tgt:2: no target"),
        ("a\tb\n", "A\n", "a.src:1: a tab in the text"),
        ("", "", "a.src and a.tgt: no pairs in it"),
        ("a\n", "B" * 101, "a.tgt:1: target of 101 symbols, more than task.max_target_length (100)"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(source, target, problem):
    Path("a.src").write_text(source)
    Path("a.tgt").write_text(target)
    with pytest.raises(DataError) as refused:
        task(train={"source": "a.src", "target": "a.tgt"})
    assert refused.value.message == problem


@pytest.mark.parametrize(
    ("train", "problem"),
    [
        ("none.tsv", "none.tsv: no such file"),
        ("none*.tsv", "none*.tsv: no file matches"),
        (".", ".: cannot be read: Is a directory"),
        ("broken.gz", "broken.gz: not a whole gzip file"),
        ("cut.tsv", "cut.tsv: not a whole gzip file"),
        ({"source": "*.tsv", "target": "train.tsv"}, "*.tsv and train.tsv: 3 and 1 files; each of one needs one of"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(train, problem):
    Path("broken.gz").write_text("a\tA\n")
    Path("cut.tsv").write_bytes(gzip.compress(b"a\tA\n" * 100)[:-12])
    with pytest.raises(InputError) as refused:
        task(train=train)
    assert refused.value.message.startswith(problem)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("validation: {source: b}", "task.validation.source: needs target beside it"),
        ("validation: {target: b}", "task.validation.target: needs source beside it"),
        ("validation: {file: b, target: c}", "task.validation.file: has sources and targets in it; give file alone"),
        ("validation: {}", "task.validation.file: no file; give file, or source and target"),
        ("validation: b, tokenize: words", "task.tokenize.source: 'words' is not known; must be one of characters"),
        (
            "validation: b, columns: {target: 1}",
            "task.columns.source: 1 by default; source in column 1, target in col",
        ),
        ("validation: b, columns: {target: 3, count: 2}", "task.columns.count: must be at least 3"),
        ("validation: b, features: joined", "task.features: joined needs the column that they stand in"),
        ("validation: b, columns: {features: 3}", "task.columns.features: the model takes no features with"),
        ("validation: b, vocabulary: r, min_frequency: 2", "task.min_frequency: does nothing with task.vocabulary"),
        (
            "validation: {source: b, target: c}, features: joined, columns: {features: 3}",
            "task.features: joined needs files with columns",
        ),
    ],
)
def test_keys_that_do_not_fit_are_refused(keys, problem):
    with pytest.raises(ConfigError) as refused:
        parse_config(f"task: {{type: pairs, train: a, {keys}}}\nmodel: encoder_decoder", "c")
    assert refused.value.message.startswith(f"c:1: {problem}")


def test_files_without_columns_have_none_to_choose():
    text = (
        "task: {type: pairs, train: {source: a, target: b}, validation: {source: a, target: b}, columns: {source: 3}}"
    )
    with pytest.raises(ConfigError, match=r"task\.columns: .*have no columns"):
        parse_config(f"{text}\nmodel: encoder_decoder", "c")


def test_a_config_written_out_is_read_back():
    from rnncli.config import dump_config

    text = "task: {type: pairs, train: a, validation: {source: b, target: c}, tokenize: bytes, normalize: none}"
    config = parse_config(f"{text}\nmodel: encoder_decoder", "c")
    assert config.task.train.file == "a"
    assert (config.task.tokenize.source, config.task.tokenize.target) == ("bytes", "bytes")
    assert parse_config(dump_config(config), "d") == config


def test_lines_to_measure_on_that_are_too_long_are_left_out_too():
    pairs = task(max_source_length=2, too_long="skip")
    examples = read_examples(pairs, ["ab\tAB", "abc\tABC"], "f", leave_out=True)
    assert len(examples) == 1
    assert examples.notes == ("f: 1 of 2 examples left out, too long",)
    with pytest.raises(DataError, match="f: no examples left; all are too long"):
        read_examples(pairs, ["abc\tABC"], "f", leave_out=True)
    with pytest.raises(DataError, match="f:2: 3 symbols"):
        read_examples(pairs, ["ab\tAB", "abc\tABC"], "f")
