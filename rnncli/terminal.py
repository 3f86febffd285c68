"""Progress bars on a terminal."""

from __future__ import annotations

import sys
from shutil import get_terminal_size
from typing import Any


def bar(total: float | None, desc: str | None, unit: str, shown: bool = True, **options: Any) -> Any:
    """Return a progress bar on stderr that disappears at the end; nothing is shown unless stderr is a terminal."""
    from tqdm import tqdm

    columns, lines = get_terminal_size()  # 80 x 24 for a terminal of unknown size, where tqdm would show nothing
    return tqdm(
        total=total,
        desc=desc,
        unit=unit,
        leave=False,
        disable=not (shown and sys.stderr.isatty()),
        file=sys.stderr,
        ncols=columns,
        nrows=lines,
        **options,
    )
