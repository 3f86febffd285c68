"""Run directories by name: a path, the beginning of a run's name, or `latest`."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Iterator
from pathlib import Path

from rnncli.errors import InputError, RunDirError
from rnncli.files import read_json
from rnncli.runs.folders import MAX_DEPTH, RUNS, runs_below
from rnncli.runs.missing import hint_of_example
from rnncli.runs.sessions import sessions_of
from rnncli.runtime.run_files import CONFIG, MANIFEST, METRICS, VOCABULARY
from rnncli.text import shorten

LATEST = "latest"
"""The name of the run that began last."""
MAX_LISTED = 6
"""Names that an error lists."""


def find_run(name: Path) -> Path:
    """Return the run directory that a name stands for.

    Args:
        name: The path of a run; `latest`, the run that began last; or the beginning of the name of one run. Runs are
            looked for in `runs/` and in the current directory, or in the folder before the last slash.

    Raises:
        RunDirError: There is no such run, or the beginning is that of several.
    """
    if _may_exist(name) or not name.name:
        return name
    given = name.parent != Path()
    folders = [name.parent, RUNS / name.parent] if given else [RUNS, Path()]
    found = list(dict.fromkeys(path for folder in folders for path in _candidates(folder)))
    if name.name == LATEST:
        if not found:
            raise RunDirError(f"{name}: there are no runs in {' or '.join(map(_shown, folders))}", _HINT)
        return max(found, key=started)
    begin = [path for path in found if path.name.startswith(name.name)]
    exact = [path for path in begin if path.name == name.name]
    if len(exact or begin) == 1:
        return (exact or begin)[0]
    if begin:
        listed = ", ".join(path.name for path in begin[:MAX_LISTED])
        more = f" and {len(begin) - MAX_LISTED} more" if len(begin) > MAX_LISTED else ""
        raise RunDirError(f"{name}: {len(begin)} runs begin so: {listed}{more}", "write more of the name")
    raise RunDirError(
        f"{shorten(str(name), 1000)}: no such run directory", hint_of_example(name) or _similar(name, found)
    )


def _may_exist(path: Path) -> bool:
    """Return False only for a path that is certainly not there; of others the error that matters comes later."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        return True
    return True


def _candidates(folder: Path) -> Iterator[Path]:
    """Yield the runs of a folder; only those of `runs/` are looked for in the folders in it too."""
    yield from runs_below(folder, MAX_DEPTH if folder == RUNS else 1)


def started(path: Path) -> float:
    """Return the time at which a run began, in seconds since 1970, as far as it can be known; 0 if it cannot."""
    with contextlib.suppress(InputError):
        if sessions := sessions_of(read_json(path / MANIFEST, path)):
            return sessions[0].start.timestamp()
    for file in (VOCABULARY, METRICS, CONFIG):  # the first is written once, when training begins
        with contextlib.suppress(OSError):
            return (path / file).stat().st_mtime
    return 0.0


_HINT = "`rnncli train CONFIG` makes one; `rnncli runs DIR` lists those in a folder"


def _similar(name: Path, found: list[Path]) -> str:
    names = {path.name: path for path in found}
    close = difflib.get_close_matches(name.name, names, n=1, cutoff=0.6)
    if not close:  # a name without the date behind it
        stems = {path.name[: len(name.name)]: path for path in found}
        close = [stems[stem].name for stem in difflib.get_close_matches(name.name, stems, n=1, cutoff=0.75)]
    return f"did you mean {names[close[0]]}?" if close else _HINT


def _shown(folder: Path) -> str:
    return "this directory" if folder == Path() else str(folder)
