"""Two texts of an example: files, vocabularies of their own, padding, generated words, and refusals of configs."""

from pathlib import Path

import pytest

from rnncli.config import ClassifyTask, parse_config
from rnncli.data.parsing import read_examples
from rnncli.data.tasks.classify import CHANGES, Classify, generate_words
from rnncli.data.vocabulary import Vocabularies
from rnncli.errors import ConfigError, DataError

TRAIN = "yes\tab\tba\nno\tabc\tx\n\nno\tc\tbb\n"
VALIDATION = "yes\tax\tb\nno\tb\tcx\n"


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.tsv").write_text(TRAIN)
    Path("validation.tsv").write_text(VALIDATION)


def task(recorded=None, **options):
    section = {"train": "train.tsv", "validation": "validation.tsv", "tokenize": "characters", "max_length": 4}
    return Classify(ClassifyTask.model_validate({**section, "texts": 2, **options}), recorded)


def test_each_text_has_a_vocabulary_of_its_own():
    pairs = task()
    symbols = ("<pad>", "<unk>", "a", "b", "x", "first: a", "first: b", "first: c")
    assert pairs.source_vocabulary.symbols == symbols
    sizes = pairs.sizes
    assert (sizes.source_symbols, sizes.first_symbols, sizes.second_symbols) == (8, 5, 5)
    assert (sizes.source_steps, sizes.tags, sizes.target_symbols) == (8, 4, 2)
    both = Vocabularies(pairs.source_vocabulary, pairs.target_vocabulary)
    assert both.of("first").symbols == ("<pad>", "<unk>", "first: a", "first: b", "first: c")
    assert both.of("second").symbols == symbols[:5]
    assert both.of("target") == pairs.target_vocabulary


def test_the_first_text_is_padded_and_the_second_follows():
    train, validation = task().splits()
    assert train.source.tolist() == [[5, 6, 0, 0, 3, 2], [5, 6, 7, 0, 4, 0], [7, 0, 0, 0, 3, 3]]
    assert train.source_lengths.tolist() == [6, 5, 6]
    assert train.target.tolist() == [[1], [0], [0]]
    assert validation.source.tolist() == [[5, 1, 0, 0, 3, 0], [6, 0, 0, 0, 1, 4]], "x is no first symbol, c no second"
    assert validation.texts == [(1, "ax\tb", "yes"), (2, "b\tcx", "no")]
    assert any("2 unknown symbols ('first: x' 1, 'c' 1)" in note for note in validation.notes)


def test_texts_are_shown_as_they_were_read():
    pairs, words = task(), task(tokenize="whitespace")
    assert pairs.show_source(pairs.read_source("cab\tax")) == "cab\tax"
    assert words.show_source(words.read_source("ab  abc\tba bb")) == "ab abc\tba bb"
    assert pairs.read_source(" ab \tba\r\n") == pairs.read_source("ab\tba"), "white space around a text is no symbol"


def test_a_special_symbol_or_prefix_in_a_text_is_text():
    assert task(tokenize="whitespace").read_source("<pad>\tfirst: ba")[4:] == [1, 2]
    Path("train.tsv").write_text("a\tfirst: x\t<unk> y\nb\tx\tfirst: x\n")
    symbols = task(tokenize="whitespace").source_vocabulary.symbols
    assert symbols == ("<pad>", "<unk>", "first:", "x", "y", "first: first:", "first: x")


def test_task_is_rebuilt_from_recorded_vocabularies():
    pairs = task()
    again = task(Vocabularies(pairs.source_vocabulary, pairs.target_vocabulary))
    assert (again.sizes, again.source_vocabulary) == (pairs.sizes, pairs.source_vocabulary)
    pairs.extend_vocabulary(Vocabularies(task(tokenize="whitespace").source_vocabulary, pairs.target_vocabulary))
    assert pairs.source_vocabulary.symbols[2:] == (
        *("a", "b", "ba", "bb", "x"),
        *(f"first: {symbol}" for symbol in ("a", "ab", "abc", "b", "c")),
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("yes\tab", r"(?m)train\.tsv:2: 2 columns$"),
        ("yes\ta\tb\tc", r"(?m)train\.tsv:2: 4 columns$"),
        ("yes\t\tb", r"(?m)train\.tsv:2: no text$"),
        ("yes\ta\t ", r"(?m)train\.tsv:2: no text$"),
        ("yes\tabbab\tb", r"train\.tsv:2: 5 symbols in the first text, more than task\.max_length \(4\): 'abbab"),
        ("yes\tb\tabbab", r"train\.tsv:2: 5 symbols in the second text, more than "),
    ],
)
def test_an_invalid_line_is_named(line, problem):
    Path("train.tsv").write_text(f"no\ta\tb\n{line}\n")
    with pytest.raises(DataError, match=problem) as refused:
        task().splits()
    assert refused.value.hint
    if "columns" in problem:
        assert refused.value.hint == "write label, tab, first text, tab, second text"


@pytest.mark.parametrize(
    ("text", "problem"),
    [("ab", "^1 column: "), ("a\tb\tc", "^3 columns: "), ("\tb", "^no first text"), ("a\t", "^no second text")],
)
def test_a_source_that_is_not_two_texts_is_refused(text, problem):
    with pytest.raises(DataError, match=problem) as refused:
        task().read_source(text)
    if "column" in problem:
        assert refused.value.hint == r"write first text, tab, second text; in a shell $'FIRST\tSECOND'"


def test_longer_texts_and_ragged_rows_may_be_skipped():
    Path("train.tsv").write_text(TRAIN + "yes\tabbab\tb\nyes\tb\tabbab\nyes\tb\n")
    train, _ = task(too_long="skip", ragged_rows="skip").splits()
    assert (len(train), train.left_out) == (3, 2)
    assert any("skipped 1 of 6 lines with another number of columns" in note for note in train.notes)


def test_examples_are_read_from_three_columns():
    examples = read_examples(task(), ["yes\tab\tba", "no\tc\tx"], "f")
    assert examples.source.tolist() == [[5, 6, 0, 0, 3, 2], [7, 0, 0, 0, 4, 0]]
    assert examples.texts[0].source == "ab\tba"
    with pytest.raises(DataError, match="f:1: 2 columns") as refused:
        read_examples(task(), ["ab\tba"], "f")
    assert refused.value.hint == "write label, tab, first text, tab, second text"


def test_a_csv_with_a_header_is_read():
    Path("train.tsv").write_text("relation,lemma,form\nyes,ab,ba\nno,abc,x\n")
    train, _ = task(format="csv").splits()
    assert len(train) == 2


def test_much_padding_of_the_first_text_is_noted():
    noted = [[note for note in task(max_length=length).splits()[0].notes if "padded" in note] for length in (5, 6)]
    assert noted == [
        [],
        [
            "train.tsv: the longest text has 3 symbols, and each first text is padded to task.max_length (6); a "
            "smaller one trains faster"
        ],
    ]


def test_generated_words_are_cognates_by_sound_changes():
    pairs = generate_words(400, 6, seed=1)
    assert 150 < sum(pair.label == "cognate" for pair in pairs) < 250
    for pair in pairs:
        first, second = pair.text.split("\t")
        changed = "".join(CHANGES.get(sound, sound) for sound in first)
        assert (changed == second) == (pair.label == "cognate")
        assert len(first) == len(second) in (4, 6)
    assert generate_words(400, 6, seed=1) == pairs != generate_words(400, 6, seed=2)
    spaced = generate_words(400, 6, 1, " ")
    assert [pair.text.replace(" ", "") for pair in spaced] == [pair.text for pair in pairs]
    assert {len(text) for pair in generate_words(50, 1, 1) for text in pair.text.split("\t")} == {1}


CLASSIFY = "{type: classify, texts: 2}"


@pytest.mark.parametrize(
    ("task", "model", "problem"),
    [
        (CLASSIFY, "classifier", r"c:1: task\.texts: 2 .*model\.encoder"),
        ("classify", "{type: classifier, encoder: {}}", r"c:2: model\.encoder: .*task\.texts: 2"),
        ("addition", "{type: classifier, encoder: {}}", r"c:2: model\.encoder: is for task classify"),
        (
            "{type: classify, texts: 3}",
            "{type: classifier, encoder: {}}",
            r"c:1: task\.texts: 3 is not allowed; must be one of 1, 2",
        ),
        (CLASSIFY, "{type: classifier, encoder: {}, symbols: number}", r"c:2: model\.symbols: number"),
        (CLASSIFY, "{type: classifier, encoder: {unit: 3}}", r"c:2: model\.encoder\.unit: unknown key"),
        (CLASSIFY, "{type: classifier, encoder: {merge: sum}}", r"c:2: model\.encoder\.merge: .*bidirectional"),
        (
            CLASSIFY,
            "{type: classifier, cell: [lstm], layers: 1, encoder: {layers: 2}}",
            r"c:2: model\.cell: 1 cells, and model\.encoder has 2",
        ),
        (
            CLASSIFY,
            "{type: classifier, implementation: cell, encoder: {recurrent_dropout: 0.1}}",
            r"c:2: model\.encoder\.recurrent_dropout",
        ),
        (CLASSIFY, "{type: classifier, stateful: true, encoder: {}}", r"c:2: model\.stateful: unknown key"),
    ],
)
def test_config_refuses_what_does_not_fit(task, model, problem):
    with pytest.raises(ConfigError, match=problem):
        parse_config(f"task: {task}\nmodel: {model}", "c")


def test_initial_weights_may_be_of_the_embedding_of_the_first_text_alone():
    section = "training: {initial_weights: {embedding: glorot_uniform}}"
    config = parse_config(f"task: {CLASSIFY}\nmodel: {{type: classifier, encoder: {{embedding: 3}}}}\n{section}", "c")
    assert config.model.min_parameters(100, 2) == 128**2 + 32**2 + 3 * 100 + 32 * 2
