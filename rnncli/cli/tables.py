"""Tables of scores as text, and text and alignments in cells of tab-separated tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rnncli.text import LINE_ESCAPES, SPACE_SIGN, escape_controls, shorten

if TYPE_CHECKING:
    from rnncli.inference.evaluation import Scores

MIN_COLUMN = 10
"""Characters of the narrowest column that is shortened."""

_SYMBOL = str.maketrans({**LINE_ESCAPES, " ": SPACE_SIGN, SPACE_SIGN: f"\\{SPACE_SIGN}", "→": "\\→"})


def fit_columns(rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    """Return the rows of a table, padded and shortened so that it is at most so wide, with 2 spaces between columns.

    Args:
        rows: The texts of each row, equally many.
        width: Characters of the table.
    """
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rest = width - 2 * (len(wide) - 1)
    for done, column in enumerate(sorted(range(len(wide)), key=wide.__getitem__)):  # narrow ones leave room
        wide[column] = min(wide[column], max(MIN_COLUMN, rest // (len(wide) - done)))
        rest -= wide[column]
    return [[f"{shorten(text, size):<{size}}" for text, size in zip(row, wide, strict=True)] for row in rows]


def alignment_cell(alignment: Iterable[tuple[str | None, str | None]]) -> str:
    """Return the alignment of a target and a prediction: pairs of symbols, separated by spaces.

    `a` is in both, `a→b` is a substitution, `a→` a deletion, `→b` an insertion. A space is written as ␣. Where these
    signs are symbols themselves, a backslash stands before them, as before all that `escape_line` escapes.
    """
    return " ".join(_aligned_pair(*pair) for pair in alignment)


def _aligned_pair(right: str | None, written: str | None) -> str:
    shown = [(symbol or "").translate(_SYMBOL) for symbol in (right, written)]
    return shown[0] if right == written else "→".join(shown)


def group_lines(kind: str, members: Mapping[int | str, Scores], model: str) -> list[str]:
    """Return a table of the scores of each group of a kind, as lines, with the metrics of a type of models."""
    from rnncli.metrics import shown_metrics

    values = {value: escape_controls(str(value)) for value in members}
    width = max(8, len(kind), *map(len, values.values()))
    shown = {name: metric for name, metric in shown_metrics(model).items() if metric.in_group_tables}
    header = [f"{kind:<{width}}", "examples", "   right", *(f"{metric.label:>8}" for metric in shown.values())]
    lines = ["  ".join(header)]
    for value, scores in members.items():
        row = [f"{values[value]:<{width}}", f"{scores.examples:>8,}", f"{scores.exact:>8,}"]
        row += [f"{metric.show(scores.metrics[n]):>{max(8, len(metric.label))}}" for n, metric in shown.items()]
        lines.append("  ".join(row))
    return lines
