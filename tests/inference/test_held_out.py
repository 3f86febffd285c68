"""Answers of runs, and paired tests of two."""

from dataclasses import replace

import pytest
from answers import answer_sums

from rnncli.cli.commands.report import paired_tests
from rnncli.data.parsing import read_examples
from rnncli.errors import InputError
from rnncli.inference.confusion import NOTHING, Confusion
from rnncli.inference.evaluation import WrongPrediction
from rnncli.inference.held_out import Comparison, PairedTest, common_rows
from rnncli.metrics import METRICS
from rnncli.metrics.class_report import ClassReport

FIRST = {"1+2": "3", "99+1": "110", "4+5": "8", "20+30": "50"}
SECOND = {"1+2": "4", "99+1": "100", "4+5": "9", "20+30": "5"}


def test_a_paired_test_counts_who_is_right(tmp_path):
    first, second = answer_sums(tmp_path / "a", FIRST), answer_sums(tmp_path / "b", SECOND)
    test = PairedTest.of(first, second)
    assert (test.both, test.neither, test.first_only, test.second_only) == (0, 0, [0, 3], [1, 2])
    assert test.differences["exact_match"] == 0
    assert test.p_values["exact_match"] == 1
    same = PairedTest.of(first, first)
    assert set(same.differences.values()) == {0.0}
    assert set(same.p_values.values()) == {1.0}


def test_groups_and_texts_are_those_of_the_examples(tmp_path):
    answers = answer_sums(tmp_path / "a", FIRST)
    assert answers.group_kinds == ["digits", "carries"]
    assert answers.evaluation.groups["digits"][2].exact == 1
    assert answers.texts(1) == ("99+1", "100", "110")
    assert [wrong.source for wrong in answers.wrong] == ["99+1", "4+5"]
    assert answers.on([2]).evaluation.total.examples == 1


def test_common_rows_are_the_same_examples_in_the_same_order(tmp_path):
    task = answer_sums(tmp_path / "a", FIRST).task
    ours = read_examples(task, ["1+2", "3+4", "5+6"], "a.txt")
    theirs = read_examples(task, ["1+2", "4+4", "5+6"], "b.txt")
    assert common_rows([(task, ours), (task, theirs)]) == [[0, 2], [0, 2]]
    with pytest.raises(InputError):
        common_rows([(task, ours), (task, read_examples(task, ["9+9"], "c.txt"))])


def test_examples_that_repeat_are_common_each(tmp_path):
    task = answer_sums(tmp_path / "a", FIRST).task
    lines = read_examples(task, ["1+2", "3+4"], "a.txt")
    twice = lines.rows([0, 1, 0])
    assert common_rows([(task, twice), (task, twice)]) == [[0, 1, 2], [0, 1, 2]]
    assert common_rows([(task, twice), (task, lines)]) == [[0, 1], [0, 1]]


def test_a_comparison_is_on_the_examples_that_all_have(tmp_path):
    first = answer_sums(tmp_path / "a", FIRST)
    second = answer_sums(tmp_path / "b", SECOND).on([0, 2, 3])
    found = Comparison.of([first, second])
    assert [len(each.examples) for each in found.answers] == [3, 3]
    assert found.tests == [PairedTest.of(first.on([0, 2, 3]), second)]
    assert found.left_out == 1


def test_windows_of_different_length_are_not_compared(tmp_path):
    first = answer_sums(tmp_path / "a", FIRST)
    continuing = replace(first, examples=replace(first.examples, continuing=True))
    with pytest.raises(InputError):
        Comparison.of([continuing, first.on([0, 1])])
    assert paired_tests([continuing, first.on([0, 1])])[0] == []


def test_a_difference_has_its_sign():
    assert [METRICS["exact_match"].show_difference(value) for value in (0.5, -0.25, 0)] == [
        "+50.00%",
        "-25.00%",
        "+0.00%",
    ]


def wrong(*pairs):
    return WrongPrediction(1, "", "", "", 1, list(pairs), row=0)


def test_confusions_count_edits_and_keep_the_most_frequent():
    found = Confusion.of_symbols([wrong(("a", "b"), ("a", "a"), (" ", None)), wrong(("a", "b"), (None, "c"))], 10)
    assert (found.rows, found.columns) == (["a", "␣", NOTHING], ["b", "c", NOTHING])
    assert found.counts.tolist() == [[2, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert (found.total, found.left_out) == (4, 0)
    few = Confusion.of_symbols([wrong(("a", "b"), ("a", "b"), ("x", "y"))], 1)
    assert (few.rows, few.columns, few.total, few.left_out) == (["a"], ["b"], 3, 1)


def test_no_errors_are_an_empty_matrix():
    assert Confusion.of_symbols([], 5).counts.shape == (0, 0)


def test_classes_keep_their_diagonal():
    import numpy as np

    from rnncli.metrics.base import Predictions

    ids = np.array([[1], [1], [2]])
    predictions = Predictions(ids[[0, 2, 2]], ids, *([np.ones(3, np.int64)] * 3))
    found = Confusion.of_report(ClassReport.of(predictions, ["?", "x", "y"]), 10)
    assert found.of_classes
    assert (found.rows, found.columns) == (["x", "y"], ["x", "y"])
    assert found.counts.tolist() == [[1, 1], [0, 1]]
