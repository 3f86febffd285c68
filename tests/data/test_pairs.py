"""Pairs of texts: symbols, vocabularies, features, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pair_task import FEATURES, shown, task, write_files

from rnncli.config import parse_config
from rnncli.config.earlier_versions import complete_recorded
from rnncli.data import pair_files
from rnncli.data.columns import SourceText
from rnncli.data.examples import ARRAYS
from rnncli.data.parsing import read_examples
from rnncli.data.vocabulary import SPECIALS, UnknownSymbols, Vocabularies, Vocabulary
from rnncli.errors import ConfigError, DataError, InputError


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)


def test_pairs_vocabulary_has_specials_then_training_symbols():
    pairs = task()
    assert pairs.source_vocabulary.symbols == ("<pad>", "<bos>", "<eos>", "<unk>", "a", "b", "c")
    assert pairs.target_vocabulary.symbols == ("<pad>", "<bos>", "<eos>", "<unk>", "A", "B", "C")


def test_pairs_are_padded_right_and_targets_end_with_eos():
    train, validation = task(max_target_length=5).splits()
    assert train.source.tolist() == [[4, 5, 0], [5, 4, 0], [4, 5, 6]]
    assert train.source_lengths.tolist() == [2, 2, 3]
    assert train.target.tolist() == [[4, 5, 2, 0], [5, 4, 2, 0], [4, 5, 6, 2]]
    assert train.target_lengths.tolist() == [3, 3, 4]
    assert validation.target.tolist() == [[6, 4, 5, 2, 0, 0]], "as wide as what a model writes"
    assert (train.source.dtype, train.target.dtype) == (np.uint8, np.uint8)


def test_pairs_are_padded_to_their_own_longest_side():
    train, validation = task(max_source_length=7, max_target_length=9).splits()
    assert (train.steps, validation.steps) == (4, 10)  # validation is as wide as what a model writes


def test_pairs_of_many_symbols_use_a_wider_type():
    letters = [chr(0x4E00 + n) for n in range(300)]
    Path("train.tsv").write_text("".join(f"{letter}\tx\n" for letter in letters))
    train, _ = task().splits()
    assert (train.source.dtype, train.source.max()) == (np.uint16, 303)


def test_pairs_sizes_follow_from_config():
    sizes = task(max_source_length=7, max_target_length=9).sizes
    assert (sizes.source_symbols, sizes.source_steps, sizes.target_symbols, sizes.target_steps) == (7, 7, 7, 10)


@pytest.mark.parametrize("side", ["source", "target"])
def test_pairs_tokenize_each_side_separately(side):
    Path("train.tsv").write_text("ab cd\tab cd\n")
    pairs = task(tokenize={side: "whitespace"})
    vocabularies = {"source": pairs.source_vocabulary, "target": pairs.target_vocabulary}
    assert vocabularies.pop(side).symbols[4:] == ("ab", "cd")
    assert next(iter(vocabularies.values())).symbols[4:] == (" ", "a", "b", "c", "d")
    assert shown(pairs) == [("ab cd", "ab cd")]


def test_features_are_prepended_as_single_symbols():
    Path("train.tsv").write_text("ab\tAB\tV; PST\nab\tBA\t\n")
    Path("validation.tsv").write_text("ab\tAB\tV;FUT\n")
    pairs = task(**FEATURES)
    assert pairs.source_vocabulary.symbols[4:] == (";PST", ";V", "a", "b")
    assert shown(pairs) == [("ab\tV;PST", "AB"), ("ab\t", "BA")]
    assert pairs.read_source("ab\tV;;PST") == [5, 4, 6, 7]
    assert pairs.splits()[1].notes == ("validation.tsv: 1 unknown symbol (';FUT' 1)",)
    with pytest.raises(DataError, match="'ab'") as refused:
        pairs.read_source("ab")
    assert "source, tab, features" in refused.value.hint
    assert read_examples(pairs, ["ab\tAB\tPST"], "f").source[0, :3].tolist() == [4, 6, 7]


def test_features_may_come_behind_the_source():
    Path("train.tsv").write_text("ab;\tAB\tV; PST\nab\tBA\t\n")
    Path("validation.tsv").write_text("ab\tAB\tV\n")
    pairs = task(**FEATURES | {"features": "appended"})
    assert shown(pairs) == [("ab;\tV;PST", "AB"), ("ab\t", "BA")]
    ids = pairs.source_vocabulary.ids
    assert pairs.read_source("ab\tV;PST") == [ids["a"], ids["b"], ids[";V"], ids[";PST"]]


@pytest.mark.parametrize(
    ("separator", "text", "tags"),
    [
        (";", "N;ABL(PL;PSS(2,PL))", ["N", "ABL(PL;PSS(2,PL))"]),
        (";", "V;[A;{B;C}];;D", ["V", "[A;{B;C}]", "D"]),
        (",", "pos=N, case=ABL(PL,PSS)", ["pos=N", "case=ABL(PL,PSS)"]),
        (" ", "V PST", ["V", "PST"]),
        (";", "N);:(;B", ["N)", ":(", "B"]),
        (";", None, []),
    ],
)
def test_brackets_of_features_are_kept_whole(separator, text, tags):
    assert SourceText("x", text).tags(separator) == tags


def test_shared_vocabulary_has_the_symbols_of_both_sides():
    Path("train.tsv").write_text("ab\tBx\tV\nac\tx\tV\n")
    Path("validation.tsv").write_text("ab\tBx\tV\n")
    pairs = task(**FEATURES, shared_vocabulary=True)
    assert pairs.source_vocabulary == pairs.target_vocabulary
    assert pairs.source_vocabulary.symbols == (*SPECIALS, ";V", "B", "a", "b", "c", "x")
    assert shown(pairs) == [("ab\tV", "Bx"), ("ac\tV", "x")]
    frequent = task(**FEATURES, shared_vocabulary=True, min_frequency=2)
    assert frequent.target_vocabulary.symbols == (*SPECIALS, ";V", "a", "x"), "counted on both sides together"


def test_shared_vocabulary_is_extended_by_both_sides_of_another():
    Path("train.tsv").write_text("ab\tBx\n")
    pairs = task(shared_vocabulary=True)
    pairs.extend_vocabulary(Vocabularies(Vocabulary((*SPECIALS, "c", "b")), Vocabulary((*SPECIALS, "x", "c"))))
    assert pairs.source_vocabulary.symbols == (*SPECIALS, "c", "b", "x", "B", "a")
    assert pairs.target_vocabulary == pairs.source_vocabulary


def test_shared_vocabulary_of_a_run_must_be_one():
    both = {"source": [*SPECIALS, "a"], "target": [*SPECIALS, "A"]}
    Path("v.json").write_text(json.dumps(both))
    with pytest.raises(InputError, match=r"^v\.json: task\.vocabulary: "):
        task(vocabulary="v.json", shared_vocabulary=True)
    Path("v.json").write_text(json.dumps(both | {"target": both["source"]}))
    assert task(vocabulary="v.json", shared_vocabulary=True).target_vocabulary.symbols == (*SPECIALS, "a")


@pytest.mark.parametrize(
    ("keys", "model", "key"),
    [
        ("", "encoder: {embedding: 3}, decoder: {embedding: 3}", "model.shared_embedding"),
        (", shared_vocabulary: true", "encoder: {embedding: 3}, decoder: {embedding: 4}", "model.shared_embedding"),
        (", shared_vocabulary: true", "encoder: {embedding: 3}", "model.shared_embedding"),
    ],
)
def test_config_refuses_an_embedding_that_cannot_be_shared(keys, model, key):
    pairs = f"{{type: pairs, train: a, validation: b{keys}}}"
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        parse_config(f"{{task: {pairs}, model: {{type: encoder_decoder, shared_embedding: true, {model}}}}}", "c")


ENCODER = FEATURES | {"features": "encoder", "max_features": 3}


def test_features_for_an_encoder_are_padded_and_come_first():
    Path("train.tsv").write_text("ab\tAB\tV; PST\nab\tBA\t\n")
    Path("validation.tsv").write_text("ba\tAB\tV;FUT\n")
    pairs = task(**ENCODER, max_source_length=5)
    assert pairs.source_vocabulary.symbols == (*SPECIALS, ";PST", ";V", "a", "b")
    train, held_out = pairs.splits()
    assert train.source.tolist() == [[5, 4, 0, 6, 7], [0, 0, 0, 6, 7]]
    assert train.source_lengths.tolist() == [5, 5]
    assert (pairs.sizes.source_steps, pairs.sizes.tags) == (8, 3)
    assert shown(pairs) == [("ab\tV;PST", "AB"), ("ab\t", "BA")]
    assert pairs.read_source("b\tPST") == [4, 0, 0, 7]
    assert held_out.notes == ("validation.tsv: 1 unknown symbol (';FUT' 1)",)
    assert str(pairs.unknown) == "0 unknown symbols ()"
    other = replace(train, source=train.source[:1], source_lengths=train.source_lengths[:1])
    assert pairs.overlap(train, other).startswith("2 of 2 sources are in train.tsv too, 1 with the same features")


@pytest.mark.parametrize(
    ("text", "problem", "key"),
    [
        ("ab\tA;B;C;D", "4 features, more than task.max_features (3)", "max_features"),
        ("abc\tA", "3 symbols, more than task.max_source_length (2)", "max_source_length"),
    ],
)
def test_features_for_an_encoder_are_limited_beside_the_text(text, problem, key):
    train = "ab\tAB\tA;B;C\n"
    Path("train.tsv").write_text(train)
    Path("validation.tsv").write_text(train)
    pairs = task(**ENCODER, max_source_length=2)
    with pytest.raises(DataError) as refused:
        pairs.read_source(text)
    assert refused.value.message.startswith(problem)
    assert key in refused.value.hint
    source, tags = text.split("\t")
    Path("train.tsv").write_text(f"{train}{source}\tAB\t{tags}\n")
    with pytest.raises(DataError, match=r"^train\.tsv:2: source of ") as refused:
        task(**ENCODER, max_source_length=2)
    assert problem in refused.value.message
    assert key in refused.value.hint
    skipped = task(**ENCODER, max_source_length=2, too_long="skip").splits()[0]
    assert (skipped.left_out, f"task.{key}" in skipped.notes[0]) == (1, True)


@pytest.mark.parametrize("data", ["memory", "mapped"])
def test_features_for_an_encoder_are_the_same_in_mapped_files(monkeypatch, tmp_path, data):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("train.tsv").write_text("xb\tBx\tV;PST\nab\tBA\t\n")
    Path("validation.tsv").write_text("xb\tBx\tV;PST\n")
    vocabulary = {"source": [*SPECIALS, ";V", "a", "b"], "target": [*SPECIALS, "A", "B"]}
    Path("v.json").write_text(json.dumps(vocabulary))
    pairs = task(**ENCODER, max_source_length=5, data=data, vocabulary="v.json")
    pairs.copy_source()
    train = pairs.splits()[0]
    assert np.asarray(train.source).tolist() == [[4, 3, 0, 3, 6], [0, 0, 0, 5, 6]]
    assert np.asarray(train.target)[0].tolist() == [5, 6 + 3, 2], "the place of x, behind the features"
    assert pairs.sizes.copies == (-2, -2, -2, -1, -2, -1, -1)


def test_run_that_has_parts_of_brackets_as_features_reads_them_as_it_did():
    symbols = (*SPECIALS, ";ABL(PL", ";N", ";PSS(2)", "a")
    recorded = Vocabularies(Vocabulary(symbols), Vocabulary((*SPECIALS, "A")))
    assert task(recorded, **FEATURES, feature_brackets="split").read_source("a\tN;ABL(PL;PSS(2)") == [5, 4, 6, 7]
    Path("train.tsv").write_text("ab\tAB\tN;ABL(PL;PSS(2))\n")
    assert task(**FEATURES).source_vocabulary.symbols[4:6] == (";ABL(PL;PSS(2))", ";N")


def test_run_without_the_key_reads_brackets_as_versions_before_it():
    data = {"task": {"type": "pairs"}}
    assert complete_recorded(data)["task"]["feature_brackets"] == "split"


def test_separator_of_several_characters_is_refused_by_what_it_may_be():
    config = "task: {type: pairs, train: a, validation: b, columns: {features: 3, feature_separator: ab}}"
    with pytest.raises(InputError, match=r"feature_separator.*one character"):
        parse_config(config, "c.yaml")


def test_run_with_a_bracket_that_nothing_closes_keeps_the_others_whole():
    Path("train.tsv").write_text("ab\tAB\tN;ABL(PL;PSS)\nba\tBA\tV;X(Y\n")
    options = {**FEATURES, "validation": "train.tsv"}
    trained = task(**options)
    again = task(Vocabularies(trained.source_vocabulary, trained.target_vocabulary), **options)
    assert again.splits()[0].source.tolist() == trained.splits()[0].source.tolist()


def test_features_of_keys_and_values_are_split_shown_and_grouped():
    Path("train.tsv").write_text("ab\tAB\tpos=V,tense=PST\nab\tBA\tpos=V\n")
    Path("validation.tsv").write_text("ab\tAB\tpos=V,tense=PST\n")
    pairs = task(columns=FEATURES["columns"] | {"feature_separator": ","}, features="joined")
    assert pairs.source_vocabulary.symbols[4:6] == (";pos=V", ";tense=PST")
    assert shown(pairs)[0] == ("ab\tpos=V,tense=PST", "AB")
    pairs.remember_training()
    found = pairs.groups("b\ttense=PST,pos=V")
    assert (found["feature"], found["seen"]) == (["tense=PST", "pos=V"], ["features only"])


def test_source_beginning_with_semicolon_has_no_features():
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


def test_unknown_symbols_of_validation_are_counted():
    Path("validation.tsv").write_text("xa\tX\nxy\tA\n")
    pairs = task()
    _, validation = pairs.splits()
    assert validation.notes == ("validation.tsv: 4 unknown symbols ('x' 2, 'X' 1, 'y' 1)",)
    assert pairs.show_source(pairs.read_source("aza")) == "a\N{REPLACEMENT CHARACTER}a"
    assert str(pairs.unknown) == "1 unknown symbol ('z' 1)"


def test_unknown_symbols_are_counted_in_bounded_memory():
    unknown = UnknownSymbols()
    for number in range(5000):
        unknown.add(str(number))
    assert unknown.total == 5000
    assert len(str(unknown)) < 150


@pytest.mark.parametrize("special", SPECIALS)
def test_text_of_a_special_symbol_is_unknown(special):
    Path("train.tsv").write_text(f"a {special}\tb {special}\n")
    pairs = task(tokenize="whitespace")
    assert (pairs.source_vocabulary.symbols, pairs.read_source(f"{special} a")) == ((*SPECIALS, "a"), [3, 4])
    assert pairs.read_target(special) == [3, 2]


def test_pairs_show_target_of_invalid_ids():
    pairs = task()
    assert pairs.show_target([4, 0, 1, 3, 5, 2, 6]) == "A\N{REPLACEMENT CHARACTER}B"
    assert pairs.show_target([4, 5]) == "AB"


@pytest.mark.parametrize("name", ["run", "run/vocabulary.json"])
def test_pairs_take_vocabulary_from_a_run(name):
    Path("run").mkdir()
    symbols = {"source": [*SPECIALS, "z", "a"], "target": [*SPECIALS, "A"]}
    Path("run/vocabulary.json").write_text(json.dumps(symbols))
    pairs = task(vocabulary=name)
    assert pairs.source_vocabulary.symbols == (*SPECIALS, "z", "a"), "in its own order"
    assert pairs.splits()[0].notes == ("train.tsv: 8 unknown symbols ('b' 3, 'B' 3, 'c' 1, 'C' 1)",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "task.vocabulary: v.json: missing"),
        ("{", "task.vocabulary: v.json: not JSON"),
        ('{"source": ["a"]}', "task.vocabulary: v.json: target symbols are not a list"),
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
def test_pairs_refuse_other_vocabulary_files(text, problem):
    if text is not None:
        Path("v.json").write_text(text)
    with pytest.raises(InputError) as refused:
        task(vocabulary="v.json")
    assert refused.value.message.startswith(problem)


def test_pairs_repair_recorded_vocabularies():
    odd = Vocabularies(Vocabulary(("a", *SPECIALS)), Vocabulary(SPECIALS))
    assert task(odd).source_vocabulary != odd.source


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("validation: {source: b}", "task.validation.source: needs target"),
        ("validation: {target: b}", "task.validation.target: needs source"),
        ("validation: {file: b, target: c}", "task.validation.file: "),
        ("validation: {}", "task.validation.file: no file; give file, or source and target"),
        ("validation: b, tokenize: words", "task.tokenize.source: 'words' is not known; must be one of characters"),
        (
            "validation: b, columns: {target: 1}",
            "task.columns.source: 1 by default; source in column 1, target in col",
        ),
        ("validation: b, columns: {target: 3, count: 2}", "task.columns.count: must be at least 3"),
        ("validation: b, features: joined", "task.features: joined needs the column"),
        ("validation: b, columns: {features: 3}", "task.columns.features: "),
        ("validation: b, features: encoder", "task.features: encoder needs the column"),
        ("validation: b, features: joined, columns: {features: 3}, max_features: 3", "task.max_features: is for"),
        ("validation: b, columns: {feature_separator: ','}", "task.columns.feature_separator: has no effect"),
        ("validation: b, features: joined, columns: {features: 3, feature_separator: '('}", "task.columns.feature_"),
        ("validation: b, vocabulary: r, min_frequency: 2", "task.min_frequency: has no effect with task.vocabulary"),
        (
            "validation: {source: b, target: c}, features: joined, columns: {features: 3}",
            "task.features: joined needs files with columns",
        ),
    ],
)
def test_pairs_config_refuses_inconsistent_keys(keys, problem):
    with pytest.raises(ConfigError) as refused:
        parse_config(f"task: {{type: pairs, train: a, {keys}}}\nmodel: encoder_decoder", "c")
    assert refused.value.message.startswith(f"c:1: {problem}")


def test_pairs_config_round_trips_through_yaml():
    from rnncli.config import dump_config
    from rnncli.config.file_names import absolute_file_names

    text = "task: {type: pairs, train: a, validation: {source: b, target: c}, tokenize: bytes, normalize: none}"
    config = parse_config(f"{text}\nmodel: encoder_decoder", "c")
    assert config.task.train.file == "a"
    assert (config.task.tokenize.source, config.task.tokenize.target) == ("bytes", "bytes")
    assert parse_config(dump_config(config), "d") == absolute_file_names(config)


TEXTS = st.text("abé ", min_size=1, max_size=4).filter(str.strip)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=12), st.integers(0, 12), st.sampled_from(["characters", "bytes"]))
def test_pairs_are_the_same_whatever_the_blocks_they_are_read_in(monkeypatch, pairs, place, tokenize):
    pairs.insert(place, ("a", "b"))  # one that is never too long, since a file of others is refused
    Path("train.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in pairs))
    Path("validation.tsv").write_text("bxa\tyb\nab\tzx\n")
    options = {"tokenize": tokenize, "header": False, "normalize": "nfd", "max_source_length": 5, "too_long": "skip"}
    whole = task(**options)
    monkeypatch.setattr(pair_files, "MAX_BLOCK_ROWS", 3)
    blocks = task(**options)
    assert (blocks.source_vocabulary, blocks.target_vocabulary) == (whole.source_vocabulary, whole.target_vocabulary)
    for some, all_at_once in zip(blocks.splits(), whole.splits(), strict=True):
        assert (some.notes, some.left_out, some.texts) == (
            all_at_once.notes,
            all_at_once.left_out,
            all_at_once.texts,
        )
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(some, name), getattr(all_at_once, name), strict=True)


def test_what_is_no_pair_is_named_before_what_is_too_long(monkeypatch):
    monkeypatch.setattr(pair_files, "MAX_BLOCK_ROWS", 1)
    Path("train.tsv").write_text("a\tA\nabcdef\tA\nb\tB\nc\n")
    with pytest.raises(DataError, match=r"^train\.tsv:4: "):
        task(max_source_length=3)
    Path("train.tsv").write_text("a\tA\nb\tABCDEF\nabcdef\tABCDEF\n")
    with pytest.raises(DataError, match=r"^train\.tsv:2: target of 6"):
        task(max_source_length=3, max_target_length=4)


def test_empty_csv_is_refused():
    Path("train.tsv").write_text("\n \n")
    with pytest.raises(DataError, match=r"^train\.tsv: no pairs"):
        task(format="csv")
