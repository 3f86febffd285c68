"""The page: sections, style and script in one file, small enough to be sent."""

from __future__ import annotations

import html
from dataclasses import replace

from rnncli._version import __version__
from rnncli.report.data import ReportData
from rnncli.report.markup import text
from rnncli.report.script import JS
from rnncli.report.sections import SECTIONS
from rnncli.report.style import CSS

MAX_BYTES = 1_000_000
"""Bytes of a page; wrong answers and attention beyond are left out, and the page says so."""
MAX_TITLE = 3
"""Names of runs in the title."""


def render(data: ReportData) -> str:
    """Return the page of a report, of at most `MAX_BYTES` as far as leaving out wrong answers can make it so."""
    page = _render(data)
    while len(page.encode(errors="backslashreplace")) > MAX_BYTES and (data.max_wrong > 1 or data.attention):
        kept = dict(list(data.attention.items())[: len(data.attention) // 2])
        data = replace(data, max_wrong=max(1, data.max_wrong // 2), attention=kept)
        page = _render(data)
    return page


def _render(data: ReportData) -> str:
    parts = {name: (entry.title, entry.section(data)) for name, entry in SECTIONS.items()}
    shown = {name: each for name, each in parts.items() if each[1]}
    title = text(" / ".join(data.names) if len(data.names) <= MAX_TITLE else f"{len(data.names)} runs", 120)
    links = "".join(f'<li><a href="#{name}">{html.escape(heading)}</a></li>' for name, (heading, _) in shown.items())
    sections = "\n".join(
        f'<section aria-labelledby="{name}"><h2 id="{name}">{html.escape(heading)}</h2>\n{body}</section>'
        for name, (heading, body) in shown.items()
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; img-src data:\">\n"
        '<link rel="icon" href="data:,">\n'
        f"<title>{title}: report</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to the report</a>\n'
        f'<header><h1>{title}</h1>\n<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n'
        f'<main id="main">\n{sections}\n</main>\n'
        f'<footer><p class="note">Written by rnncli {__version__}.</p></footer>\n'
        f"<script>{JS}</script>\n</body>\n</html>\n"
    )
