"""Metrics of groups of examples, such as lengths or tags."""

from __future__ import annotations

from rnncli.metrics import shown_metrics
from rnncli.report.data import ReportData
from rnncli.report.markup import Cell, letter, number, table, text

MAX_GROUPS = 60
"""Groups of a kind that are shown; those with most examples stay."""


def section(data: ReportData) -> str:
    """Return a table for each kind of group; nothing without predictions or groups."""
    kinds = dict.fromkeys(kind for each in data.answers for kind in each.evaluation.groups)
    return "\n".join(kind_table(data, kind) for kind in kinds)


def kind_table(data: ReportData, kind: str) -> str:
    """Return the metrics of each group of a kind, a column a run and metric."""
    shown = {name: metric for name, metric in shown_metrics(data.answers[0].kind).items() if metric.in_group_tables}
    found = [each.evaluation.groups.get(kind, {}) for each in data.answers]
    sizes = {value: scores.examples for members in reversed(found) for value, scores in members.items()}
    values = sorted(sizes, key=lambda value: -sizes[value])[:MAX_GROUPS]
    values = [value for value in sizes if value in set(values)]
    several = len(data.answers) > 1
    heads = [text(kind), "examples"]
    heads += [
        f"{letter(run)} {text(metric.label)}" if several else text(metric.label)
        for metric in shown.values()
        for run in range(len(found))
    ]
    rows: list[list[Cell | str]] = []
    for value in sorted(values, key=lambda each: (isinstance(each, str), each)):
        name = number(value, str(value)) if isinstance(value, int) else Cell(text(value))
        row: list[Cell | str] = [name, number(sizes[value], f"{sizes[value]:,}")]
        for key, metric in shown.items():
            for members in found:
                scores = members.get(value)
                measured = None if scores is None else scores.metrics.get(key)
                row.append(Cell("-") if measured is None else number(measured, metric.show(measured)))
        rows.append(row)
    left_out = f" (the {MAX_GROUPS} of {len(sizes)} with most examples)" if len(sizes) > MAX_GROUPS else ""
    return table(f"By {kind}{left_out}", heads, rows, sortable=True)
