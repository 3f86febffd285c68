"""Notes on the classes of the training data."""

import numpy as np
import pytest

from rnncli.data.classes import alike, describe_classes
from rnncli.data.examples import Examples
from rnncli.data.vocabulary import Vocabulary


def described(counts, texts=1000):
    """The lines on training data with so many examples of each label, and with so many texts."""
    vocabulary = Vocabulary.of(counts)
    target = np.repeat([vocabulary.ids[label] for label in counts], list(counts.values()))
    ones = np.ones(len(target), np.int32)
    source = np.arange(len(target))[:, None] % texts
    return describe_classes(Examples(source, ones, target[:, None], ones), vocabulary)


def test_classes_are_listed_with_their_counts_from_the_largest():
    assert described({"bad": 15, "good": 285}) == ["2 classes: good 285, bad 15"]


def test_of_many_classes_the_largest_are_listed():
    (line,) = described({f"c{number}": number + 2 for number in range(40)})
    assert line.startswith("40 classes: c39 41, c38 40, ")
    assert line.endswith("c30 32, ...")


def test_classes_with_one_example_are_named():
    _, warning = described({"bad": 9, "good": 9, "label": 1})
    assert warning.startswith("warning: label: ")


def test_labels_that_look_alike_are_named():
    _, warning = described({"Good": 9, "good": 9, "bad": 9})
    assert warning.startswith("warning: Good, good: ")


def test_labels_in_quotes_are_named():
    _, quoted, same = described({'"good"': 9, "good": 9, "bad": 9})
    assert quoted.startswith('warning: "good": ')
    assert same.startswith('warning: "good", good: ')
    assert len(described({'"': 9, '""': 9, "5'": 9, '5"': 9})) == 1


def test_more_classes_than_half_the_examples_may_be_swapped_columns():
    assert any("swapped" in line for line in described({f"text {number}": 1 for number in range(8)}))


def test_more_classes_than_texts_may_be_swapped_columns():
    counts = {f"text {number}": 9 for number in range(8)}
    assert any("swapped" in line for line in described(counts, texts=2))
    assert not any("swapped" in line for line in described(counts))


@pytest.mark.parametrize(
    "labels", [["Ete", "ete"], ["\u00e9t\u00e9", "e\u0301te\u0301"], ["a b", "a  b"], ["\uff41", "a"]]
)
def test_case_spaces_and_form_do_not_tell_labels_apart(labels):
    assert alike([*labels, "other"]) == [labels]
