"""Data files that the example configs name and that are not shipped."""

from __future__ import annotations

from pathlib import Path

from rnncli.config import load_config
from rnncli.config.file_names import file_names
from rnncli.config.shipped import CONFIGS, shipped_configs
from rnncli.config.yaml_reader import dotted, read_file, read_yaml


def keys_without_data(config: Path) -> list[str]:
    """Return the keys, as the config writes them, of an example config that name files which are not shipped."""
    written = read_yaml(*read_file(config))
    return [
        dotted(written.nearest(path)) for path, name in file_names(load_config(config)) if not Path(name).exists()
    ]


def keys_naming(file: str) -> list[str]:
    """Return the keys without data of the example config that names this file; none if no example names it."""
    if Path(file).parent != CONFIGS:
        return []
    for config in shipped_configs().values():
        if file in (name for _, name in file_names(load_config(config))):
            return keys_without_data(config)
    return []
