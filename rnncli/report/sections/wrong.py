"""Wrong answers, each aligned with its target, in tables that can be sorted and searched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rnncli.report.charts import heat_map
from rnncli.report.data import ReportData
from rnncli.report.markup import Cell, letter, number, run_name, table, text
from rnncli.text import show_blank

if TYPE_CHECKING:
    from rnncli.inference.evaluation import WrongPrediction

MAX_PAIRS = 200
"""Symbols of an alignment that are shown."""


def section(data: ReportData) -> str:
    """Return a table for each run; nothing without predictions."""
    return "\n".join(run_table(data, run) for run in range(len(data.answers)))


def run_table(data: ReportData, run: int) -> str:
    """Return the wrong answers of a run."""
    shown, total = data.wrong(run)
    heading = f"<h3>{run_name(run, data.names[run])}</h3>"
    if not total:
        return f"{heading}<p>All {len(data.answers[run].examples):,} answers are right.</p>"
    attends = any((run, wrong.row) in data.attention for wrong in shown)
    heads = ["example", "source", "target", "prediction", "edits", "alignment", *(["attention"] if attends else [])]
    rows = [row_of(data, run, wrong, attends) for wrong in shown]
    left_out = f", the first {len(shown):,}" if len(shown) < total else ""
    caption = f"{letter(run)}: {total:,} of {len(data.answers[run].examples):,} answers are wrong{left_out}"
    search = (
        f'<p><label>Search in them <input type="search" data-table="wrong{run}"></label> '
        f'<span role="status" id="wrong{run}-count"></span></p>'
    )
    return f'{heading}{search}<div id="wrong{run}">{table(caption, heads, rows, sortable=True, kind="wrong")}</div>'


def row_of(data: ReportData, run: int, wrong: WrongPrediction, attends: bool) -> list[Cell | str]:
    """Return the cells of a wrong answer."""
    row: list[Cell | str] = [
        number(wrong.example, str(wrong.example)),
        text(wrong.source),
        text(wrong.target),
        text(wrong.prediction),
        number(wrong.edits, str(wrong.edits)),
        alignment(wrong.alignment),
    ]
    if attends:
        found = data.attention.get((run, wrong.row))
        if found is None:
            row.append("")
        else:
            chart = heat_map(
                f"Attention for {wrong.source}",
                found.weights,
                found.target,
                found.source,
                axes=("written", "source"),
                highest=1.0,
            )
            row.append(f"<details><summary>show</summary>{chart}</details>")
    return row


def alignment(pairs: list[tuple[str | None, str | None]]) -> str:
    """Return aligned symbols: missing ones struck out, what was written in their place underlined."""
    parts = []
    for right, written in pairs[:MAX_PAIRS]:
        if right == written:
            parts.append(symbol(right))
            continue
        removed = "" if right is None else f"<del>{symbol(right)}</del>"
        parts.append(removed + ("" if written is None else f"<ins>{symbol(written)}</ins>"))
    joint = " " if any(len(each or "") > 1 for pair in pairs for each in pair) else ""
    return f'<span class="alignment">{joint.join(parts)}{"…" if len(pairs) > MAX_PAIRS else ""}</span>'


def symbol(name: str | None) -> str:
    """Return a symbol, a space as a sign."""
    return text(show_blank(name or ""))
