"""Facts of runs as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnncli.metrics.base import Quantity
    from rnncli.runs.listing import RunInfo


def value_text(info: RunInfo) -> str:
    """Return the best metric of a run as people read it; empty if there is none yet."""
    return "" if info.best_value is None or info.quantity is None else info.quantity.show(info.best_value)


def interval_text(info: RunInfo) -> str:
    """Return its interval in brackets; empty where none is recorded."""
    found = info.intervals.get(info.best_metric)
    return "" if found is None or info.quantity is None else f"[{range_text(info.quantity, found)}]"


def range_text(quantity: Quantity, interval: tuple[float, float]) -> str:
    """Return an interval as people read it, the unit once."""
    low, high = (quantity.show(bound) for bound in interval)
    return f"{low.removesuffix('%') if high.endswith('%') else low}-{high}"


def info_as_json(info: RunInfo) -> dict[str, Any]:
    """Return all that is known of a run as a JSON object."""
    sessions = [session.model_dump(mode="json") for session in info.sessions]
    last = sessions[-1] if sessions else {}
    return {
        "path": str(info.path),
        "name": info.name,
        "config_name": info.config_name,
        "state": info.state,
        "reason": info.reason,
        "epoch": info.epoch,
        "epochs": info.epochs,
        "step": info.step,
        "averaged": list(info.averaged),
        "best_metric": info.best_metric,
        "best": info.best,
        "best_intervals": info.intervals,
        "start": sessions[0]["start"] if sessions else None,
        "end": last.get("end"),
        "seconds": info.seconds,
        "host": last.get("host"),
        "command": last.get("command"),
        "sessions": sessions,
        **{key: info.manifest.get(key) for key in ("parameters", "device", "versions")},
        "config": info.keys,
    }
