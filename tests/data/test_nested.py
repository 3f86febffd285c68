"""The task of sequences whose steps are a vector and a matrix."""

import numpy as np
import pytest

from rnncli.config import NestedTask, parse_config
from rnncli.data.tasks.nested import Nested
from rnncli.errors import ConfigError, DataError

SMALL = {"steps": 4, "vector": 2, "matrix": [2, 3], "classes": 3, "examples": 600, "held_out": 100}


def task(**options):
    return Nested(NestedTask.model_validate({**SMALL, **options}))


def test_sequences_are_split_and_drawn_from_the_seed():
    train, test = task().splits()
    assert (train.source.shape, test.source.shape) == ((500, 4, 8), (100, 4, 8))
    assert set(train.source_lengths) == {2, 3, 4}
    assert not train.source[train.source_lengths == 2, 2:].any()
    assert np.bincount(train.target[:, 0], minlength=3).min() > 80
    np.testing.assert_array_equal(task().splits()[1].source, test.source)
    assert not np.array_equal(task(seed=1).splits()[1].source, test.source)
    sizes = task().sizes
    assert (sizes.features, sizes.parts, sizes.source_steps, sizes.target_symbols) == (8, ((2,), (2, 3)), 4, 3)


def test_the_order_of_steps_does_not_matter_but_every_step_does():
    nested = task(steps=6, examples=2000)
    train, _ = nested.splits()
    hidden = np.random.default_rng(0).normal(0, 1, (8, 3))
    wanted = nested._sums(train.source, hidden).argmax(axis=1)
    np.testing.assert_array_equal(train.target[:, 0], wanted)
    np.testing.assert_array_equal(nested._sums(train.source[:, ::-1], hidden).argmax(axis=1), wanted)
    first = nested._sums(train.source[:, :1], hidden).argmax(axis=1)
    assert 0.4 < np.mean(first == wanted) < 0.8


def test_a_sequence_that_is_shown_is_read_again():
    nested, (_, test) = task(), task().splits()
    for row, length in enumerate(test.source_lengths[:20]):
        steps = test.source[row, :length]
        np.testing.assert_array_equal(np.float32(nested.read_source(nested.show_source(steps.tolist()))), steps)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not numbers"),
        ("1,x", "not numbers"),
        ("1,2", "2 numbers; a sequence has 1 to 4 steps of 8"),
        (",".join(["1"] * 40), "40 numbers; a sequence has 1 to 4 steps of 8"),
        (",".join(["nan"] * 8), "a number is not finite"),
    ],
)
def test_what_is_no_sequence_is_refused(text, problem):
    with pytest.raises(DataError, match=problem):
        task().read_source(text)


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("held_out: 6000", "task.held_out: must be less than task.examples"),
        ("matrix: [2]", "task.matrix: a list is not allowed; must have at least 2 values"),
        ("matrix: 4", "task.matrix: 4 is not a list"),
        ("matrix: [2, 0]", "task.matrix.1: 0 is not allowed; must be at least 1"),
        ("matrix: [2, x]", "task.matrix.1: 'x' .text. is not a whole number"),
        ("steps: 0", "task.steps: 0 is not allowed; must be at least 1"),
    ],
)
def test_options_out_of_bounds_are_refused(option, problem):
    with pytest.raises(ConfigError, match=problem):
        parse_config(f"task: {{type: nested, {option}}}\nmodel: classifier", "c")


@pytest.mark.parametrize("option", ["symbols: number", "embedding: 4"])
def test_options_for_symbols_are_refused(option):
    with pytest.raises(ConfigError, match=r"model\.(symbols|embedding)"):
        parse_config(f"task: nested\nmodel: {{type: classifier, {option}}}", "c")
