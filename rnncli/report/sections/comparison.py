"""Differences between runs, and paired tests on the same examples."""

from __future__ import annotations

from rnncli.metrics import METRICS, shown_metrics
from rnncli.report.data import ReportData
from rnncli.report.markup import Cell, letter, number, run_name, table, text
from rnncli.runs.listing import differing_keys, show_value


def section(data: ReportData) -> str:
    """Return the config keys that differ and the tests; nothing for one run."""
    if len(data.infos) < 2:
        return ""
    heads = ["config key", *(run_name(number_, name) for number_, name in enumerate(data.names))]
    keys = [
        [text(key), *("-" if value is None else text(show_value(value)) for value in values)]
        for key, values in differing_keys(data.infos).items()
    ]
    parts = (
        [table("Config keys that differ", heads, keys, row_heads=True)] if keys else ["<p>The configs are equal.</p>"]
    )
    if data.tests:
        parts += [tests(data), outcomes(data)]
    parts += [f"<p>{text(note)}</p>" for note in data.notes]
    return "\n".join(parts)


def tests(data: ReportData) -> str:
    """Return the differences of each run to the first, with p-values."""
    rows: list[list[Cell | str]] = []
    for other, test in enumerate(data.tests, start=1):
        for name in [key for key in shown_metrics(data.answers[0].kind) if key in test.differences]:
            difference, p = test.differences[name], test.p_values[name]
            signed = METRICS[name].show_difference(difference)
            pair = f"{letter(other)} less {letter(0)}"
            rows.append([pair, text(METRICS[name].label), number(difference, signed), number(p, f"{p:.4f}")])
    heads = ["runs", "metric", "difference", "p"]
    note = (
        '<p class="note">p: probability of a difference as large if both were equally good, by approximate '
        "randomization of the results of each example (10,000 trials). It is about these weights, not about other "
        "seeds.</p>"
    )
    return table("Paired tests on the examples that all runs have", heads, rows) + note


def outcomes(data: ReportData) -> str:
    """Return how many examples both, one or none of two runs has right."""
    rows: list[list[Cell | str]] = []
    for other, test in enumerate(data.tests, start=1):
        counts = (test.both, len(test.first_only), len(test.second_only), test.neither)
        rows.append([f"{letter(0)} and {letter(other)}", *(number(count, f"{count:,}") for count in counts)])
    return table(
        "Examples right in every symbol", ["runs", "both", "only the first", "only the second", "neither"], rows
    )
