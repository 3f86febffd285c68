"""Tables of scores as text, and text and alignments in cells of tab-separated tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnncli.inference.evaluation import Scores

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_CELL = str.maketrans(_ESCAPES)
_SYMBOL = str.maketrans({**_ESCAPES, " ": "␣", "␣": "\\␣", "→": "\\→"})


def cell(text: str) -> str:
    """Return text with tabs and line ends escaped by a backslash."""
    return text.translate(_CELL)


def alignment_cell(alignment: Iterable[tuple[str | None, str | None]]) -> str:
    """Return the alignment of a target and a prediction: pairs of symbols, separated by spaces.

    `a` is in both, `a→b` is a substitution, `a→` a deletion, `→b` an insertion. A space is written as ␣. Where these
    signs are symbols themselves, a backslash stands before them, as before all that `cell` escapes.
    """
    return " ".join(_aligned_pair(*pair) for pair in alignment)


def _aligned_pair(right: str | None, written: str | None) -> str:
    shown = [(symbol or "").translate(_SYMBOL) for symbol in (right, written)]
    return shown[0] if right == written else "→".join(shown)


def group_lines(kind: str, members: Mapping[int | str, Scores]) -> list[str]:
    """Return a table of the scores of each group of a kind, as lines."""
    from rnncli.metrics import METRICS

    width = max(8, len(kind), *(len(str(value)) for value in members))
    shown = {name: metric for name, metric in METRICS.items() if metric.in_group_tables}
    header = [f"{kind:<{width}}", "examples", "   right", *(f"{metric.label:>8}" for metric in shown.values())]
    lines = ["  ".join(header)]
    for value, scores in members.items():
        row = [f"{value:<{width}}", f"{scores.examples:>8,}", f"{scores.exact:>8,}"]
        row += [f"{metric.show(scores.metrics[n]):>{max(8, len(metric.label))}}" for n, metric in shown.items()]
        lines.append("  ".join(row))
    return lines
