"""Example configs and data sets that come with the package."""

from __future__ import annotations

import re
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
# A wheel holds them in the package; in a checkout, or an editable install, they are beside it.
EXAMPLES = _PACKAGE / "examples" if (_PACKAGE / "examples").is_dir() else _PACKAGE.parent
CONFIGS, DATA = EXAMPLES / "configs", EXAMPLES / "data"
DATA_PREFIX = "../data/"
"""How the example configs name the example data sets."""


def shipped_configs() -> dict[str, Path]:
    """Return the example configs by name."""
    return {path.stem: path for path in sorted(CONFIGS.glob("*.yaml"))}


def shipped_data() -> dict[str, list[Path]]:
    """Return the files of the example data sets by the name of the set."""
    found: dict[str, list[Path]] = {}
    for path in sorted(DATA.glob("*.tsv")):
        found.setdefault(re.sub(r"_(train|validation|test)$", "", path.stem), []).append(path)
    return found | {path.stem: [path] for path in sorted(DATA.glob("*.txt"))}


def find_config(name: str) -> str:
    """Return the path of an example config for its name, where no file of that name exists; else the name itself."""
    if Path(name).exists():
        return name
    return str(shipped_configs().get(name, name))


def describe_config(path: Path) -> str:
    """Return the first line of a config, which says what it is."""
    with path.open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()


def config_text(path: Path) -> str:
    """Return the text of an example config for a place of the user's; its data sets are then in `data/` beside it."""
    return path.read_text(encoding="utf-8").replace(DATA_PREFIX, "data/")


def data_needed(path: Path) -> list[str]:
    """Return the names of the example data sets that a config reads."""
    text = path.read_text(encoding="utf-8")
    return [
        name for name, files in shipped_data().items() if any(f"{DATA_PREFIX}{file.name}" in text for file in files)
    ]
