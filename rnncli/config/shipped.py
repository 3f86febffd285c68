"""Example configs and data sets that come with the package."""

from __future__ import annotations

import re
from pathlib import Path

from rnncli.text import similar_name

_PACKAGE = Path(__file__).parents[1]
# A wheel holds them in the package; in a checkout, or an editable install, they are beside it.
EXAMPLES = _PACKAGE / "examples" if (_PACKAGE / "examples").is_dir() else _PACKAGE.parent
CONFIGS, DATA = EXAMPLES / "configs", EXAMPLES / "data"
DATA_PREFIX = "../data/"
"""The folder of the example data sets, as the example configs name it."""


def shipped_configs() -> dict[str, Path]:
    """Return the example configs by name."""
    return {path.stem: path for path in sorted(CONFIGS.glob("*.yaml"))}


def shipped_files() -> dict[str, dict[str, Path]]:
    """Return the files that example configs need, in sets: a data set, or the Python file of a custom cell.

    Returns:
        By the name of a set, the source of each file by its path beside a config.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(DATA.glob("*.tsv")):
        name = re.sub(r"_(train|validation|test)$", "", path.stem)
        found.setdefault(name, {})[f"data/{path.name}"] = path
    found |= {path.stem: {f"data/{path.name}": path} for path in sorted(DATA.glob("*.txt"))}
    return found | {path.stem: {path.name: path} for path in sorted(CONFIGS.glob("*.py"))}


def find_config(name: str) -> str:
    """Return the path of an example config for its name, where no file of that name exists; else the name itself."""
    path = Path(name)
    if path.exists() and not path.is_dir():  # a run directory may have the name of the example that it was trained on
        return name
    return str(shipped_configs().get(name, name))


def similar_config(name: str) -> str | None:
    """Return the example config whose name is most like a name; None if none is like it."""
    return similar_name(name, shipped_configs())


def describe_config(path: Path) -> str:
    """Return the first line of a config, which says what it is."""
    with path.open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()


def config_text(path: Path) -> str:
    """Return the text of an example config for a place of the user's; its data sets are then in `data/` beside it."""
    return path.read_text(encoding="utf-8").replace(DATA_PREFIX, "data/")


def files_needed(path: Path) -> list[str]:
    """Return the names of the sets of `shipped_files` that an example config needs beside it."""
    text = config_text(path)
    return [
        name
        for name, files in shipped_files().items()
        if any(file in text for file in files) or f"class: {name}:" in text
    ]
