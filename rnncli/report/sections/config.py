"""Every key of the config, with its value and where that came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rnncli.config import Config
from rnncli.config.origins import is_overridden, leaves_of
from rnncli.report.data import ReportData
from rnncli.report.markup import run_name, table, text
from rnncli.runs.listing import RunInfo, show_value
from rnncli.runs.sessions import SessionRecord

DEFAULT, FILE, SET = "default", "config", "--set"


def section(data: ReportData) -> str:
    """Return a table for each run, the first one unfolded if it is the only one."""
    parts = []
    for run, info in enumerate(data.infos):
        if info.config is not None:
            rows = [[text(key), text(show_value(value)), origin] for key, value, origin in origins(info.config, info)]
            heads = ["key", "value", "from"]
            shown = table(f"Config of {data.names[run]}", heads, rows, sortable=True)
            opened = " open" if len(data.infos) == 1 else ""
            parts.append(f"<details{opened}><summary>{run_name(run, data.names[run])}</summary>{shown}</details>")
    note = '<p class="note">from: the default, the config file, or --set on the command line.</p>'
    return "\n".join([*parts, note]) if parts else ""


def origins(config: Config, info: RunInfo) -> Iterator[tuple[str, Any, str]]:
    """Yield each key of a config with its value and origin."""
    overrides = overrides_of(info.sessions)
    for leaf in leaves_of(config):
        default = DEFAULT if leaf.is_default and leaf.path[-1] != "type" else FILE
        yield ".".join(map(str, leaf.path)), leaf.value, SET if is_overridden(leaf, overrides) else default


def overrides_of(sessions: Sequence[SessionRecord]) -> list[str]:
    """Return the overrides in force: those since the last session with a config file, which replaces all."""
    begin = max((number for number, each in enumerate(sessions) if each.config_path is not None), default=0)
    return [override for session in sessions[begin:] for override in session.overrides]
