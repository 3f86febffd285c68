"""Helpers that the plot commands share."""

from __future__ import annotations

from pathlib import Path

import click

MAX_SHOWN = 60


ENDINGS = (".png", ".svg")


def show_missing(symbols: str, output: Path) -> None:
    """Print to stderr the symbols that a figure shows as boxes, as no font has them."""
    if symbols:
        from rnncli.text import shorten

        message = f"{output}: no installed font has {shorten(symbols, MAX_SHOWN)!r}, so they appear as boxes"
        click.echo(f"{message}; install Noto Sans CJK or Unifont", err=True)
