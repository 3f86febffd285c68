"""Cells of tables with tabs between them: how text is written into one, and an alignment."""

from __future__ import annotations

from collections.abc import Iterable

_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_CELL = str.maketrans(_ESCAPES)
_SYMBOL = str.maketrans({**_ESCAPES, " ": "␣", "␣": "\\␣", "→": "\\→"})


def cell(text: str) -> str:
    """Text in which tabs and line ends are escaped by a backslash."""
    return text.translate(_CELL)


def alignment_cell(alignment: Iterable[tuple[str | None, str | None]]) -> str:
    """Symbols of a target beside those of a prediction, spaces between the pairs.

    `a` stands in both; `a→b` has become b; `a→` is missing from the prediction, and `→b` is in the prediction alone.
    A space is written as ␣; where these signs are symbols themselves they have a backslash, as what `cell` escapes.
    """
    return " ".join(_beside(*pair) for pair in alignment)


def _beside(right: str | None, written: str | None) -> str:
    shown = [(symbol or "").translate(_SYMBOL) for symbol in (right, written)]
    return shown[0] if right == written else "→".join(shown)
