"""Accuracy: the share of examples whose class is predicted right."""

from __future__ import annotations

from rnncli.metrics import exact_match
from rnncli.metrics.base import CLASSIFIERS, Metric

ACCURACY = Metric(label="accuracy", higher_is_better=True, count=exact_match.count, models=CLASSIFIERS)
