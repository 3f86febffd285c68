"""Initial weights by the names of Keras's initializers."""

import keras
import numpy as np
import pytest

from rnncli.config import InitialWeights, parse_config
from rnncli.data.tasks import build_task
from rnncli.errors import ConfigError, InputError
from rnncli.models import build_model
from rnncli.training.initial_weights import set_initial_weights

HEAD = "task: {type: addition, digits: 1, examples: 55, held_out: 9}\nmodel: {type: %s, encoder: {units: 6}}\n"
TRAINING = "training: {initial_weights: %s}\n"


@pytest.fixture
def make(runtime):
    """Returns a function that builds a model, always the same, and returns it with its weights after a change."""

    def build(**names):
        config = parse_config(HEAD % "repeat_vector", "c")
        keras.utils.set_random_seed(0)
        with runtime.strategy.scope():
            model = build_model(config, build_task(config).sizes)
        if names:
            set_initial_weights(model, InitialWeights(**names), seed=3)
        return model, model.arrays()

    return build


def test_weights_of_a_kind_are_drawn_anew_and_others_stay(make):
    before, after, again = make()[1], make(recurrent="he_normal")[1], make(recurrent="he_normal")[1]
    changed = {name for name, value in before.items() if not np.array_equal(value, after[name])}
    assert changed == {name for name in before if name.endswith("/recurrent_kernel")} != set()
    assert all(np.array_equal(after[name], again[name]) for name in after), "they follow from the seed"


def test_initial_weights_have_the_distribution_of_their_name(make):
    _, weights = make(kernel="orthogonal", recurrent="random_uniform")
    for name, value in weights.items():
        if name.endswith("/kernel"):
            short = value if len(value) <= len(value.T) else value.T
            np.testing.assert_allclose(short @ short.T, np.eye(len(short)), atol=1e-5)
        if name.endswith("/recurrent_kernel"):
            assert 0.03 < np.abs(value).max() <= 0.05


def test_kinds_that_a_model_has_not_are_refused(make):
    model, _ = make()
    with pytest.raises(InputError, match=r"^training.initial_weights.embedding: "):
        set_initial_weights(model, InitialWeights(kernel="he_normal", embedding="he_normal"), 0)


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("{embedding: he_normal}", "training.initial_weights.embedding"),
        ("{kernel: glorot}", "training.initial_weights.kernel"),
        ("{kernel: he_normal}, init_from: a", "training.initial_weights"),
    ],
)
def test_initial_weights_that_do_not_fit_are_refused(section, key):
    with pytest.raises(ConfigError) as refused:
        parse_config(HEAD % "encoder_decoder" + TRAINING % section, "c.yaml")
    assert f"{key}: " in refused.value.message
