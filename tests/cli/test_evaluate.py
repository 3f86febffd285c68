"""`rnncli evaluate`: metrics against counts by hand, groups, the table of wrong predictions, and refusals."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from heavy_imports import run_and_list_heavy
from hypothesis import given
from hypothesis import strategies as st

from rnncli.cli.main import main
from rnncli.cli.tables import alignment_cell
from rnncli.text import escape_line

CONFIG = """
task:
  type: pairs
  train: train.tsv
  validation: train.tsv
  columns: {source: 1, target: 2, features: 3}
  features: joined
  tokenize: {source: characters, target: whitespace}
  max_source_length: 12
  max_target_length: 8
model: {type: encoder_decoder, encoder: {units: 32}, decoder: {units: 32}}
training: {epochs: 40, batch_size: 4, learning_rate: 1e-2}
"""
WORDS = ["sea", "shop", "chess", "cash", "each", "a ship"]
PHONES = ["s i", "ʃ ɒ p", "tʃ ɛ s", "k æ ʃ", "i tʃ", "ə ʃ ɛ p"]
TAGS = ["N", "N;V", "N", "N;V", "", "N;DET"]
Z_95 = 1.959963984540054  # the standard normal distribution's quantile of 97.5%
COLUMNS = ["example", "source", "prediction", "target", "edits", "alignment"]


def rnncli(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def figures(*arguments):
    result = rnncli("evaluate", "run", "--format", "json", *arguments)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def write_pairs(path, targets):
    lines = [f"{word}\t{target}\t{tags}\n" for word, target, tags in zip(WORDS, targets, TAGS, strict=True)]
    Path(path).write_text("".join(lines))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, runtime):
    """A directory with a run that memorized six words, and a file with other targets for three of them."""
    folder = tmp_path_factory.mktemp("evaluate")
    (folder / "config.yaml").write_text(CONFIG)
    write_pairs(folder / "train.tsv", PHONES)
    write_pairs(folder / "other.tsv", ["s i", "tʃ ɒ p s", "tʃ ɛ s", "æ ʃ", "i tʃ", "ʃ ɛ p ə"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        trained = rnncli("train", "config.yaml", "--run-dir", "run")
    assert trained.exit_code == 0, trained.stderr
    return folder


@pytest.fixture(autouse=True)
def _there(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.fixture(scope="module")
def other(folder):
    """The JSON and the table of other.tsv."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return figures("--input", "other.tsv"), rnncli("evaluate", "run", "--input", "other.tsv").stdout


def test_metrics_match_counts_by_hand(other):
    found, _ = other
    # shop: a substitution and a deletion; cash: an insertion; a ship: an insertion and a deletion
    assert (found["examples"], found["exact"]) == (6, 3)
    assert (found["exact_match"], found["word_error_rate"]) == (3 / 6, 3 / 6)
    assert found["symbol_error_rate"] == (2 + 1 + 2) / (2 + 4 + 3 + 2 + 2 + 4)
    for name in ("exact_match", "word_error_rate", "symbol_error_rate"):
        low, high = found[f"{name}_interval"]
        assert 0 <= low < found[name] < high <= 1
    low, high = found["exact_match_interval"]
    assert found["word_error_rate_interval"] == pytest.approx([1 - high, 1 - low])


def test_intervals_of_perfect_predictions_reach_down_as_wilson_says():
    found = figures()
    assert (found["exact_match"], found["word_error_rate"], found["symbol_error_rate"]) == (1, 0, 0)
    low = found["examples"] / (found["examples"] + Z_95**2)
    assert found["exact_match_interval"] == pytest.approx([low, 1])
    assert found["word_error_rate_interval"] == pytest.approx([0, 1 - low])
    assert found["symbol_error_rate_interval"] == pytest.approx([0, 1 - low])


def test_table_shows_the_metrics_and_groups_on_request(other):
    found, table = other
    lines = table.splitlines()
    assert lines[0] == "6 examples, 3 right in every symbol"
    assert lines[2].split() == ["95%", "interval"]
    low, high = found["symbol_error_rate_interval"]
    assert lines[-1].split() == ["symbol", "error", "rate", "29.41%", f"{low:.2%}", "to", f"{high:.2%}"]
    names = ["held-out loss", "symbol accuracy", "exact match", "word error rate"]
    assert [line.split("  ")[0] for line in lines[3:7]] == names
    assert len(lines) == 8
    by_feature = rnncli("evaluate", "run", "--input", "other.tsv", "--by", "feature").stdout.splitlines()
    assert by_feature[:8] == lines
    assert [line.split() for line in by_feature[10:]] == [
        ["DET", "1", "0", "0.00%", "50.00%"],
        ["N", "5", "2", "40.00%", "33.33%"],
        ["V", "2", "0", "0.00%", "50.00%"],
    ]


def test_any_of_several_targets_of_a_source_is_right_where_asked():
    write_pairs("falsified.tsv", [f"{phones} i" for phones in PHONES])
    Path("several.tsv").write_text(Path("falsified.tsv").read_text() + Path("train.tsv").read_text())
    each, any_of = (figures("--input", "several.tsv", "--references", how) for how in ("each", "any"))
    assert (each["examples"], each["exact_match"]) == (12, 0.5)
    assert (any_of["examples"], any_of["exact_match"]) == (6, 1.0)


def test_group_counts_add_up_to_the_total(other):
    found, _ = other
    assert set(found["groups"]) == {"length", "feature"}, "JSON has all kinds"
    lengths = found["groups"]["length"]
    assert {length: group["examples"] for length, group in lengths.items()} == {"3": 1, "4": 3, "5": 1, "6": 1}
    for count in ("examples", "exact"):
        assert sum(group[count] for group in lengths.values()) == found[count]
    assert set(figures("--by", "length", "--by", "length")["groups"]) == {"length"}


def test_errors_file_aligns_wrong_predictions_with_targets(other):
    shown = rnncli("evaluate", "run", "--input", "other.tsv", "--errors", "wrong.tsv")
    assert shown.stdout == other[1]
    header, *rows = [line.split("\t") for line in Path("wrong.tsv").read_text().splitlines()]
    assert header == COLUMNS
    assert rows == [
        ["2", r"shop\tN;V", "ʃ ɒ p", "tʃ ɒ p s", "2", "tʃ→ʃ ɒ p s→"],
        ["4", r"cash\tN;V", "k æ ʃ", "æ ʃ", "1", "→k æ ʃ"],
        ["6", r"a ship\tN;DET", "ə ʃ ɛ p", "ʃ ɛ p ə", "2", "→ə ʃ ɛ p ə→"],
    ]
    again = rnncli("evaluate", "run", "--errors", "wrong.tsv")
    assert (again.exit_code, again.stdout) == (2, "")
    assert "wrong.tsv: exists" in again.stderr
    assert rnncli("evaluate", "run", "--errors", "wrong.tsv", "--overwrite").exit_code == 0
    assert Path("wrong.tsv").read_text().splitlines() == ["\t".join(COLUMNS)], "no wrong predictions"


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--by", "digits"], "length, feature"),
        (["--errors", "-"], "--errors -"),
        (
            ["--errors", "train.tsv"],
            "train.tsv: exists",
        ),
        (["--errors", "none/wrong.tsv"], "none/wrong.tsv:"),
        (["--errors", "run", "--overwrite"], "run: "),
        (["--errors", "/dev/null", "--overwrite"], "/dev/null: "),
        (["--overwrite"], "--overwrite"),
    ],
)
def test_unusable_options_are_refused(options, problem):
    before = Path("train.tsv").read_bytes()
    refused = rnncli("evaluate", "run", *options)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert problem in refused.stderr
    assert Path("train.tsv").read_bytes() == before


def test_unknown_group_kind_is_refused_before_tensorflow(folder):
    options = ["--by", "digits", "--input", folder / "other.tsv"]
    assert run_and_list_heavy("evaluate", folder / "run", *options) == (2, [])


def test_a_run_whose_data_is_gone_names_what_works(tmp_path):
    Path("train.tsv").rename("moved.tsv")
    try:
        refused = rnncli("evaluate", "run")
        resumed = rnncli("train", "--resume", "run", "--set", "training.epochs=41")
        named = ["--set", "task.train=moved.tsv", "--set", "task.validation=moved.tsv"]
        measured = rnncli("evaluate", "run", "--input", "moved.tsv")
        shutil.copytree("run", tmp_path / "copied")
        went_on = rnncli("train", "--resume", tmp_path / "copied", "--set", "training.epochs=41", *named)
    finally:
        Path("moved.tsv").rename("train.tsv")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "train.tsv" in refused.stderr
    assert "--input" in refused.stderr
    assert measured.exit_code == 0, measured.stderr
    assert resumed.exit_code == 2
    assert "--set task.train=FILE" in resumed.stderr
    assert went_on.exit_code == 0, went_on.stderr


def test_metrics_are_printed_before_an_error_of_the_errors_file(monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rnncli.files.write_atomically", full)
    result = rnncli("evaluate", "run", "--errors", "full.tsv")
    assert result.exit_code == 1
    assert result.stdout.startswith("6 examples")
    assert "full.tsv: cannot be written: No space left" in result.stderr


def compared(task, examples, predicted):
    from rnncli.inference.evaluation import compare

    return task, examples, compare(task, examples, np.array(predicted))


def test_evaluation_of_text_compares_all_steps_of_each_target():
    from rnncli.config import TextTask
    from rnncli.data.parsing import read_examples
    from rnncli.data.tasks.text import Text
    from rnncli.data.vocabulary import Vocabularies, Vocabulary
    from rnncli.inference.evaluation import evaluate, wrong_predictions

    letters = Vocabulary.of("abc\n", ["<pad>", "<unk>"])
    task = Text(TextTask(window=4), Vocabularies(letters, letters))
    examples = read_examples(task, ["abca\tbcab", "ab\tb\\n"], "f")
    found = compared(task, examples, [task.read_target("bcab"), [*task.read_target("bc"), 0, 0]])
    assert evaluate(*found).total.metrics["symbol_error_rate"] == 1 / 6
    assert evaluate(*found).groups == {}
    (wrong,) = wrong_predictions(*found)
    assert wrong == (2, "ab", "bc", "b\n", 1, [("b", "b"), ("\n", "c")], 1)


def test_evaluation_of_one_example_with_an_empty_prediction():
    from rnncli.config import AdditionTask
    from rnncli.data.parsing import read_examples
    from rnncli.data.tasks.addition import Addition
    from rnncli.inference.evaluation import evaluate, wrong_predictions

    task = Addition(AdditionTask(digits=1, examples=10, held_out=1))
    end = task.read_target("7")[-1]
    found = compared(task, read_examples(task, ["9+8"], "f"), [[end, 0, 0]])
    evaluation = evaluate(*found, ["digits", "carries"])
    assert evaluation.total.examples == 1
    assert evaluation.total.metrics["word_error_rate"] == evaluation.total.metrics["symbol_error_rate"] == 1
    assert evaluation.intervals["exact_match"] == pytest.approx((0, Z_95**2 / (1 + Z_95**2)))  # Wilson's
    assert evaluation.intervals["symbol_error_rate"] == pytest.approx((1 / (1 + Z_95**2), 1))
    assert evaluation.groups == {"digits": {1: evaluation.total}, "carries": {1: evaluation.total}}
    (wrong,) = wrong_predictions(*found)
    assert (wrong.prediction, wrong.target, alignment_cell(wrong.alignment)) == ("", "17", "1→ 7→")


symbols = st.text(st.sampled_from("ab →␣\\\t\n\r"), min_size=1, max_size=3)


def unescaped(text):
    signs = {"t": "\t", "n": "\n", "r": "\r"}
    return re.sub(r"\\(.)|␣", lambda found: signs.get(found[1], found[1]) if found[1] else " ", text, flags=re.DOTALL)


@given(st.lists(st.tuples(symbols | st.none(), symbols | st.none()).filter(any), max_size=5))
def test_alignment_cell_can_be_read_back(alignment):
    shown = alignment_cell(alignment)
    assert not set(shown) & set("\t\n\r")
    found = []
    for token in shown.split(" ") if shown else []:
        left, arrow, right = re.fullmatch(r"((?:\\.|[^\\→])*)(→?)((?:\\.|[^\\→])*)", token).groups()
        found.append((unescaped(left) or None, unescaped(right if arrow else left) or None))
    assert found == alignment


@given(st.text(st.sampled_from("ab\\\t\n\rtnr␣")))
def test_text_cell_can_be_read_back(text):
    shown = escape_line(text)
    assert not set(shown) & set("\t\n\r")
    assert unescaped(shown.replace("␣", "\\␣")) == text
