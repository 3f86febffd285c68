"""Every key of the config, with its value and where that came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from rnncli.config import Config
from rnncli.report.data import ReportData
from rnncli.report.markup import run_name, table, text
from rnncli.runs.listing import RunInfo, show_value

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
    overrides = [each.partition("=")[0].strip() for session in info.sessions[:1] for each in session.overrides]
    for key, value, is_default in walk(config, ""):
        if any(key == name or key.startswith(f"{name}.") for name in overrides):
            yield key, value, SET
        else:
            yield key, value, DEFAULT if is_default else FILE


def walk(section_: BaseModel, above: str) -> Iterator[tuple[str, Any, bool]]:
    """Yield each key below a section, with its value, and True if that is the default."""
    for name, field in type(section_).model_fields.items():
        value, key = getattr(section_, name), f"{above}{field.alias or name}"
        if isinstance(value, BaseModel):
            yield from walk(value, f"{key}.")
        else:
            default = None if field.is_required() else field.get_default(call_default_factory=True)
            dumped = section_.model_dump(mode="json", include={name})[name]
            yield key, dumped, not field.is_required() and value == default and name != "type"
