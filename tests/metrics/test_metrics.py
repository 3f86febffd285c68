"""Each metric against counts by hand."""

from dataclasses import replace

import numpy as np
import pytest

from rnncli.metrics import METRICS, MONITORED, metrics_for, metrics_of_training, shown_form, shown_metrics
from rnncli.metrics.base import Predictions, complement, content_lengths, ratio

END = 2
TARGET = np.array([[5, 6, 2, 0], [5, 6, 7, 2], [5, 2, 0, 0], [2, 0, 0, 0]])
PREDICTED = np.array([[5, 6, 2, 0], [6, 7, 2, 0], [6, 2, 0, 0], [2, 0, 0, 0]])


def predictions(predicted=PREDICTED, target=TARGET, probability=0.5, characters=None):
    """Predictions by a model that gives every symbol of a target the same probability."""
    content = content_lengths(target, END)
    lengths = np.minimum(content + 1, target.shape[1])
    scored = np.where(np.arange(target.shape[1]) < lengths[:, None], np.log(np.float32(probability)), 0)
    return Predictions(predicted, target, lengths, content_lengths(predicted, END), content, scored, characters)


@pytest.mark.parametrize(
    ("name", "numerators", "denominators", "value"),
    [
        ("exact_match", [1, 0, 0, 1], [1, 1, 1, 1], 2 / 4),
        ("word_error_rate", [1, 0, 0, 1], [1, 1, 1, 1], 2 / 4),
        ("symbol_accuracy", [3, 0, 1, 1], [3, 4, 2, 1], 5 / 10),
        ("symbol_error_rate", [0, 1, 1, 0], [2, 3, 1, 0], 2 / 6),
    ],
)
def test_metric_matches_counts_by_hand(name, numerators, denominators, value):
    counts = METRICS[name].count(predictions())
    assert counts.numerators.tolist() == numerators
    assert counts.denominators.tolist() == denominators
    assert METRICS[name].total(counts) == value


@pytest.mark.parametrize("name", METRICS)
def test_perfect_predictions_are_best(name):
    perfect = METRICS[name].total(METRICS[name].count(predictions(TARGET, probability=1.0)))
    assert perfect == (1 if METRICS[name].higher_is_better or name == "perplexity" else 0)


def test_metrics_of_probabilities_match_those_by_hand():
    def total(name, **options):
        return METRICS[name].total(METRICS[name].count(predictions(**options)))

    assert total("validation_loss", probability=0.25) == pytest.approx(np.log(4))
    assert total("perplexity", probability=0.25) == pytest.approx(4)
    assert total("bits_per_character", probability=0.25) == pytest.approx(2)
    words = np.array([9, 3, 4, 4])  # 10 symbols of 20 characters
    assert total("bits_per_character", probability=0.25, characters=words) == pytest.approx(1)


def test_perplexity_of_a_hopeless_model_is_still_a_number():
    found = predictions(probability=1e-30)
    hopeless = replace(found, log_probabilities=found.log_probabilities * 1000)
    assert np.isfinite(METRICS["perplexity"].total(METRICS["perplexity"].count(hopeless)))


def test_exact_match_compares_padding_too():
    target = np.array([[5, 6, 2, 0]] * 4)
    predicted = np.array([[5, 6, 2, 0], [5, 6, 2, 3], [5, 6, 6, 2], [4, 6, 2, 0]])
    assert predictions(predicted, target).exact.tolist() == [True, False, False, False]


def test_content_lengths_stop_before_the_first_end():
    ids = np.array([[5, 6, 2, 0], [2, 0, 0, 0], [5, 6, 7, 5], [5, 2, 6, 2]])
    assert content_lengths(ids, END).tolist() == [2, 0, 4, 1]


def test_content_lengths_without_an_end_stop_before_the_padding():
    ids = np.array([[5, 6, 2, 0], [0, 0, 0, 0], [5, 6, 7, 5], [5, 0, 6, 0]])
    assert content_lengths(ids, end=None).tolist() == [3, 0, 4, 3]


def test_ratio_of_a_zero_denominator_keeps_the_numerator():
    assert (ratio(3, 4), ratio(0, 0), ratio(2, 0), complement(3, 4)) == (0.75, 0, 2, 0.25)


def test_early_stopping_can_watch_every_metric_and_the_loss():
    assert list(MONITORED) == [*METRICS, "loss"]
    assert not MONITORED["loss"].higher_is_better


def test_training_measures_an_expensive_metric_only_if_it_is_watched():
    always = ["validation_loss", "symbol_accuracy", "exact_match"]
    assert list(metrics_of_training("loss", "encoder_decoder")) == always
    assert list(metrics_of_training("symbol_error_rate", "encoder_decoder")) == [*always, "symbol_error_rate"]


def test_sequence_models_have_no_metrics_of_classes():
    for model in ("encoder_decoder", "repeat_vector", "next_step"):
        names = ["validation_loss", "symbol_accuracy", "exact_match", "word_error_rate", "symbol_error_rate"]
        assert list(metrics_for(model)) == list(shown_metrics(model)) == names


def test_classifiers_are_shown_metrics_of_classes_and_log_those_of_version_0_1_0_too():
    names = ["accuracy", "balanced_accuracy", "macro_f1"]
    assert list(shown_metrics("classifier")) == ["validation_loss", *names]
    measured = ["validation_loss", "symbol_accuracy", "exact_match", *names]
    assert list(metrics_of_training("exact_match", "classifier")) == measured


def test_language_models_are_shown_losses_and_not_windows_that_are_right_in_every_symbol():
    shown = ["validation_loss", "bits_per_character", "perplexity", "symbol_accuracy"]
    assert list(shown_metrics("language_model")) == shown
    assert "exact_match" in metrics_of_training("validation_loss", "language_model")  # as version 0.1.0 logged it


def test_a_watched_metric_is_shown_too_under_its_usual_name():
    assert list(shown_metrics("classifier", "exact_match")) == list(shown_metrics("classifier"))
    assert shown_form("classifier", "exact_match") is METRICS["accuracy"]
    assert shown_form("classifier", "macro_f1") is METRICS["macro_f1"]
    assert shown_form("encoder_decoder", "exact_match") is METRICS["exact_match"]
    assert shown_form("classifier", "loss") is MONITORED["loss"]
