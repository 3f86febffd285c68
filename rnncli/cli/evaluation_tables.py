"""An evaluation as tables for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rnncli.cli.tables import group_lines
from rnncli.text import printable, shorten

if TYPE_CHECKING:
    from rnncli.inference.evaluation import Evaluation
    from rnncli.metrics.class_report import ClassReport

MAX_SHOWN_CLASSES = 12
"""The confusion matrix of more classes is left out of the text, as its lines would be too long."""


def as_text(evaluation: Evaluation, model: str) -> str:
    """Return the scores as tables, with the metrics of a type of models."""
    from rnncli.metrics import shown_metrics
    from rnncli.metrics.base import LANGUAGE_MODELS

    total, metrics = evaluation.total, shown_metrics(model)
    were = "was" if evaluation.left_out == 1 else "were"
    left_out = f"; {evaluation.left_out:,} more {were} too long" if evaluation.left_out else ""
    right = f", {total.exact:,} right{' in every symbol' if evaluation.classes is None else ''}"
    what, also = "example", ""
    if evaluation.targets is not None:
        what, also = "source", f" with {evaluation.targets:,} target{'s' * (evaluation.targets != 1)}"
    if model in LANGUAGE_MODELS:
        what, right = "window", ""
    lines = [f"{total.examples:,} {what}{'s' * (total.examples != 1)}{also}{right}{left_out}", ""]
    width = max(len(metric.label) for metric in metrics.values())
    lines.append(f"{'95% interval':>{width + 29}}")
    for name, metric in metrics.items():
        if name not in total.metrics:  # what no probabilities were computed for
            continue
        low, high = evaluation.intervals[name]
        interval = f"{metric.show(low):>8} to {metric.show(high):>7}"
        lines.append(f"{metric.label:<{width}}  {metric.show(total.metrics[name]):>8}  {interval}")
    for kind, members in evaluation.groups.items():
        lines += ["", *group_lines(kind, members, model)]
    if evaluation.classes is not None:
        lines += ["", *_class_lines(evaluation.classes), "", *_confusion_lines(evaluation.classes)]
    return "\n".join(lines)


def _class_lines(report: ClassReport) -> Iterator[str]:
    names = {label: _name(label) for label in report.labels}
    width = max(5, *map(len, names.values()))
    yield f"{'class':<{width}}  examples  predicted  precision   recall       F1"
    for label, scores in report.scores.items():
        precision, recall, f1 = (
            "-" if share is None else f"{share:.2%}" for share in (scores.precision, scores.recall, scores.f1)
        )
        counts = f"{scores.examples:>8,}  {scores.predicted:>9,}"
        yield f"{names[label]:<{width}}  {counts}  {precision:>9}  {recall:>7}  {f1:>7}"


def _confusion_lines(report: ClassReport) -> Iterator[str]:
    if len(report.labels) > MAX_SHOWN_CLASSES:
        yield f"confusion of {len(report.labels)} classes: see --format json"
        return
    names = [_name(label) for label in report.labels]
    width = max(6, *map(len, names))
    yield f"{'class':<{width}}  predicted as"
    yield "  ".join([" " * width, *(f"{name:>{max(6, len(name))}}" for name in names)])
    for name, row in zip(names, report.confusion.tolist(), strict=True):
        cells = (f"{count:>{max(6, len(column))},}" for count, column in zip(row, names, strict=True))
        yield "  ".join([f"{name:<{width}}", *cells])


def _name(label: str) -> str:
    return printable(shorten(label, 24))
