"""Completion of run directories, config keys and their values in a shell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnncli.text import shorten

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def complete_runs(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the run directories whose path begins so, and those one folder below such a folder.

    Without a slash, the runs in `runs/` whose name begins so are completed too, by their name alone.
    """
    from rnncli.runs.folders import RUNS, runs_below

    folder = incomplete.rpartition("/")[0]
    base = Path(folder or ("/" if incomplete.startswith("/") else "."))
    found = [str(path) for path in runs_below(base, 2, follow_links=True) if str(path).startswith(incomplete)]
    if not incomplete or "/" in incomplete:
        return found
    names = [path.name for path in runs_below(RUNS, 1, follow_links=True)]
    return [*found, *(name for name in [*names, "latest"] if name.startswith(incomplete))]


def complete_configs(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the example configs whose name begins so, each with what it is."""
    from click.shell_completion import CompletionItem

    from rnncli.config.shipped import describe_config, shipped_configs

    return [
        CompletionItem(name, help=shorten(describe_config(path), 50))
        for name, path in shipped_configs().items()
        if name.startswith(incomplete)
    ]


def complete_overrides(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Return the config keys that begin so, or, behind `=`, the values that a key can have."""
    from click.shell_completion import CompletionItem

    from rnncli.config.keys import all_keys, choices_of

    keys = all_keys()
    key, equals, value = incomplete.partition("=")
    if not equals:
        return [
            CompletionItem(f"{name}=", help=shorten(fields[0].description or "", 50))
            for name, fields in keys.items()
            if name.startswith(key)
        ]
    values: list[str] = []
    for field in keys.get(key, []):
        values += ["true", "false"] if field.annotation is bool else choices_of(field)
        if not values and field.default is not None and not field.is_required():
            values.append(str(field.default))
    return [CompletionItem(f"{key}={each}") for each in dict.fromkeys(values) if each and each.startswith(value)]
