"""`rnncli runs`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from rnncli.cli.help import INPUT, OUTPUT, Command, option
from rnncli.cli.options import PATH, show_message
from rnncli.cli.run_tables import info_as_json, interval_text, value_text
from rnncli.cli.tables import fit_columns
from rnncli.errors import InputError, RunDirError
from rnncli.text import escape_json, printable, shorten

if TYPE_CHECKING:
    from rnncli.runs.listing import RunInfo

HEADER = ("run", "config", "differs in", "epochs", "best", "state", "age")
UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
WIDE = 10_000
"""Characters of a table that no terminal shows: nothing is shortened."""

MAX_VALUES = 8
"""Values that runs have, of which a message lists so many."""
FACTS: dict[str, Callable[[RunInfo], Any]] = {
    "name": lambda info: info.name,
    "config": lambda info: info.config_name,
    "state": lambda info: info.state,
    "epochs": lambda info: info.epoch,
    "age": lambda info: -info.started,
    "seconds": lambda info: info.seconds,
    "host": lambda info: info.sessions[-1].host if info.sessions else None,
    "best": lambda info: info.best_value,
}
"""Facts of a run that it can be sorted and chosen by, beside the keys of its config."""


@click.command(
    "runs",
    cls=Command,
    examples=(
        "rnncli runs",
        "rnncli runs --sort best --where cell=gru",
        "rnncli runs experiments --where state=finished --json",
    ),
)
@click.argument("folder", metavar="[DIR]", type=PATH, required=False)
@option(
    "--where",
    "conditions",
    group=INPUT,
    metavar="KEY=VALUE",
    multiple=True,
    help=f"Only runs with this config key, or {', '.join(FACTS)}; repeatable.",
)
@option(
    "--sort",
    group=OUTPUT,
    metavar="KEY",
    default="age",
    show_default=True,
    help="Sort by best (the best first), name, epochs, ... or a config key.",
)
@option("--json", "as_json", group=OUTPUT, is_flag=True, help="Print a JSON array with all that is known.")
def command(folder: Path | None, conditions: tuple[str, ...], sort: str, as_json: bool) -> None:
    """List the runs in DIR, by default runs/, and in the folders in it.

    A run differs in the config keys whose values are not those of all listed runs of its config. A best metric that
    is a share of the held-out examples has Wilson's 95% interval behind it. A run of the state killed ended without
    a word; all that are neither running nor finished nor an average can be resumed.
    """
    from rnncli.runs.directory import RUNS
    from rnncli.runs.folders import runs_below
    from rnncli.runs.listing import describe_differences, describe_run

    if folder is not None and not folder.is_dir():
        raise RunDirError(f"{folder}: no such directory", "give a folder that has runs in it")
    infos = [describe_run(path) for path in runs_below(folder or RUNS)]
    for condition in conditions:
        infos = choose(infos, condition)
    infos = sorted_by(infos, sort)
    differences = describe_differences(infos)
    if as_json:
        click.echo(escape_json(json.dumps([info_as_json(info) for info in infos], indent=2, ensure_ascii=False)))
    elif not infos:
        none = "no such run" if conditions else "no runs; `rnncli train CONFIG` makes one"
        show_message(f"{folder or RUNS}: {none}")
    else:
        width = get_terminal_size().columns if sys.stdout.isatty() else WIDE
        names = [str(info.path.relative_to(folder or RUNS)) for info in infos]
        for row in fit_columns([HEADER, *map(table_row, names, infos, differences)], width):
            click.echo(printable("  ".join(row)).rstrip())


def table_row(name: str, info: RunInfo, differs: str) -> tuple[str, ...]:
    """Return the cells of a run in the table."""
    best = f"{value_text(info)} {interval_text(info)}".rstrip()
    if info.quantity is not None and best:
        best = f"{info.quantity.label} {best}"
    age = age_text(time.time() - info.started)
    return name, info.config_name, differs, info.epochs_text, best, info.state_text, age


def age_text(seconds: float) -> str:
    """Return a time in its largest unit, such as 3 h."""
    unit, size = next((each for each in UNITS if seconds >= each[1]), UNITS[-1])
    return f"{max(0, int(seconds // size))} {unit}"


def lookup(infos: list[RunInfo], key: str, label: str) -> list[Any]:
    """Return the value of a fact or of a config key for each run; None where a run has it not.

    Raises:
        InputError: No run has such a key.
    """
    if key in FACTS:
        return [FACTS[key](info) for info in infos]
    known = list(dict.fromkeys(name for info in infos for name in info.keys))
    names = [name for name in known if name == key] or [name for name in known if name.endswith(f".{key}")]
    if infos and not names:
        import difflib

        last = [name.rpartition(".")[2] for name in known]
        close = difflib.get_close_matches(key, [*FACTS, *known, *last], n=1)
        hint = f"did you mean {close[0]}?" if close else f"use a config key, or {', '.join(FACTS)}"
        raise InputError(f"{label}: no run has {key}", hint)
    return [next((info.keys[name] for name in names if name in info.keys), None) for info in infos]


def choose(infos: list[RunInfo], condition: str) -> list[RunInfo]:
    """Return the runs that meet `KEY=VALUE`.

    Raises:
        InputError: It is none, or no run has such a key.
    """
    key, equals, value = condition.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--where {condition}: no = in it", "write KEY=VALUE, such as cell=gru")
    values = lookup(infos, key.strip(), f"--where {condition}")
    chosen = [info for info, found in zip(infos, values, strict=True) if is_same(found, value.strip())]
    if infos and not chosen:
        there = dict.fromkeys("none" if found is None else show_value(found) for found in values)
        some = ", ".join(list(there)[:MAX_VALUES]) + ", ..." * (len(there) > MAX_VALUES)
        show_message(f"--where {shorten(condition)}: no run has this value; there are {some}")
    return chosen


def show_value(found: Any) -> str:
    """Return a value as `--where` takes it."""
    return shorten(found if isinstance(found, str) else json.dumps(found), 40)


def is_same(found: Any, text: str) -> bool:
    """Return True if a value is what a text says, numbers in any form."""
    if isinstance(found, bool) or found is None:
        return text.lower() == json.dumps(found)
    if isinstance(found, int | float):
        try:
            return float(text) == found
        except ValueError:
            return False
    return text == (found if isinstance(found, str) else json.dumps(found))


def sorted_by(infos: list[RunInfo], key: str) -> list[RunInfo]:
    """Return the runs in order of a fact or a config key; those that have it not come last.

    Raises:
        InputError: No run has such a key.
    """
    values = lookup(infos, key, f"--sort {key}")
    if key == "best":
        values = [
            value if value is None or info.quantity is None else -value if info.quantity.higher_is_better else value
            for info, value in zip(infos, values, strict=True)
        ]

    def rank(pair: tuple[RunInfo, Any]) -> tuple[bool, bool, Any]:
        value = pair[1]
        is_text = not isinstance(value, int | float)
        return value is None, is_text, json.dumps(value) if is_text and not isinstance(value, str) else value

    return [info for info, _ in sorted(zip(infos, values, strict=True), key=rank)]
