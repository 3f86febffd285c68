"""A run's predictions for its held-out examples, or for those of a file, as plots and reports need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnncli.cli.input_lines import read_input
from rnncli.cli.options import show_notes, show_unknown, show_weights

if TYPE_CHECKING:
    from rnncli.inference.held_out import Answers
    from rnncli.runs.directory import SavedRun


def answer_examples(saved: Sequence[SavedRun], input_path: str | None, quiet: bool) -> list[Answers]:
    """Return the predictions of each run; shows which weights answered.

    Args:
        saved: The runs.
        input_path: A file of examples, or of a text; None for the held-out examples of each run.
        quiet: True to show nothing.
    """
    from rnncli.runs.held_out import recorded_examples

    if input_path is None:
        examples = [recorded_examples(each) for each in saved]
    else:
        name, examples = read_input([each.task for each in saved], input_path)
    if not quiet:
        show_notes(*examples[:1])
        if input_path is not None:
            _show_unknown_of(saved, name)
    from rnncli.inference.held_out import Answers

    answers = []
    for run, found in zip(saved, examples, strict=True):
        answers.append(Answers.of(run, found))
        show_weights(run, quiet=quiet)
    return answers


def _show_unknown_of(saved: Sequence[SavedRun], name: str) -> None:
    """Print the unknown symbols of what was read: once, or for each run where their vocabularies differ."""
    from rnncli.data.vocabulary import vocabulary_digest

    digests = {vocabulary_digest(run.task.source_vocabulary, run.task.target_vocabulary) for run in saved}
    if len(digests) == 1:
        show_unknown(saved[0].task, name)
        return
    for run in saved:
        show_unknown(run.task, f"{name}, with {run.path}")
