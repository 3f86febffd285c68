"""The task of sequences whose steps are a vector and a matrix."""

import numpy as np
import pytest

from rnncli.config import NestedTask, parse_config
from rnncli.data.tasks.nested import Nested, class_scores
from rnncli.errors import ConfigError, DataError

SMALL = {"steps": 4, "vector": 2, "matrix": [2, 3], "classes": 3, "examples": 600, "held_out": 100}


def task(**options):
    return Nested(NestedTask.model_validate({**SMALL, **options}))


def test_nested_splits_follow_from_the_seed():
    train, test = task().splits()
    assert (train.source.shape, test.source.shape) == ((500, 4, 8), (100, 4, 8))
    assert set(train.source_lengths) == {2, 3, 4}
    assert not train.source[train.source_lengths == 2, 2:].any()
    assert np.bincount(train.target[:, 0], minlength=3).min() > 80
    np.testing.assert_array_equal(task().splits()[1].source, test.source)
    assert not np.array_equal(task(seed=1).splits()[1].source, test.source)
    sizes = task().sizes
    assert (sizes.features, sizes.parts, sizes.source_steps, sizes.target_symbols) == (8, ((2,), (2, 3)), 4, 3)


def test_class_scores_sum_the_function_of_every_step():
    # steps of a vector of one number and a matrix of one number; class 0 looks at the vector, class 1 at the matrix
    sequences = np.float32([[[1, 0.5], [-2, 0.5]], [[0.5, -1], [0, 0]]])
    scores = class_scores(sequences, np.eye(2), vector_size=1)
    tanh_half, tanh_one, tanh_two = 0.462117, 0.761594, 0.964028
    np.testing.assert_allclose(scores, [[tanh_one - tanh_two, 2 * tanh_half], [tanh_half, -tanh_one]], atol=1e-6)
    np.testing.assert_allclose(class_scores(sequences[:, ::-1], np.eye(2), vector_size=1), scores)


def test_nested_read_is_inverse_of_show():
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
def test_nested_refuses_invalid_sequences(text, problem):
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
def test_nested_config_refuses_options_out_of_bounds(option, problem):
    with pytest.raises(ConfigError, match=problem):
        parse_config(f"task: {{type: nested, {option}}}\nmodel: classifier", "c")


@pytest.mark.parametrize("option", ["symbols: number", "embedding: 4"])
def test_nested_config_refuses_options_of_symbols(option):
    with pytest.raises(ConfigError, match=r"model\.(symbols|embedding)"):
        parse_config(f"task: nested\nmodel: {{type: classifier, {option}}}", "c")
