"""Text made safe or short for a terminal."""

from __future__ import annotations


def plain(text: str) -> str:
    """The text without what a stranger's names could do to the terminal; lines stay lines."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def cut(text: str, width: int = 60) -> str:
    """The text on one line of at most so many characters."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: width + 1])
    return line if len(line) <= width else line[: width - 3] + "..."
