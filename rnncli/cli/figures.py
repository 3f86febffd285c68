"""Options that all plots share, and what they say about a figure."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from rnncli.cli.help import OUTPUT, option
from rnncli.cli.input_lines import files_of
from rnncli.cli.options import PATH, overwrite_option
from rnncli.errors import InputError, RunFailedError, explain_os_errors, install_command
from rnncli.files import check_output_path
from rnncli.text import shorten

if TYPE_CHECKING:
    from rnncli.plots.figure import Figure, FigureOptions

Function = TypeVar("Function", bound=Callable[..., Any])

MAX_SHOWN = 60
ENDINGS = (".png", ".svg", ".pdf")
MIN_INCHES, MAX_INCHES = 1.0, 60.0


def parse_size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[float, float] | None:
    """Return `8x5` as numbers."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)", value.strip())
    if found is None or not all(MIN_INCHES <= float(side) <= MAX_INCHES for side in found.groups()):
        raise click.BadParameter(f"{value!r} is not width x height in inches, such as 8x5")
    return float(found[1]), float(found[2])


FIGURE_OPTIONS: list[Callable[[Any], Any]] = [
    option(
        "-o",
        "--output",
        group=OUTPUT,
        required=True,
        type=PATH,
        metavar="FILE",
        help=f"Figure to write: {', '.join(ENDINGS)}.",
    ),
    option(
        "--size", group=OUTPUT, metavar="WxH", callback=parse_size, help="Inches, such as 8x5 [default: as needed]."
    ),
    option(
        "--dpi",
        group=OUTPUT,
        type=click.IntRange(30, 1200),
        default=150,
        show_default=True,
        metavar="N",
        help="Pixels an inch, of PNG.",
    ),
    option("--title", group=OUTPUT, metavar="TEXT", help="Title of the figure; '' is none."),
    overwrite_option,
]


def figure_options(function: Function) -> Function:
    """Add the options of figures to a plot, which gets `options`, a `FigureOptions`; checks them before it runs."""

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        names = ("output", "size", "dpi", "title", "overwrite")
        output, size, dpi, title, overwrite = (values.pop(name) for name in names)
        check_figure(output, overwrite, [*files_of(values.get("input_path")), *files_of(values.get("file"))])
        from rnncli.plots.figure import FigureOptions

        return function(**values, options=FigureOptions(output, size, dpi, title))

    for add_option in reversed(FIGURE_OPTIONS):
        add_option(command)
    return cast(Function, command)


def check_figure(output: Path, overwrite: bool, inputs: Iterable[str] = ()) -> None:
    """Refuse a figure that cannot be drawn or written, before any work.

    Args:
        output: Its path.
        overwrite: Whether an existing file may be replaced.
        inputs: Files that the command reads, which are never replaced.

    Raises:
        InputError: Its extension is none of `ENDINGS`, or the path exists or cannot be written.
        RunFailedError: matplotlib is not installed.
    """
    if output.suffix not in ENDINGS:
        raise InputError(f"{output}: a figure's name must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    check_output_path(output, overwrite, inputs=inputs)
    if find_spec("matplotlib") is None:
        raise RunFailedError("matplotlib is not installed", install_command("matplotlib"))


def save_figure(figure: Figure, options: FigureOptions) -> None:
    """Write a figure as `write_figure` does, and print its path."""
    write_figure(figure, options)
    click.echo(options.path)


def write_figure(figure: Figure, options: FigureOptions) -> None:
    """Write a figure, and print to stderr what it leaves out, and symbols that no font has.

    Raises:
        RunFailedError: It cannot be written.
    """
    with explain_os_errors(options.path, "written"):
        missing = figure.save()
    for note in figure.notes:
        click.echo(f"{options.path}: {note}", err=True)
    show_missing(missing, options.path)


def show_missing(symbols: str, output: Path) -> None:
    """Print to stderr the symbols that a figure shows as boxes, as no font has them."""
    if symbols:
        message = f"{output}: no installed font has {shorten(symbols, MAX_SHOWN)!r}, so they appear as boxes"
        click.echo(f"{message}; install Noto Sans CJK or Unifont", err=True)
