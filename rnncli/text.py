"""Text made safe and short for a terminal: it may hold control characters and be of any length."""

from __future__ import annotations

import re
from collections.abc import Iterable

CONFIG_SUFFIXES = (".yaml", ".yml")
DATA_SUFFIXES = (".tsv", ".tab", ".csv", ".txt", ".gz")
MAX_TYPED = 200
"""Characters of a name that somebody may have misspelt; comparing longer ones takes long."""

_WRAPPING = re.compile(r"\x1b\[[0-9;]*m|\{\{.*?\}\}|\[Op:.*?\]")

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters, and the separators of lines and paragraphs."""
_TEXT_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_JSON_CONTROLS = re.compile(r"[\x7f-\x9f\u2028\u2029]")

SPACE_SIGN = "␣"
_BLANK_SIGNS = {" ": SPACE_SIGN, "\n": "↵", "\t": "⇥"}
LINE_ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_TO_LINE = str.maketrans({**LINE_ESCAPES})
_SYMBOLS = {escape: symbol for symbol, escape in LINE_ESCAPES.items()}


def show_blank(symbol: str) -> str:
    """Return a symbol; a space, a line end or a tab as a sign that can be seen."""
    return _BLANK_SIGNS.get(symbol, symbol)


def escape_line(text: str) -> str:
    """Return text on one line, without tabs: line ends, tabs and backslashes escaped by a backslash."""
    return text.translate(_TO_LINE)


def unescape_line(line: str) -> str:
    """Return the text that `escape_line` made a line of; other backslashes stay."""
    return re.sub(r"\\[ntr\\]", lambda found: _SYMBOLS[found.group()], line)


def escape_controls(text: str) -> str:
    """Return text with all that ends lines or drives a terminal escaped as in Python; it stays as it is otherwise."""
    if text.isprintable():
        return text
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escape_text(text: str) -> str:
    """Return text of several lines with what `escape_controls` escapes, but line feeds and tabs, escaped."""
    return _TEXT_CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def escape_json(text: str) -> str:
    """Return JSON text with what it may have unescaped in strings, but drives a terminal, escaped too."""
    return _JSON_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def printable(text: str) -> str:
    """Return text with control characters escaped, such as those that move the cursor; line ends stay."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def shorten(text: str, max_width: int = 60) -> str:
    """Return text on one line of at most `max_width` characters: tabs become spaces, control characters escapes."""
    line = printable(text[: max_width + 1].replace("\t", "  ")).replace("\n", "\\n")
    return line if len(line) <= max_width else line[: max_width - 3] + "..."


def quote(text: str, max_width: int = 40) -> str:
    """Return text in quotes, escaped as in Python; of a longer one the first `max_width` characters."""
    return repr(text if len(text) <= max_width else text[: max_width - 3] + "...")


def summarize_error(error: Exception) -> str:
    """Return an error's class and the line that names the problem, without TensorFlow's and Keras's decoration."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    lines = [line.strip() for line in _WRAPPING.sub("", text).splitlines()]
    decoration = ("Exception encountered", "Arguments received")
    found = next((line for line in lines if line and not line.startswith(decoration)), None)
    return type(error).__name__ + (f": {shorten(found, 200)}" if found else "")


def similar_name(name: str, names: Iterable[str]) -> str | None:
    """Return the name that is most like a misspelt one; None if none is like it."""
    import difflib

    if len(name) > MAX_TYPED:
        return None
    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=0.75)), None)
