"""The data of a report: its runs, and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rnncli.inference.evaluation import WrongPrediction
    from rnncli.inference.held_out import Answers, PairedTest
    from rnncli.inference.prediction import AttentionWeights
    from rnncli.runs.listing import RunInfo


@dataclass(frozen=True)
class ReportData:
    """The runs of a report, and what they answered.

    Attributes:
        infos: Facts of each run.
        logs: The metrics of each epoch of each run.
        answers: Predictions of each run for the examples; none if nothing was predicted.
        tests: Paired tests of the first run and each other one; none likewise, or if they have no examples in common.
        examples: The name of the examples.
        attention: Attention weights of some examples by run and row.
        max_wrong: Rows of all tables of wrong answers together.
        notes: What the report must say beside.
    """

    infos: Sequence[RunInfo]
    logs: Sequence[Sequence[dict[str, float]]]
    answers: Sequence[Answers] = ()
    tests: Sequence[PairedTest] = ()
    examples: str = "held-out examples"
    attention: dict[tuple[int, int], AttentionWeights] = field(default_factory=dict)
    max_wrong: int = 500
    notes: Sequence[str] = ()

    @property
    def names(self) -> list[str]:
        """The name of each run: of its directory, or its path where two are alike."""
        names = [info.name for info in self.infos]
        return names if len(set(names)) == len(names) else [str(info.path) for info in self.infos]

    def wrong(self, run: int) -> tuple[list[WrongPrediction], int]:
        """Return the wrong predictions of a run that the report shows, and the number of all."""
        found = self.answers[run].wrong
        return found[: max(1, self.max_wrong // len(self.answers))], len(found)
