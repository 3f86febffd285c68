"""The table of learning rate schedules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ScheduleEntry:
    """A schedule.

    Attributes:
        function: A function from the config and the number of steps of the whole training to a Keras schedule, as
            `module:name`; None where no rate follows from the step.
        spans_training: True if it ends with the last epoch, so that the number of epochs cannot change later.
        warms_up: True if it begins with a warm-up.
    """

    function: str | None
    spans_training: bool = True
    warms_up: bool = True


SCHEDULES = {
    "constant": ScheduleEntry(None, spans_training=False, warms_up=False),
    "plateau": ScheduleEntry(None, spans_training=False, warms_up=False),
    "warmup_cosine": ScheduleEntry("rnncli.training.schedules:warmup_cosine"),
    "cosine_restarts": ScheduleEntry("rnncli.training.schedules:cosine_restarts"),
    "linear": ScheduleEntry("rnncli.training.schedules:linear"),
    "inverse_sqrt": ScheduleEntry("rnncli.training.schedules:inverse_sqrt", spans_training=False),
}
"""Every schedule by its name, the value of `training.schedule`."""
