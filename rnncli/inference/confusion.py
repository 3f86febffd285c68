"""Symbols, or classes, that a model writes in place of others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnncli.inference.evaluation import WrongPrediction
from rnncli.metrics.class_report import ClassReport
from rnncli.text import show_blank

NOTHING = "∅"
"""The name of no symbol: in the rows an insertion, in the columns a deletion."""


@dataclass(frozen=True)
class Confusion:
    """Counts of what became what.

    Attributes:
        rows: Right symbols or classes.
        columns: Written ones.
        counts: int64 [rows, columns]; of symbols 0 where both are the same, as only errors are counted.
        total: Errors in all, those that are left out too.
        left_out: Number of errors whose symbols have no row or column.
        of_classes: True if these are the classes of a classifier, whose right ones are counted too.
    """

    rows: list[str]
    columns: list[str]
    counts: NDArray[np.int64]
    total: int
    left_out: int
    of_classes: bool = False

    @classmethod
    def of_symbols(cls, wrong: Iterable[WrongPrediction], max_symbols: int) -> Confusion:
        """Count the errors in alignments of wrong predictions with their targets.

        Args:
            wrong: The wrong predictions.
            max_symbols: The most rows, and the most columns; those with most errors stay.
        """
        pairs = Counter((a, b) for each in wrong for a, b in each.alignment if a != b)
        named = Counter({(show_symbol(a), show_symbol(b)): count for (a, b), count in pairs.items()})
        return cls._of(named, max_symbols, of_classes=False)

    @classmethod
    def of_report(cls, report: ClassReport, max_symbols: int) -> Confusion:
        """Return the confusion matrix of a classifier; classes with most examples stay."""
        labels = report.labels
        found = {
            (label, other): int(report.confusion[row, column])
            for row, label in enumerate(labels)
            for column, other in enumerate(labels)
        }
        return cls._of(Counter(found), max_symbols, of_classes=True)

    @classmethod
    def _of(cls, pairs: Counter[tuple[str, str]], most: int, of_classes: bool) -> Confusion:
        rows, columns = Counter[str](), Counter[str]()
        for (right, written), count in pairs.items():
            rows[right] += count
            columns[written] += count
        chosen_rows = sorted((name for name, _ in rows.most_common(most)), key=_order)
        chosen = chosen_rows if of_classes else sorted((name for name, _ in columns.most_common(most)), key=_order)
        counts = np.array([[pairs.get((a, b), 0) for b in chosen] for a in chosen_rows], np.int64)
        total = sum(pairs.values())
        return cls(
            chosen_rows,
            chosen,
            counts.reshape(len(chosen_rows), len(chosen)),
            total,
            total - int(counts.sum()),
            of_classes,
        )


def show_symbol(symbol: str | None) -> str:
    """Return a symbol as a table can show it."""
    return NOTHING if symbol is None else show_blank(symbol)


def _order(name: str) -> tuple[bool, str]:
    """Put no symbol behind all others."""
    return name == NOTHING, name
