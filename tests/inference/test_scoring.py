"""Log probabilities of given targets, against the softmax of the model's logits and against those of predictions."""

import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import parse_config
from rnncli.data.tasks import build_task
from rnncli.inference.decoder import Decoder
from rnncli.inference.examples import predict_and_score, predict_examples, score_examples
from rnncli.models import build_model
from rnncli.models.ensemble import Ensemble

pytestmark = pytest.mark.usefixtures("runtime")

SIZES = "encoder: {units: 5}, decoder: {units: 5}"
MODELS = {
    "plain": f"{{type: encoder_decoder, {SIZES}}}",
    "attention": f"{{type: encoder_decoder, attention: general, {SIZES}}}",
    "input_feeding": f"{{type: encoder_decoder, attention: additive, input_feeding: true, {SIZES}}}",
    "repeat_vector": f"{{type: repeat_vector, {SIZES}}}",
    "classifier": "{type: classifier, units: 5}",
    "next_step": "{type: next_step, units: 5}",
    "stateful": "{type: next_step, units: 5, stateful: true}",
}
ADDITION = "{type: addition, digits: 2, examples: 80, held_out: 30}"
TEXT = "{type: text, window: 9, windows: 24, held_out: 8}"


def setting(name, runtime):
    task = TEXT if name in ("next_step", "stateful") else ADDITION
    config = parse_config(f"{{task: {task}, model: {MODELS[name]}, training: {{batch_size: 4}}}}", "c")
    made = build_task(config)
    decoder = Decoder(build_model(config, made.sizes), runtime, config.fixed_batch_size)
    return decoder, made, made.splits()[1]


def plain(model, examples, initial=None):
    """Log probabilities by the model's own logits and NumPy, 0 at padding."""
    source, lengths = tf.constant(examples.source, tf.int32), tf.constant(examples.source_lengths)
    if initial is None:
        logits = model.logits(source, lengths, tf.constant(examples.target, tf.int32)).numpy()
    else:
        logits = model.read_from(initial, source, lengths)[0].numpy()
    log_probability = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    found = np.take_along_axis(log_probability, examples.target[..., None].astype(int), axis=-1)[..., 0]
    return np.where(np.arange(found.shape[1]) < examples.target_lengths[:, None], found, 0)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "stateful"])
def test_log_probabilities_are_those_of_the_models_logits(name, runtime):
    decoder, _, examples = setting(name, runtime)
    found = score_examples(decoder, examples, {})
    np.testing.assert_allclose(found, plain(decoder.model, examples), atol=2e-6)
    ids, scored = predict_and_score(decoder, examples, {})
    assert (ids == predict_examples(decoder, examples, {})).all()
    np.testing.assert_allclose(scored, found, atol=1e-6)


@pytest.mark.parametrize("name", list(MODELS))
def test_score_of_a_prediction_as_target_is_the_score_of_the_prediction(name, runtime):
    decoder, _, examples = setting(name, runtime)
    decoded = decoder(examples.source[:4], examples.source_lengths[:4])
    scored, _ = decoder.score(examples.source[:4], examples.source_lengths[:4], decoded.ids)
    counted = decoded.ids != 0 if examples.target_lengths.min() < examples.target.shape[1] else True
    sums = np.where(counted, scored, 0).sum(axis=1)
    np.testing.assert_allclose(sums, decoded.log_probabilities[:, 0], atol=1e-5)


def test_a_stateful_model_carries_its_states_from_window_to_window(runtime):
    decoder, _, examples = setting("stateful", runtime)
    model = decoder.model
    zeros = {name: np.zeros((4, *shape), np.float32) for name, shape in model.state_spec.items()}
    found = score_examples(decoder, examples, zeros)
    first, second = examples.rows([0, 2, 4, 6]), examples.rows([1, 3, 5, 7])  # 4 rows of two windows each
    state = model.read_from(None, tf.constant(first.source, tf.int32), tf.constant(first.source_lengths))[1]
    np.testing.assert_allclose(found[[0, 2, 4, 6]], plain(model, first), atol=2e-6)
    np.testing.assert_allclose(found[[1, 3, 5, 7]], plain(model, second, state), atol=2e-6)


def test_an_ensemble_scores_by_the_mean_probability(runtime):
    one, _, examples = setting("attention", runtime)
    other, _, _ = setting("attention", runtime)
    found = score_examples(Decoder(Ensemble([one.model, other.model]), runtime), examples, {})
    both = [plain(decoder.model, examples) for decoder in (one, other)]
    np.testing.assert_allclose(np.exp(found), np.exp(both).mean(axis=0), atol=2e-6)


def test_no_examples_have_no_scores(runtime):
    decoder, _, examples = setting("plain", runtime)
    assert score_examples(decoder, examples.rows([]), {}).shape == (0, examples.target.shape[1])
