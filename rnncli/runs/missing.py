"""Explanations for a path that is given as a run directory and is none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rnncli.config.shipped import shipped_configs
from rnncli.errors import RunDirError, command_line
from rnncli.runs.folders import RUNS, runs_below
from rnncli.runtime.run_files import CONFIG
from rnncli.text import CONFIG_SUFFIXES, similar_name

MAX_ENTRIES = 10_000
"""Entries of a folder among which runs are looked for."""


def no_run_at(path: Path) -> RunDirError:
    """Return the error for a path that is no run directory, with what may be meant."""
    if path.is_file():
        what = "a config" if path.suffix in CONFIG_SUFFIXES else "a file"
        hint = f"{command_line('train', path)} trains a run with it" if what == "a config" else _other_runs(path)
        return RunDirError(f"{path}: {what}, not a run directory", hint)
    if path.exists():
        runs = sorted(_runs_in(path))
        hint = f"give a run in it, such as {runs[-1]}" if runs else _other_runs(path)
        return RunDirError(f"{path}: not a run directory (it has no {CONFIG})", hint)
    return RunDirError(f"{path}: no such run directory", hint_of_example(path) or _other_runs(path))


def hint_of_example(path: Path) -> str:
    """Return the hint for the name of an example config that is given as a run; empty for other names."""
    if str(path) not in shipped_configs():
        return ""
    return f"{path} is an example config; {command_line('train', path, '--run-dir', path)} makes this run"


def _other_runs(path: Path) -> str:
    """Return a hint with the run whose path is most like this one, or else with any."""
    runs = sorted({*_runs_in(path.parent), *_runs_in(RUNS), *_runs_in(Path())})
    by_name = {run.name: run for run in reversed(runs)}
    if (close := similar_name(path.name, by_name)) is not None:
        return f"did you mean {by_name[close]}?"
    if runs:
        return f"there is {runs[-1]}; `rnncli train CONFIG` makes a new run"
    return "`rnncli train CONFIG` makes one"


def _runs_in(folder: Path) -> Iterator[Path]:
    return runs_below(folder, 1, follow_links=True, max_entries=MAX_ENTRIES)
