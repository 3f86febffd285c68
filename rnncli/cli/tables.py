"""Write text and alignments into cells of tab-separated tables."""

from __future__ import annotations

from collections.abc import Iterable

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
