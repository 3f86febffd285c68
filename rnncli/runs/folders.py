"""The run directories in a folder. Imports little, for completion in a shell."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from rnncli.runtime.run_files import CONFIG, RUN_MARKERS

RUNS = Path("runs")
"""The folder of new runs."""
MAX_DEPTH = 3
"""Folders below which runs are looked for: those of a sweep are in a folder of their own."""


def is_run(path: Path) -> bool:
    """Return True for a run directory."""
    with contextlib.suppress(OSError):
        return (path / CONFIG).is_file() and any((path / marker).exists() for marker in RUN_MARKERS)
    return False


def runs_below(
    folder: Path, depth: int = MAX_DEPTH, follow_links: bool = False, max_entries: int | None = None
) -> Iterator[Path]:
    """Yield the run directories in a folder and in the folders in it, by name; nothing where it cannot be listed.

    Args:
        folder: The folder; hidden ones in it are left out.
        depth: 1 looks in the folder alone.
        follow_links: Also the folders that are links.
        max_entries: Entries of a folder that are looked at; None is all.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted(
                Path(entry.path)
                for entry in islice(found, max_entries)
                if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=follow_links)
            )
    except OSError:
        return
    for entry in entries:
        if is_run(entry):
            yield entry
        elif depth > 1:
            yield from runs_below(entry, depth - 1, follow_links, max_entries)
