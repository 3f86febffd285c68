"""The kernel of each recurrent layer, and why it was chosen."""

from __future__ import annotations

from rnncli.report.data import ReportData
from rnncli.report.markup import letter, table, text


def section(data: ReportData) -> str:
    """Return a table of layers; runs with the same kernels share rows."""
    rows: dict[tuple[str, str, str], list[str]] = {}
    for run, info in enumerate(data.infos):
        kernels = info.manifest.get("kernels")
        for layer, each in kernels.items() if isinstance(kernels, dict) else ():
            if isinstance(each, dict):
                key = (str(layer), str(each.get("kernel", "")), str(each.get("reason", "")))
                rows.setdefault(key, []).append(letter(run))
    if not rows:
        return ""
    heads = ["layer", "kernel", "reason", *(["runs"] if len(data.infos) > 1 else [])]
    cells = [
        [*map(text, key), *([" ".join(runs)] if len(data.infos) > 1 else [])] for key, runs in sorted(rows.items())
    ]
    return table("Kernels that training used", heads, cells)
