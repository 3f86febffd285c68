"""The task of pairs on a few lines: what its tests share."""

from rnncli.config import PairsTask
from rnncli.data.tasks.pairs import Pairs

TRAIN = "ab\tAB\n\nba\tBA\nabc\tABC\n"
VALIDATION = "cab\tCAB\n"
FEATURES = {"columns": {"source": 1, "target": 2, "features": 3}, "features": "joined"}


def write_files(folder):
    (folder / "train.tsv").write_text(TRAIN)
    (folder / "validation.tsv").write_text(VALIDATION)


def task(recorded=None, **options):
    section = {"train": "train.tsv", "validation": "validation.tsv", **options}
    return Pairs(PairsTask.model_validate(section), recorded)


def sources(examples, pairs):
    rows = zip(examples.source.tolist(), examples.source_lengths.tolist(), strict=True)
    return [pairs.show_source(row[:length]) for row, length in rows]


def shown(pairs):
    """The training pairs as text."""
    train = pairs.splits()[0]
    return list(zip(sources(train, pairs), [pairs.show_target(row) for row in train.target.tolist()], strict=True))
