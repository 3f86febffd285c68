"""A metric defined outside the package: the share of examples with a wrong last symbol."""

import numpy as np

from rnncli.metrics.base import Counts, Metric, Predictions


def count(predictions: Predictions) -> Counts:
    rows, last = np.arange(len(predictions)), predictions.target_lengths - 1
    wrong = predictions.predicted[rows, last] != predictions.target[rows, last]
    return Counts(wrong.astype(np.int64), np.ones(len(rows), np.int64))


LAST_SYMBOL_ERROR = Metric(label="last symbol error", higher_is_better=False, number_format=".3f", count=count)
