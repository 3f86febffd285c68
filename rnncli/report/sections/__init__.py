"""The table of sections, in their order: a section a file, whose `section` returns its HTML, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rnncli.report.data import ReportData
from rnncli.report.sections import attention, comparison, config, confusion, curves, facts, groups, kernels, wrong


class SectionEntry(NamedTuple):
    """A section in the table.

    Attributes:
        title: Its heading.
        section: Returns its HTML; empty leaves it out.
    """

    title: str
    section: Callable[[ReportData], str]


SECTIONS = {
    "facts": SectionEntry("Facts", facts.section),
    "comparison": SectionEntry("Comparison", comparison.section),
    "curves": SectionEntry("Learning curves", curves.section),
    "groups": SectionEntry("By group", groups.section),
    "confusion": SectionEntry("What becomes what", confusion.section),
    "wrong": SectionEntry("Wrong answers", wrong.section),
    "attention": SectionEntry("Attention", attention.section),
    "kernels": SectionEntry("Kernels", kernels.section),
    "config": SectionEntry("Config", config.section),
}
