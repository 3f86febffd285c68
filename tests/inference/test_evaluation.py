"""Wrong predictions, aligned with their targets."""

import numpy as np
import pytest

from rnncli.config import AdditionTask
from rnncli.data.parsing import read_examples
from rnncli.data.tasks.addition import Addition, PaddedAddition
from rnncli.inference.evaluation import compare, wrong_predictions


@pytest.mark.parametrize("kind", [Addition, PaddedAddition])
@pytest.mark.parametrize("backwards", [False, True])
def test_alignments_are_in_reading_order(kind, backwards):
    task = kind(AdditionTask(examples=40, held_out=10, reverse_answer=backwards))
    examples = read_examples(task, ["999+1"], "t")
    predicted = np.array([task.read_target("1070")], examples.target.dtype)
    (wrong,) = wrong_predictions(task, examples, compare(task, examples, predicted))
    assert (wrong.target, wrong.prediction) == ("1000", "1070")
    assert wrong.alignment == [("1", "1"), ("0", "0"), ("0", "7"), ("0", "0")]
