"""Metrics of classifiers against counts by hand, and against scikit-learn."""

import numpy as np
import pytest

from rnncli.metrics import METRICS
from rnncli.metrics.base import Predictions
from rnncli.metrics.bootstrap import bootstrap_interval
from rnncli.metrics.class_report import ClassReport

# class 0 has 4 examples, class 2 has 2, class 3 is predicted once and never right, class 1 does not occur
TARGET = np.array([0, 0, 0, 0, 2, 2])
PREDICTED = np.array([0, 0, 0, 3, 2, 0])


def predictions(target=TARGET, predicted=PREDICTED):
    ones = np.ones(len(target), np.int64)
    return Predictions(predicted[:, None], target[:, None], ones, ones, ones)


def value_of(name, found):
    return METRICS[name].total(METRICS[name].count(found))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accuracy", 4 / 6),
        ("balanced_accuracy", (3 / 4 + 1 / 2) / 2),
        ("macro_f1", (2 * 3 / (4 + 4) + 2 * 1 / (2 + 1) + 0) / 3),
    ],
)
def test_class_metrics_match_counts_by_hand(name, value):
    assert value_of(name, predictions()) == pytest.approx(value, abs=1e-12)


def test_a_model_that_always_says_the_frequent_class_has_half_the_balanced_accuracy():
    found = predictions(np.repeat([1, 0], [285, 15]), np.ones(300, np.int64))
    assert value_of("accuracy", found) == pytest.approx(0.95)
    assert value_of("balanced_accuracy", found) == pytest.approx(0.5)
    assert value_of("macro_f1", found) == pytest.approx((2 * 285 / (285 + 300) + 0) / 2)


def test_class_metrics_equal_those_of_scikit_learn():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    target, predicted = rng.integers(0, 7, (2, 300))
    predicted = np.where(rng.random(300) < 0.5, target, predicted)
    found = predictions(target, predicted)
    assert value_of("balanced_accuracy", found) == pytest.approx(sklearn.balanced_accuracy_score(target, predicted))
    assert value_of("macro_f1", found) == pytest.approx(sklearn.f1_score(target, predicted, average="macro"))
    report = ClassReport.of(found, "abcdefg")
    assert report.confusion.tolist() == sklearn.confusion_matrix(target, predicted).tolist()
    precision, recall, f1, counts = sklearn.precision_recall_fscore_support(target, predicted)
    scores = list(report.scores.values())
    assert [score.precision for score in scores] == pytest.approx(precision.tolist())
    assert [score.recall for score in scores] == pytest.approx(recall.tolist())
    assert [score.f1 for score in scores] == pytest.approx(f1.tolist())
    assert [score.examples for score in scores] == counts.tolist()


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "macro_f1"])
def test_intervals_of_class_metrics_contain_the_value(name):
    rng = np.random.default_rng(1)
    target = rng.integers(0, 3, 200)
    found = predictions(target, np.where(rng.random(200) < 0.7, target, 0))
    low, high = bootstrap_interval(METRICS[name].count(found), METRICS[name].aggregate)
    assert 0.4 < low < value_of(name, found) < high < 0.95


def test_report_has_the_classes_that_occur():
    report = ClassReport.of(predictions(), ["good", "never", "bad", "odd"])
    assert report.labels == ("good", "bad", "odd")
    assert report.confusion.tolist() == [[3, 0, 1], [1, 1, 0], [0, 0, 0]]
    assert report.scores["good"] == (4, 4, 3 / 4, 3 / 4, 3 / 4)
    assert report.scores["odd"] == (0, 1, 0, None, 0)
    found = report.as_json()
    assert found["confusion"] == {"good": {"good": 3, "odd": 1}, "bad": {"good": 1, "bad": 1}, "odd": {}}
    assert found["classes"]["bad"]["precision"] == 1
