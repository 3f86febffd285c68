"""Pieces of HTML: text, tables that can be sorted, and names of runs."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rnncli.text import printable

MAX_TEXT = 200
"""Characters of a text in a table."""
RUN_COLOURS = 8
"""Colours of runs in the page's style; more runs repeat them."""


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        markup: HTML.
        value: The number that the column is sorted by; None sorts by the text.
    """

    markup: str
    value: float | None = None


def text(content: object, width: int = MAX_TEXT) -> str:
    """Return text as HTML, control characters escaped, cut to a width."""
    line = printable(str(content)[: width + 1]).replace("\n", "\\n")
    return html.escape(line if len(line) <= width else f"{line[: width - 1]}…")


def number(value: float, shown: str) -> Cell:
    """Return a number as a cell."""
    return Cell(html.escape(shown), value)


def table(
    caption: str,
    head: Sequence[str],
    rows: Iterable[Sequence[Cell | str]],
    *,
    sortable: bool = False,
    row_heads: bool = False,
    kind: str = "",
) -> str:
    """Return a table that scrolls sideways where it is wider than the page.

    Args:
        caption: Its name, for those who do not see it and above it.
        head: HTML of the heads of the columns.
        rows: The cells of each row; a string is HTML.
        sortable: True to let readers sort it by each column.
        row_heads: True if the first cell of each row is its head.
        kind: A class of the page's style.
    """
    button = '<button type="button">{}</button>'
    heads = "".join(f'<th scope="col">{button.format(each) if sortable else each}</th>' for each in head)
    body = "".join(f"<tr>{_cells(row, row_heads)}</tr>\n" for row in rows)
    classes = " ".join(name for name in ("sortable" if sortable else "", kind) if name)
    attributes = f' class="{classes}"' if classes else ""
    label = html.escape(caption, quote=True)
    return (
        f'<div class="scroll" role="region" aria-label="{label}" tabindex="0">'
        f"<table{attributes}><caption>{html.escape(caption)}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>\n{body}</tbody></table></div>"
    )


def _cells(row: Sequence[Cell | str], row_heads: bool) -> str:
    parts = []
    for place, each in enumerate(row):
        cell = each if isinstance(each, Cell) else Cell(each)
        tag = 'th scope="row"' if row_heads and place == 0 else "td"
        value = "" if cell.value is None else f' class="number" data-value="{cell.value:.10g}"'
        parts.append(f"<{tag}{value}>{cell.markup}</{tag.split()[0]}>")
    return "".join(parts)


def run_name(index: int, name: str) -> str:
    """Return the name of a run with its colour and letter."""
    return f'<span class="run run{index % RUN_COLOURS}">{letter(index)}</span> {text(name, 60)}'


def letter(index: int) -> str:
    """Return the letter of a run: A, B, ..., Z, A1, B1, ..."""
    round_, place = divmod(index, 26)
    return chr(ord("A") + place) + (str(round_) if round_ else "")
