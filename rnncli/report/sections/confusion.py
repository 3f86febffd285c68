"""Symbols, or classes, and what they become."""

from __future__ import annotations

from rnncli.report.charts import heat_map
from rnncli.report.data import ReportData
from rnncli.report.markup import letter

MAX_SYMBOLS = 20


def section(data: ReportData) -> str:
    """Return a matrix for each run that has errors; nothing without predictions or errors."""
    parts = []
    for run, answers in enumerate(data.answers):
        found = answers.confusion(MAX_SYMBOLS)
        if not found.total:
            continue
        title = f"{letter(run)}: {data.names[run]}"
        what = "examples" if found.of_classes else "errors"
        if found.left_out:
            title += f" ({found.left_out:,} of {found.total:,} {what} are of others and left out)"
        axes = ("right", "written")
        parts.append(heat_map(title, found.counts, found.rows, found.columns, axes=axes, numbers=True))
    if not parts:
        return ""
    note = "∅ is no symbol: its row has insertions, its column deletions. ␣ is a space."
    if all(answers.evaluation.classes is not None for answers in data.answers):
        note = "Classes; the diagonal is right."
    return f'<div class="charts wide">{"".join(parts)}</div><p class="note">{note}</p>'
