"""Sources that have several right targets, such as the pronunciations of a word."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from rnncli.data.examples import Examples
from rnncli.data.vocabulary import UNKNOWN, Vocabulary


def rows_by_source(examples: Examples, vocabulary: Vocabulary) -> list[list[int]]:
    """Return the rows of each distinct source, in the order of their first rows.

    Sources with unknown symbols are told apart by their text; without text they are not put together.

    Args:
        examples: The examples.
        vocabulary: The source vocabulary of their task.
    """
    rows, with_unknown = defaultdict(list), np.zeros(len(examples), bool)
    if UNKNOWN in vocabulary.ids:
        with_unknown = (examples.source == vocabulary.ids[UNKNOWN]).any(axis=1)
    for row, (steps, length) in enumerate(zip(examples.source, examples.source_lengths, strict=True)):
        text = ""
        if with_unknown[row]:
            text = examples.texts[row].source if examples.texts else str(row)
        rows[steps[:length].tobytes(), text].append(row)
    return list(rows.values())


def note_several_targets(examples: Examples, vocabulary: Vocabulary, name: str) -> list[str]:
    """Return a note where sources of the training data repeat with other targets.

    Args:
        examples: The examples.
        vocabulary: The source vocabulary of their task.
        name: The name of their file.
    """
    targets = examples.target
    repeated = [rows for rows in rows_by_source(examples, vocabulary) if len(rows) > 1]
    several = [rows for rows in repeated if (targets[rows] != targets[rows[0]]).any()]
    if not several:
        return []
    return [
        f"{name}: {len(several)} sources have several targets, in {sum(map(len, several))} of {len(examples)} "
        "examples; `rnncli evaluate --references any` counts a prediction as right if it meets any of them"
    ]
