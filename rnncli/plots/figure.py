"""Figures as PNG, SVG or PDF: size, fonts, notes. The only module that imports matplotlib."""

from __future__ import annotations

import contextlib
import io
import math
import os
import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from rnncli.errors import InputError
from rnncli.files import write_atomically

with contextlib.ExitStack() as stack:
    if os.path.lexists("matplotlibrc"):  # the current directory may be anybody's, and it would be read
        stack.enter_context(contextlib.chdir("/"))
    import matplotlib as mpl

MORE_FONTS = ("Noto Sans", "Source Han Sans", "IPAGothic", "WenQuanYi", "Unifont")
"""Prefixes of installed fonts that are tried first for symbols that Matplotlib's own font does not have."""

PALETTE = (
    "#1f6feb",
    "#d1491a",
    "#1a7f37",
    "#8250df",
    "#9a6700",
    "#0e7490",
    "#bf3989",
    "#57606a",
    "#953800",
    "#4d2d9e",
)
"""Colours of lines and groups: readable on white, and told apart by people who do not see red and green."""

MAX_INCHES = 24
MAX_PIXELS = 50_000_000
"""Pixels of a figure, each of which takes some ten bytes of memory."""

STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.use": True,
    "svg.hashsalt": "rnncli",  # the same figure is the same file
    "pdf.fonttype": 42,  # text that can be searched
}


@contextlib.contextmanager
def _style() -> Iterator[None]:
    """Set our style and Matplotlib's defaults in the block, so that no other settings change a figure."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


@dataclass(frozen=True)
class FigureOptions:
    """The options of a figure.

    Attributes:
        path: The file; its extension is the format: .png, .svg or .pdf.
        size: Width and height in inches; None is as large as the content needs.
        dpi: Pixels an inch, of PNG.
        title: The title; None is the plot's own.
    """

    path: Path
    size: tuple[float, float] | None = None
    dpi: int = 150
    title: str | None = None

    def __post_init__(self) -> None:
        if self.size is not None:
            self._check_pixels(self.size)

    def inches(self, width: float, height: float) -> tuple[float, float]:
        """Return width and height: those of the options, else the given ones, if they are not too large.

        Raises:
            InputError: There would be too many pixels.
        """
        size = self.size or (min(width, MAX_INCHES), min(height, MAX_INCHES))
        self._check_pixels(size)
        return size

    def _check_pixels(self, size: tuple[float, float]) -> None:
        width, height = size
        if width * height * self.dpi**2 > MAX_PIXELS:
            fits = math.isqrt(int(MAX_PIXELS / (width * height)))
            raise InputError(
                f"{width:.3g} x {height:.3g} inches at --dpi {self.dpi}: more than {MAX_PIXELS:,} pixels",
                f"use --dpi {fits}, or less",
            )


class Figure:
    """A figure that is drawn into panels, and saved once.

    Args:
        options: Its options.
        width: Width in inches, if the options have none.
        height: Height in inches, likewise.
        panels: Number of panels.
        columns: Panels beside each other; None is all.

    Attributes:
        axes: The panels, Matplotlib axes.
        notes: What the figure leaves out; they are written below it.

    Raises:
        InputError: It would have too many pixels.
    """

    def __init__(
        self, options: FigureOptions, width: float, height: float, panels: int = 1, columns: int | None = None
    ) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure as MplFigure

        with _style():
            self.figure: Any = MplFigure(figsize=options.inches(width, height), dpi=options.dpi)
            FigureCanvasAgg(self.figure)
            rows = -(-panels // (columns or panels))
            grid = self.figure.subplots(rows, columns or panels, squeeze=False).ravel()
            self.axes: Sequence[Any] = list(grid[:panels])
            for unused in grid[panels:]:
                unused.set_axis_off()
        self.options, self.notes = options, list[str]()

    def set_title(self, title: str) -> None:
        """Set the title, unless the options have one."""
        text = self.options.title if self.options.title is not None else title
        if len(self.axes) == 1:
            self.axes[0].set_title(text, parse_math=False)
        elif text:
            self.figure.suptitle(text, parse_math=False)

    def add_colorbar(self, image: Any, axes: Any, **settings: Any) -> None:
        """Add the scale of an image."""
        with _style():
            self.figure.colorbar(image, ax=axes, shrink=0.9, **settings)

    def save(self) -> str:
        """Write the file.

        Returns:
            The symbols that no installed font has; the figure shows boxes for them.
        """
        if self.options.title is not None:
            self.set_title(self.options.title)
        if self.notes:
            self.figure.supxlabel("; ".join(self.notes), fontsize=7, color="#57606a", parse_math=False)
        self._choose_fonts()
        buffer, path = io.BytesIO(), self.options.path
        with _style(), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix, {})
            self.figure.savefig(buffer, format=path.suffix[1:], metadata=metadata)
        write_atomically(path, buffer.getvalue())
        found = (re.match(r"Glyph (\d+) ", str(warning.message)) for warning in caught)
        return "".join(sorted({chr(int(match[1])) for match in found if match}))

    def _choose_fonts(self) -> None:
        from matplotlib.text import Text

        texts = self.figure.findobj(Text)
        families = fonts_for({letter for text in texts for letter in text.get_text()})
        for text in texts:
            text.set_fontfamily(families)


def colours(count: int) -> list[Any]:
    """Return colours of so many things: of the palette, or, of more, from dark to light."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    return list(mpl.colormaps["viridis"](np.linspace(0, 0.92, count)))


def ordered_colours(count: int) -> list[Any]:
    """Return colours of so many ordered values, from dark to light."""
    return list(mpl.colormaps["viridis"](np.linspace(0, 0.92, count)))


def show_percent(axis: Any) -> None:
    """Label the ticks of an axis as percentages."""
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0))


def show_whole_numbers(axis: Any) -> None:
    """Put the ticks of an axis on whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def plain_legend(legend: Any) -> None:
    """Let no text of a legend be read as a formula."""
    for text in (legend.get_title(), *legend.get_texts()):
        text.set_parse_math(False)


def fonts_for(letters: Iterable[str]) -> list[str]:
    """Return Matplotlib's own font, and installed ones that together have the letters that it lacks."""
    families = ["DejaVu Sans"]
    missing = {letter for letter in letters if not unicodedata.category(letter).startswith("C")}
    missing -= {chr(code) for code in _letters_of(_own_font())}
    for family, path in _installed() if missing else ():
        if found := missing & {chr(code) for code in _letters_of(path)}:
            families.append(family)
            missing -= found
        if not missing:
            break
    return families


@cache
def _own_font() -> str:
    from matplotlib.font_manager import fontManager

    return str(fontManager.findfont("DejaVu Sans"))


@cache
def _installed() -> list[tuple[str, str]]:
    """Return family and file of every installed font, the preferred ones first."""
    from matplotlib.font_manager import fontManager

    regular = {font.name: font.fname for font in fontManager.ttflist if font.style == "normal"}
    ranks = {name: not name.startswith(MORE_FONTS) for name in regular}
    return [(name, regular[name]) for name in sorted(regular, key=lambda name: (ranks[name], name))]


@cache
def _letters_of(path: str) -> frozenset[int]:
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):  # a font that was removed, or that FreeType cannot read
        return frozenset()
