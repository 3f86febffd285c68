"""Weights of classes in the loss: against plain Keras with `class_weight` and with `sample_weight`."""

import keras
import numpy as np
import pytest

from rnncli.config import dump_config, parse_config
from rnncli.data.examples import Examples, Sizes
from rnncli.data.vocabulary import Vocabulary
from rnncli.errors import ConfigError, InputError
from rnncli.models import build_model
from rnncli.training.batches import Batches, build_step
from rnncli.training.class_weights import class_weights

LABELS = Vocabulary(("bad", "good", "never", "ugly"))
CLASSES = np.array([1, 1, 1, 1, 1, 0, 0, 3], np.int32)
CONFIG = """
task: classify
model: {type: classifier, units: 4, embedding: 3}
training: {batch_size: 8, optimizer: sgd, learning_rate: 0.5, label_smoothing: %s, class_weight: %s}
"""


def config_of(weights, smoothing=0.0):
    return parse_config(CONFIG % (smoothing, weights), "c.yaml")


def examples():
    source = np.random.default_rng(2).integers(1, 6, (len(CLASSES), 5)).astype(np.int32)
    ones = np.ones(len(CLASSES), np.int32)
    return Examples(source, 5 * ones, CLASSES[:, None], ones)


def weights_of(weights):
    found = class_weights(config_of(weights), examples(), LABELS)
    return None if found is None else found.tolist()


def test_balanced_weights_are_inverse_to_the_number_of_examples():
    assert weights_of("balanced") == pytest.approx([8 / (3 * 2), 8 / (3 * 5), 1, 8 / (3 * 1)])


def test_given_weights_are_those_of_their_labels_and_1_for_others():
    assert weights_of("{ugly: 2.5, good: 1}") == [1, 1, 1, 2.5]
    assert weights_of("null") is None


def test_labels_that_look_like_numbers_are_quoted_and_stay_so_in_the_run():
    config = config_of('{"0": 1, "1": 19}')
    assert config.training.class_weight == {"0": 1.0, "1": 19.0}
    assert parse_config(dump_config(config), "run").training == config.training


def test_weights_of_unknown_labels_are_refused():
    with pytest.raises(InputError, match=r"training\.class_weight: .* 'goood'") as refused:
        weights_of("{goood: 2}")
    assert "good" in refused.value.hint


@pytest.mark.parametrize("weights", ["even", "[1, 2]", "{good: 0}", "{good: -1}", "{good: true}", "{good: much}"])
def test_what_is_no_weight_is_refused(weights):
    with pytest.raises(ConfigError, match=r"^c\.yaml:4: training\.class_weight: "):
        config_of(weights)


@pytest.mark.parametrize("keys", ["class_weight: balanced", "early_stopping: {metric: macro_f1}"])
def test_only_classifiers_have_weights_and_metrics_of_classes(keys):
    with pytest.raises(ConfigError, match=r"training\.(class_weight|early_stopping\.metric): "):
        parse_config(f"task: addition\nmodel: encoder_decoder\ntraining: {{{keys}}}", "c.yaml")


def make(runtime, weights, smoothing=0.0):
    """A model with its training step, and row numbers of one step."""
    config = config_of(weights, smoothing)
    keras.utils.set_random_seed(0)
    model = build_model(config, Sizes(6, 5, len(LABELS), 1), on_gpu=False)
    batches = Batches(config, examples(), 1)
    step = build_step(config, batches, model, runtime, class_weights(config, examples(), LABELS))
    return model, step, batches.order(0)


def plain_keras(model):
    """The same classifier of Keras's own layers, with the same weights."""
    plain = keras.Sequential([keras.layers.Embedding(6, 3), keras.layers.LSTM(4), keras.layers.Dense(len(LABELS))])
    plain.build((8, 5))
    plain.set_weights([weight.numpy() for weight in model.network.weights])
    return plain


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("semantics", ["class_weight", "sample_weight"])
def test_loss_and_update_are_those_of_plain_keras(runtime, semantics, smoothing):
    model, step, order = make(runtime, "{good: 0.5, bad: 2, ugly: 3}", smoothing)
    plain = plain_keras(model)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    plain.compile(keras.optimizers.SGD(0.5), loss, jit_compile=False)
    by_class = {0: 2.0, 1: 0.5, 3: 3.0}
    weights = by_class if semantics == "class_weight" else np.array([by_class[label] for label in CLASSES.tolist()])
    one_hot = np.eye(len(LABELS), dtype=np.float32)[CLASSES]
    expected = plain.train_on_batch(examples().source, one_hot, **{semantics: weights})
    before = [weight.numpy() for weight in model.network.weights]
    results = step(order, 0)
    assert results.losses[0] == pytest.approx(float(np.ravel(expected)[0]), rel=1e-5)
    moves = [(weight.numpy() - old) / 0.5 for weight, old in zip(plain.weights, before, strict=True)]  # gradients
    assert results.gradient_norms[0] == pytest.approx(np.sqrt(sum((each**2).sum() for each in moves)), rel=1e-4)
    for here, there in zip(model.network.weights, plain.weights, strict=True):
        np.testing.assert_allclose(here.numpy(), there.numpy(), atol=1e-6)


@pytest.mark.long
def test_weights_of_1_change_nothing(runtime):
    ended = []
    for weights in ("null", "{good: 1, bad: 1}"):
        model, step, order = make(runtime, weights)
        ended.append([step(order, 0), *(weight.numpy() for weight in model.network.weights)])
    for one, other in zip(*ended, strict=True):
        np.testing.assert_array_equal(one, other)
