"""Sessions: the times that a process trained a run, as its manifest records them.

    "examples": {"train": 42000, "held_out": 5000},
    "state": "stopped", "step": 352, "best": {"epoch": 2, "exact_match": 0.41, ...},
    "best_intervals": {"exact_match": [0.39, 0.43]},
    "sessions": [{"start": ..., "end": ..., "seconds": ..., "host": ..., "command": ..., "config_path": ...}]

Runs of earlier versions have none of it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from rnncli.errors import InputError, Terminated, explain_os_errors
from rnncli.files import read_json
from rnncli.metrics import METRICS, exact_match
from rnncli.metrics.intervals import wilson_interval
from rnncli.runs.directory import RunDir
from rnncli.runtime.run_files import MANIFEST
from rnncli.text import shorten

SHARES = frozenset(name for name, metric in METRICS.items() if metric.count is exact_match.count)
"""Metrics that are a share of the examples, which are right or wrong."""
HELD_OUT = "held_out"

RUNNING, FINISHED, STOPPED, FAILED = "running", "finished", "stopped", "failed"
SESSIONS, STATE, STEP, BEST, INTERVALS, REASON = "sessions", "state", "step", "best", "best_intervals", "reason"
EXAMPLES = "examples"
"""Keys of the manifest."""

MAX_REASON = 200
"""Characters of the reason for which training failed."""
MAX_COUNT = 2**53
"""The greatest number of anything; a manifest may come from somebody else."""

Time = Annotated[
    AwareDatetime,
    Field(strict=False, ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9000, 1, 1, tzinfo=UTC)),
]
"""A time that every function of `datetime` can compute with."""
Seconds = Annotated[float, Field(ge=0, le=MAX_COUNT)]

_METRICS: TypeAdapter[dict[str, float | int]] = TypeAdapter(
    dict[str, Annotated[int, Field(ge=-MAX_COUNT, le=MAX_COUNT)] | float],
    config=ConfigDict(strict=True, allow_inf_nan=False),
)


class SessionRecord(BaseModel):
    """A session. Field names are the keys in the manifest.

    Attributes:
        start: The time at which training began, with time zone.
        end: The time at which it ended; None while it runs, and if the process was killed.
        seconds: From one to the other; None likewise.
        from_step: Training steps that were done before.
        host: Name of the machine.
        command: The command line; None where Python trained.
        config_path: The config file; None where there was none, as in resuming a run.
        overrides: `KEY.PATH=VALUE`, each in place of what the file says.
    """

    model_config = ConfigDict(extra="ignore", strict=True, allow_inf_nan=False)

    start: Time
    end: Time | None = None
    seconds: Seconds | None = None
    from_step: int = 0
    host: str | None = None
    command: str | None = None
    config_path: str | None = None
    overrides: list[str] = []


@dataclass(frozen=True)
class Origin:
    """The origin of a training: what a run is named after, and its manifest records.

    Attributes:
        config_path: The config file; None if there is none.
        overrides: `KEY.PATH=VALUE`, each in place of what the file says.
        command: The command line; None where Python trains.
    """

    config_path: str | None = None
    overrides: tuple[str, ...] = ()
    command: str | None = None


NO_ORIGIN = Origin()


def sessions_of(manifest: Mapping[str, Any]) -> list[SessionRecord]:
    """Return the sessions that a manifest records; none if it is of an earlier version, or they are damaged."""
    recorded = manifest.get(SESSIONS)
    try:
        return [SessionRecord.model_validate(each) for each in recorded] if isinstance(recorded, list) else []
    except ValidationError:
        return []


def finite_metrics(recorded: object) -> dict[str, float | int]:
    """Return the metrics of an epoch as recorded, by name; none if there are none, or they are damaged."""
    try:
        return _METRICS.validate_python(recorded)
    except ValidationError:
        return {}


class SessionRecorder:
    """Records a session in the manifest: that it runs, and when and how it ended.

    It is a context manager around training; the session begins when `begin` is called within it, once the manifest is
    there. A manifest that cannot be written at the end is left as it is, since the result of training matters more.

    Args:
        run: The run directory.
        origin: The config file and the command line.
        from_step: Training steps that were done before.
        examples: Number of examples of each split, by name.

    Attributes:
        state: The state to record at the end, unless an exception decides it.
    """

    def __init__(
        self,
        run: RunDir,
        origin: Origin = NO_ORIGIN,
        from_step: int = 0,
        examples: Mapping[str, int] | None = None,
    ) -> None:
        self._run, self._origin, self._from_step, self._examples = run, origin, from_step, dict(examples or {})
        self._record: SessionRecord | None = None
        self.state = STOPPED

    def begin(self) -> None:
        """Record that training runs.

        Raises:
            RunFailedError: The manifest cannot be written.
            InputError: It cannot be read.
        """
        origin = self._origin
        self._record = SessionRecord(
            start=_now(),
            from_step=self._from_step,
            host=socket.gethostname(),
            command=origin.command,
            config_path=origin.config_path,
            overrides=list(origin.overrides),
        )
        manifest = read_json(self._run.path / MANIFEST, self._run.path)
        earlier = manifest.get(SESSIONS)
        sessions = [*(earlier if isinstance(earlier, list) else []), self._record.model_dump(mode="json")]
        manifest.pop(REASON, None)
        if self._examples:
            manifest[EXAMPLES] = self._examples
        with explain_os_errors(self._run.path / MANIFEST, "written"):
            self._run.write_manifest({**manifest, STATE: RUNNING, SESSIONS: sessions})

    def __enter__(self) -> SessionRecorder:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if self._record is None:
            return
        failed = error is not None and not isinstance(error, KeyboardInterrupt | Terminated)
        reason = _reason(error) if error is not None and failed else ""
        state = self.state if error is None else FAILED if failed else STOPPED
        with contextlib.suppress(OSError, InputError):
            self._end(self._record, state, reason)

    def _end(self, record: SessionRecord, state: str, reason: str) -> None:
        end = _now()
        manifest = read_json(self._run.path / MANIFEST, self._run.path)
        ended = record.model_copy(update={"end": end, "seconds": (end - record.start).total_seconds()})
        manifest[SESSIONS] = [*manifest.get(SESSIONS, [])[:-1], ended.model_dump(mode="json")]
        manifest |= {STATE: state} | ({REASON: reason} if reason else {})
        self._run.write_manifest(manifest | _reached(self._run, manifest))


def record_finished(run: RunDir) -> None:
    """Record that a run is finished whose process was killed between its last checkpoint and the end of its session.

    The session keeps no end. The caller holds the lock. A manifest that cannot be read or written is left as it is.
    """
    with contextlib.suppress(OSError, InputError):
        manifest = read_json(run.path / MANIFEST, run.path)
        if manifest.get(STATE) == RUNNING:
            run.write_manifest(manifest | {STATE: FINISHED} | _reached(run, manifest))


def _reached(run: RunDir, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys that tell how far training has come; none if there is no checkpoint yet."""
    try:
        reached = run.newest_state()
    except InputError:
        return {}
    best = {BEST: dict(reached.best), INTERVALS: intervals_of(reached.best, manifest)} if reached.best else {}
    return {STEP: reached.step, **best}


def intervals_of(best: Mapping[str, float], manifest: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Return the 95% interval (Wilson's) of each metric that is a share of the held-out examples, by name.

    Args:
        best: Metrics by name.
        manifest: It has the number of examples; that of an earlier version has not, and there are no intervals.
    """
    counted = manifest.get(EXAMPLES)
    count = counted.get(HELD_OUT) if isinstance(counted, dict) else None
    if not isinstance(count, int) or not 1 <= count <= MAX_COUNT:
        return {}
    found = {}
    for name in best.keys() & SHARES:
        low, high = wilson_interval(min(1.0, max(0.0, best[name])) * count, count)
        found[name] = (low, min(1.0, high))
    return found


def _now() -> datetime:
    return datetime.now().astimezone().replace(microsecond=0)


def _reason(error: BaseException) -> str:
    return shorten(getattr(error, "message", None) or f"{type(error).__name__}: {error}", MAX_REASON)
