"""Attention of some right answers; that of wrong ones is beside them."""

from __future__ import annotations

from rnncli.report.charts import heat_map
from rnncli.report.data import ReportData
from rnncli.report.markup import letter


def section(data: ReportData) -> str:
    """Return the maps of right answers; nothing for models without attention."""
    parts = []
    for (run, row), found in data.attention.items():
        answers = data.answers[run]
        if answers.predictions.exact[row]:
            title = f"{letter(run)}, example {answers.line(row)}: right"
            axes = ("written", "source")
            parts.append(heat_map(title, found.weights, found.target, found.source, axes=axes, highest=1.0))
    return f'<div class="charts wide">{"".join(parts)}</div>' if parts else ""
