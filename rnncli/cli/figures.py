"""Options that the plot commands share."""

from __future__ import annotations

from pathlib import Path

import click

LONGEST_SHOWN = 60


ENDINGS = (".png", ".svg")


def show_missing(symbols: str, output: Path) -> None:
    """Say on stderr for which symbols of a figure boxes stand."""
    if symbols:
        from rnncli.text import shorten

        told = f"{output}: no installed font has {shorten(symbols, LONGEST_SHOWN)!r}, so boxes stand for them"
        click.echo(f"{told}; Noto Sans CJK, or Unifont, has most", err=True)
