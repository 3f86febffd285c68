"""Answers of a run that was never trained: sums, with the predictions that a test wants."""

import numpy as np

from rnncli.config import parse_config
from rnncli.data.parsing import read_examples
from rnncli.data.tasks import build_task
from rnncli.inference.evaluation import compare
from rnncli.inference.held_out import Answers
from rnncli.runs.checkpoints import CheckpointRecord
from rnncli.runs.directory import SavedRun

SUMS = "task: {type: addition, reverse: false}\nmodel: encoder_decoder\n"


def answer_sums(path, predicted):
    """The answers of a run to sums; `predicted` has the prediction of each sum."""
    config = parse_config(SUMS, "c.yaml")
    task = build_task(config)
    examples = read_examples(task, list(predicted), "sums.txt")
    written = read_examples(task, [f"{sum_}\t{text}" for sum_, text in predicted.items()], "predictions.txt").target
    ids = np.zeros_like(examples.target)
    ids[:, : written.shape[1]] = written[:, : ids.shape[1]]
    saved = SavedRun(path, config, task, {}, CheckpointRecord(), {})
    return Answers(saved, None, examples, compare(task, examples, ids))
