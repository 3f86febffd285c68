"""Documents and labels: files, vocabularies, padding, generated documents; and the way through the command line."""

import json
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnncli.cli.main import main
from rnncli.config import ClassifyTask, parse_config
from rnncli.data.parsing import read_examples
from rnncli.data.tasks.classify import Classify, generate
from rnncli.data.vocabulary import Vocabularies, Vocabulary
from rnncli.errors import ConfigError, DataError, InputError

TRAIN = "good\tthe film is fine\nbad\tawful film\n\ngood\tfine  fine\n"
VALIDATION = "bad\tthe awful plot\n"


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train.tsv").write_text(TRAIN)
    Path("validation.tsv").write_text(VALIDATION)


def task(recorded=None, **options):
    section = {"train": "train.tsv", "validation": "validation.tsv", **options}
    return Classify(ClassifyTask.model_validate(section), recorded)


def test_classify_vocabularies_come_from_training_file():
    documents = task()
    symbols = ("<pad>", "<unk>", "awful", "film", "fine", "is", "the")
    assert documents.source_vocabulary.symbols == symbols
    assert documents.target_vocabulary.symbols == ("bad", "good")
    sizes = documents.sizes
    assert (sizes.source_symbols, sizes.source_steps, sizes.target_symbols, sizes.target_steps) == (7, 200, 2, 1)


def test_classify_examples_are_padded_to_the_longest():
    train, validation = task().splits()
    assert train.source.tolist() == [[6, 3, 5, 4], [2, 3, 0, 0], [4, 4, 0, 0]]
    assert train.source_lengths.tolist() == [4, 2, 2]
    assert train.target.tolist() == [[1], [0], [1]]
    assert validation.source.tolist() == [[6, 2, 1]], "plot is unknown"


def test_classify_tokenizes_characters():
    letters = task(tokenize="characters")
    assert letters.source_vocabulary.symbols[:3] == ("<pad>", "<unk>", " ")
    assert letters.show_source(letters.read_source("a film\r\n")) == "a film"
    assert letters.show_source(letters.read_source("a zoo")) == "a <unk><unk><unk>"


def test_classify_reads_special_symbols_as_unknown():
    assert task().read_source("<pad> film <unk>") == [1, 3, 1]
    Path("train.tsv").write_text("a\t<pad> x\nb\t<unk> y\n")
    assert task().source_vocabulary.symbols == ("<pad>", "<unk>", "x", "y")


def test_classify_ignores_byte_order_mark_and_carriage_returns():
    Path("train.tsv").write_bytes(b"\xef\xbb\xbfgood\tfilm\r\nbad\tawful\r\n")
    assert task().target_vocabulary.symbols == ("bad", "good")
    assert task().source_vocabulary.symbols == ("<pad>", "<unk>", "awful", "film")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"no tab in it", r"(?m)train\.tsv:2: 1 columns$"),
        (b"a\tb\tc", r"(?m)train\.tsv:2: 3 columns$"),
        (b"\ttext", r"(?m)train\.tsv:2: no label$"),
        (b"label\t ", r"(?m)train\.tsv:2: no text$"),
        (b"label\t\xff", r"(?m)train\.tsv:2: not UTF-8 text: byte 0xff at byte 7 of the line$"),
        (b"good\t" + 5 * b"long ", r"train\.tsv:2: 5 symbols, more than task\.max_length \(4\): 'long long"),
    ],
)
def test_classify_names_the_invalid_line(line, problem):
    Path("train.tsv").write_bytes(b"bad\tfilm\n" + line + b"\ngood\tfilm\n")
    with pytest.raises(DataError, match=problem) as refused:
        task(max_length=4).splits()
    assert refused.value.hint


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "train.tsv: no examples"),
        ("\n \n", "train.tsv: no examples"),
        ("a\tx\na\ty\n", "train.tsv: fewer than two labels to tell apart"),
    ],
)
def test_classify_refuses_files_with_too_few_examples_or_labels(text, problem):
    Path("train.tsv").write_text(text)
    with pytest.raises(DataError, match=problem):
        task()


def test_classify_refuses_unknown_label_in_validation():
    Path("validation.tsv").write_text("bad\tx\nugly\tx\n")
    with pytest.raises(DataError, match=r"validation\.tsv:2: .*'ugly'"):
        task().splits()


def test_classify_reads_normal_forms_as_one_label_and_one_symbol():
    composed, decomposed = "été", "e\u0301te\u0301"
    Path("train.tsv").write_text(f"{composed}\tun {composed}\n{decomposed}\tun {decomposed}\nhiver\tun\n")
    assert task().target_vocabulary.symbols == ("hiver", composed)
    assert task().read_target(decomposed) == task().read_target(composed)
    assert task().read_source(decomposed) == task().read_source(composed)
    assert len(task(normalize="none").target_vocabulary) == 3


def test_classify_counts_unknown_symbols():
    documents = task()
    _, validation = documents.splits()
    assert [note for note in validation.notes if "1 unknown symbol ('plot' 1)" in note] == list(validation.notes)
    documents.read_source("zzz film www")
    assert documents.unknown.total == 2


def test_classify_keeps_the_text_of_held_out_examples():
    _, validation = task().splits()
    assert validation.texts == [(1, "the awful plot", "bad")]


@pytest.mark.parametrize(
    ("cells", "warned"),
    [
        (('"good', "film"), True),
        (("good", 'film"'), True),
        (('"good"', '"film"'), False),
        (("good", 'the "film"'), False),
        (("good", 'a 5" film'), False),
    ],
)
def test_classify_warns_of_half_quoted_cells(cells, warned):
    Path("train.tsv").write_text("bad\tawful\n" + "\t".join(cells) + "\n")
    Path("validation.tsv").write_text("bad\tawful\n")
    train, _ = task().splits()
    assert [note.startswith("train.tsv:2: warning: ") for note in train.notes] == [True] * warned


def test_classify_names_the_missing_file():
    with pytest.raises(InputError, match=r"elsewhere\.tsv: ") as refused:
        task(train="elsewhere.tsv")
    assert "relative path" in refused.value.hint
    with pytest.raises(InputError, match=r"\.: .*Is a directory"):
        task(train=".")


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("train: a", "c:1: task.train: needs task.validation"),
        ("validation: a", "c:1: task.validation: needs task.train"),
        ("examples: 5, held_out: 5", "c:1: task.held_out: must be less than task.examples (5)"),
        ("tokenize: words", "c:1: task.tokenize: 'words' is not known; must be one of characters, whitespace"),
    ],
)
def test_classify_config_refuses_inconsistent_keys(keys, problem):
    with pytest.raises(ConfigError) as refused:
        parse_config(f"task: {{type: classify, {keys}}}\nmodel: classifier", "c")
    assert refused.value.message.startswith(problem)


def test_classify_is_rebuilt_from_vocabularies_without_files():
    first = task()
    Path("train.tsv").unlink()
    again = task(Vocabularies(first.source_vocabulary, first.target_vocabulary))
    assert again.sizes == first.sizes
    assert again.read_source("awful film of old") == first.read_source("awful film of old")
    assert again.target_vocabulary == first.target_vocabulary


def test_classify_repairs_recorded_vocabularies():
    odd = Vocabularies(Vocabulary(("film", "<pad>", "<unk>")), Vocabulary(("good", "bad")))
    again = task(odd)
    assert (again.source_vocabulary, again.target_vocabulary) != odd


def test_read_examples_reads_label_and_text_columns():
    examples = read_examples(task(), ["good\tfine film", "bad\tawful"], "f")
    assert examples.target.tolist() == [[1], [0]]
    assert examples.source[:, :2].tolist() == [[4, 3], [2, 0]]
    assert examples.source.shape == (2, 2), "as long as the longest"
    with pytest.raises(DataError, match="f:1: ") as refused:
        read_examples(task(), ["fine film"], "f")
    assert refused.value.hint == "write target, tab, source"


def test_generate_documents_with_majority_of_the_labels_word():
    documents = generate(300, 40, seed=1)
    for document in documents:
        count = Counter(document.text.split())
        assert (count["good"] > count["bad"]) == (document.label == "positive")
        assert count["good"] != count["bad"]
    lengths = {len(document.text.split()) for document in documents}
    assert (min(lengths), max(lengths)) == (5, 40)
    assert 100 < sum(document.label == "positive" for document in documents) < 200
    assert any({"good", "bad"} <= set(document.text.split()) for document in documents)
    assert generate(300, 40, seed=1) == documents != generate(300, 40, seed=2)


def test_classify_generates_documents_without_files():
    generated = Classify(ClassifyTask(examples=50, held_out=10, max_length=20))
    train, held_out = generated.splits()
    assert (len(train), len(held_out)) == (40, 10)
    assert train.source_lengths.max() <= 20


TINY = """
task: {type: classify, train: train.tsv, validation: validation.tsv, max_length: 12}
model: {type: classifier, units: 8, pooling: mean}
training: {epochs: 40, batch_size: 8, learning_rate: 2e-2}
"""


def test_classify_trains_and_predicts_through_the_command_line(runtime):
    def rnncli(*arguments):
        return CliRunner().invoke(main, list(arguments))

    words = ["film", "the plot", "music of the film", "the music of the plot"]
    lines = [
        f"{label}\t{text} {mark} {text}" for label, mark in (("up", "fine"), ("down", "dull")) for text in words[:3]
    ]
    Path("train.tsv").write_text("\n".join(lines * 4) + "\n")
    Path("validation.tsv").write_text(f"up\t{words[3]} fine\ndown\t{words[3]} dull\n")
    Path("c.yaml").write_text(TINY)
    trained = rnncli("train", "c.yaml", "--run-dir", "run")
    assert trained.exit_code == 0, trained.stderr
    assert json.loads(rnncli("evaluate", "run", "--format", "json").stdout)["exact"] == 2

    Path("train.tsv").unlink()
    Path("validation.tsv").unlink()
    answers = rnncli("predict", "run", "film fine", "dull the", "", "x " * 13)
    assert answers.stdout == "up\ndown\n\n\n"
    assert "3: no text" in answers.stderr
    assert "4: 13 symbols, more than task.max_length (12)" in answers.stderr

    Path("test.tsv").write_text("up\tfine music\ndown\tdull music\nup\tdull plot\n")
    measured = json.loads(rnncli("evaluate", "run", "--input", "test.tsv", "--format", "json").stdout)
    assert (measured["examples"], measured["exact"], measured["symbol_error_rate"]) == (3, 2, pytest.approx(1 / 3))
    gone = rnncli("evaluate", "run")
    assert (gone.exit_code, "train.tsv: " in gone.stderr) == (2, True)

    vocabulary = Path("run/vocabulary.json")
    vocabulary.write_text(vocabulary.read_text().replace('"<unk>"', '"unk"'))
    damaged = rnncli("predict", "run", "film")
    assert (damaged.exit_code, "vocabulary.json: " in damaged.stderr) == (2, True)
