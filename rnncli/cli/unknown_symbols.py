"""Messages on unknown symbols in what `predict` reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rnncli.data.task import CountsUnknown
from rnncli.text import printable, shorten

if TYPE_CHECKING:
    from rnncli.data.task import Task
    from rnncli.inference.prediction import Prediction

MAX_TOLD = 5
"""Lines with unknown symbols that are told one by one, before their predictions; the end has the total of more."""
MAX_WIDTH = 60


class UnknownSymbolNotes:
    """Tells on stderr which lines have symbols that training did not have, unless quiet.

    Args:
        task: The task.
        name: Name of the input.
        quiet: Tell nothing.
    """

    def __init__(self, task: Task, name: str, quiet: bool) -> None:
        self._task, self._name, self._lines, self._found, self._quiet = task, name, 0, 0, quiet

    def tell(self, prediction: Prediction) -> None:
        """Tell of the next line, before its prediction is printed."""
        self._lines += 1
        if not prediction.unknown or self._quiet:
            return
        self._found += 1
        if self._found <= MAX_TOLD:
            symbols = list(dict.fromkeys(prediction.unknown))
            listed = shorten(", ".join(map(repr, symbols)), MAX_WIDTH)
            self._show(f"{self._name}:{self._lines}: unknown symbol{'s' * (len(symbols) > 1)} {listed}")
        elif self._found == MAX_TOLD + 1:
            self._show(f"{self._name}: more lines have unknown symbols; their number follows at the end")

    def tell_total(self) -> None:
        """Tell of all lines, if there were too many to tell of each."""
        if self._found > MAX_TOLD and isinstance(self._task, CountsUnknown):
            self._show(f"{self._name}: {self._found} lines have {self._task.unknown}")

    @staticmethod
    def _show(message: str) -> None:
        click.echo(printable(message), err=True)
