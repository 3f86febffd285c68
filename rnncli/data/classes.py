"""The classes of training examples: their numbers, and what is odd about them."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict

import numpy as np

from rnncli.data.examples import Examples
from rnncli.data.vocabulary import Vocabulary
from rnncli.text import shorten

MAX_SHOWN_CLASSES = 10
MAX_LABEL_WIDTH = 24
MAX_CLASSES_PER_EXAMPLE = 0.5
"""Labels that are more than this share of the examples, or more than there are texts, are rather texts."""


def describe_classes(examples: Examples, vocabulary: Vocabulary) -> list[str]:
    """Return a line with the number of examples of each class, and warnings about classes that may be mistakes.

    Args:
        examples: The training examples, with a class each.
        vocabulary: The target vocabulary.
    """
    counts = np.bincount(examples.target[:, 0], minlength=len(vocabulary)).tolist()
    sizes = Counter({label: count for label, count in zip(vocabulary.symbols, counts, strict=True) if count})
    listed = [f"{_name(label)} {count:,}" for label, count in sizes.most_common(MAX_SHOWN_CLASSES)]
    more = ", ..." if len(sizes) > MAX_SHOWN_CLASSES else ""
    lines = [f"{len(sizes)} class{'' if len(sizes) == 1 else 'es'}: {', '.join(listed)}{more}"]
    if single := [label for label, count in sizes.items() if count == 1]:
        lines.append(f"warning: {_listed(single)}: a single training example each")
    texts = len(np.unique(examples.source, axis=0))
    if len(sizes) > max(2, min(MAX_CLASSES_PER_EXAMPLE * len(examples), texts)):
        lines.append(
            f"warning: {len(sizes)} classes in {len(examples)} examples; if the columns are swapped, write label, "
            "tab, text"
        )
    if quoted := [label for label in sizes if _is_quoted(label)]:
        lines.append(f"warning: {_listed(quoted)}: labels in quotes; task.format: csv removes them")
    lines += [
        f"warning: {_listed(same)}: labels that differ in case, spaces, quotes or Unicode form only"
        for same in alike(list(sizes))
    ]
    return lines


def alike(labels: list[str]) -> list[list[str]]:
    """Return the groups of labels that differ in case, white space, quotes or Unicode form only."""
    groups = defaultdict(list)
    for label in labels:
        folded = "".join(unicodedata.normalize("NFKC", label).casefold().split())
        groups[folded[1:-1] if _is_quoted(folded) else folded].append(label)
    return [group for group in groups.values() if len(group) > 1]


def _is_quoted(label: str) -> bool:
    return len(label) > 2 and label[0] == label[-1] == '"'


def _listed(labels: list[str]) -> str:
    more = ", ..." if len(labels) > MAX_SHOWN_CLASSES else ""
    return ", ".join(_name(label) for label in labels[:MAX_SHOWN_CLASSES]) + more


def _name(label: str) -> str:
    return shorten(label, MAX_LABEL_WIDTH)
