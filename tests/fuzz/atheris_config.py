"""Configs fuzzed by coverage, with atheris, which is no dependency: a script.

`python -m pip install atheris && PYTHONPATH=. python tests/fuzz/atheris_config.py CORPUS -max_total_time=600`

libFuzzer's options follow the directory that it keeps its findings in; a crash is anything
but a config or a `ConfigError`, two seconds or 500 MB.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rnncli"]):
    from rnncli.config import Config, dump_config, parse_config
    from rnncli.errors import ConfigError

CONFIGS = Path(__file__).parent.parent.parent / "configs"


def read(data):
    """A config must load back as it is dumped; all else must be refused in a few short lines."""
    try:
        config = parse_config(data, "c.yaml")
    except ConfigError as error:
        lines = error.message.splitlines()
        assert len(lines) <= 21
        assert max(map(len, lines)) < 400
        return
    assert isinstance(config, Config)
    assert parse_config(dump_config(config), "dump") == config


if __name__ == "__main__":
    if len(sys.argv) < 2 or not Path(sys.argv[1]).is_dir():
        sys.exit(f"usage: {sys.argv[0]} CORPUS [OPTION]...; CORPUS is a directory, which grows")
    corpus, *options = sys.argv[1:]
    # in the first directory it keeps what it finds; from the second it only begins
    atheris.Setup([sys.argv[0], "-timeout=2", "-rss_limit_mb=500", *options, corpus, str(CONFIGS)], read)
    atheris.Fuzz()
