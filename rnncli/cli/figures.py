"""Helpers that the plot commands share."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from rnncli.errors import InputError, RunFailedError, install_command
from rnncli.files import check_output_path

MAX_SHOWN = 60


ENDINGS = (".png", ".svg")


def check_figure(output: Path, overwrite: bool) -> None:
    """Refuse a figure that cannot be drawn or written, before any work.

    Raises:
        InputError: Its extension is none of `ENDINGS`, or the path exists or cannot be written.
        RunFailedError: matplotlib is not installed.
    """
    if output.suffix not in ENDINGS:
        raise InputError(f"{output}: a figure's name must end in .png or .svg")
    check_output_path(output, overwrite)
    if find_spec("matplotlib") is None:
        raise RunFailedError("matplotlib is not installed", install_command("matplotlib"))


def show_missing(symbols: str, output: Path) -> None:
    """Print to stderr the symbols that a figure shows as boxes, as no font has them."""
    if symbols:
        from rnncli.text import shorten

        message = f"{output}: no installed font has {shorten(symbols, MAX_SHOWN)!r}, so they appear as boxes"
        click.echo(f"{message}; install Noto Sans CJK or Unifont", err=True)
