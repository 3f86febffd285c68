"""The decoder: predictions do not depend on padding, other rows, or batches; ensembles; attention."""

import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import EncoderDecoderModel, RuntimeConfig
from rnncli.data.examples import Sizes
from rnncli.inference import decoder as decoder_module
from rnncli.inference.decoder import Decoder
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.layers import KernelChoice
from rnncli.models.encoder_decoder import EncoderDecoder
from rnncli.models.ensemble import Ensemble
from rnncli.runtime.tensorflow_setup import setup_tensorflow

pytestmark = [pytest.mark.usefixtures("runtime"), pytest.mark.xla(unroll=False)]
SIZES = Sizes(source_symbols=9, source_steps=20, target_symbols=8, target_steps=7)
OPTIONS = {
    "greedy": DecodingOptions(),
    "beam": DecodingOptions(beam=3, n_best=2, length_penalty=0.6),
    "sample": DecodingOptions(sample=True, temperature=1.3, n_best=2, seed=3),
}


def random_model(seed, kind=EncoderDecoder, cell="gru", units=5):
    section = {"type": "encoder_decoder", "cell": cell, "encoder": {"units": units}, "decoder": {"units": units}}
    model = kind(EncoderDecoderModel.model_validate(section), SIZES, cell, KernelChoice("fused", "a test"))
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(0, 1.5, a.shape).astype(np.float32) for name, a in model.arrays().items()}
    arrays["output/bias"][model.end] += 1.5  # so that predictions end
    model.assign(arrays)
    return model


def decoder_of(model, workers=2, **options):
    return Decoder(model, setup_tensorflow(RuntimeConfig(cores=workers)), **options)


def random_sources(rows, longest, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, rows).astype(np.int32)
    source = rng.integers(1, 9, (rows, 20)) * (np.arange(20) < lengths[:, None])
    return source, lengths


@pytest.fixture(scope="module", params=OPTIONS)
def decoded(request):
    """A decoder with small batches, its options, and 40 sources of all lengths with their predictions."""
    decoder, sources = decoder_of(random_model(1), batch_rows=12), random_sources(40, 20)
    options = OPTIONS[request.param]
    return decoder, options, sources, decoder(*sources, options=options)


def assert_same(found, expected, rows):
    np.testing.assert_array_equal(found.hypotheses, expected.hypotheses[rows])
    np.testing.assert_array_equal(found.log_probabilities, expected.log_probabilities[rows])  # bit for bit


def test_row_alone_has_the_bits_it_has_among_others(decoded):
    decoder, options, (source, lengths), expected = decoded
    predicted = (expected.hypotheses > 0).sum(axis=2)
    assert len(np.unique(predicted)) > 2, "rows must end at different steps"
    for row in (0, 17, 39):
        alone = decoder(source[[row]], lengths[[row]], options=options, lines=np.array([row + 1]))
        assert_same(alone, expected, [row])


@pytest.mark.parametrize("workers", [1, 4])
def test_number_of_workers_does_not_change_the_bits(decoded, workers, monkeypatch):
    decoder, options, sources, expected = decoded
    monkeypatch.setattr(decoder, "workers", workers)
    assert_same(decoder(*sources, options=options), expected, range(40))


def test_order_and_longer_sources_do_not_change_the_bits(decoded):
    decoder, options, (source, lengths), expected = decoded
    order = np.random.default_rng(1).permutation(40)[:25]
    assert_same(decoder(source[order], lengths[order], options=options, lines=order + 1), expected, order)


def test_steps_behind_the_end_of_a_source_are_not_read(decoded):
    decoder, options, (source, lengths), expected = decoded
    noisy = np.where(np.arange(20) < lengths[:, None], source, 7)
    assert_same(decoder(noisy, lengths, options=options), expected, np.arange(40))


def test_scores_equal_those_of_teacher_forcing(decoded):
    decoder, options, (source, lengths), found = decoded
    for rank in range(options.n_best):
        ids = found.hypotheses[:, rank]
        logits = decoder.model.logits(*map(tf.constant, (source.astype(np.int32), lengths, ids)))
        gains = tf.gather(tf.nn.log_softmax(logits), ids, axis=2, batch_dims=2).numpy()
        np.testing.assert_allclose(found.log_probabilities[:, rank], (gains * (ids > 0)).sum(axis=1), atol=2e-4)


def test_no_rows_give_empty_predictions(decoded):
    decoder, options, _, _ = decoded
    empty = decoder(np.zeros((0, 20), np.int32), np.zeros(0, np.int32), options=options)
    assert empty.hypotheses.shape == (0, options.n_best, 7)
    assert empty.log_probabilities.shape == (0, options.n_best)


@pytest.mark.parametrize(("fixed_batch_size", "rows"), [(None, 192), (8, 16), (200, 112), (192, 192), (385, 144)])
def test_stateful_models_have_equal_batches_no_larger_than_needed(fixed_batch_size, rows):
    assert decoder_of(random_model(1), fixed_batch_size=fixed_batch_size).max_rows == rows


@pytest.mark.xla
@pytest.mark.parametrize("cell", ["gru", "lstm", "simple_rnn"])
def test_steps_that_are_unrolled_predict_what_a_loop_predicts(monkeypatch, cell):
    model, sources, found = random_model(1, cell=cell), random_sources(30, 12), []
    for steps in (0, 16):
        monkeypatch.setattr(decoder_module, "UNROLLED_STEPS", steps)
        found.append(decoder_of(model)(*sources))
    np.testing.assert_array_equal(found[0].hypotheses, found[1].hypotheses)
    np.testing.assert_allclose(found[0].log_probabilities, found[1].log_probabilities, rtol=1e-5)


@pytest.mark.xla
def test_max_length_may_be_shorter_or_longer_than_in_training():
    decoder, sources = decoder_of(random_model(1)), random_sources(30, 8)
    plain = decoder(*sources).ids
    short = decoder(*sources, options=DecodingOptions(max_length=3)).ids
    long = decoder(*sources, options=DecodingOptions(max_length=11)).ids
    assert short.tolist() == plain[:, :3].tolist()
    assert long[:, :7].tolist() == plain.tolist()
    assert (long[:, 7:] > 0).any()


def test_ensemble_predicts_the_mean_probabilities_of_its_members():
    members = [random_model(1), random_model(2, cell="lstm", units=4)]
    ensemble = Ensemble(members)
    source, lengths = (tf.constant(values, tf.int32) for values in random_sources(6, 20))
    ids = tf.constant([1, 3, 4, 5, 6, 7])
    state, memory = ensemble.encode(source, lengths)
    assert {name: tuple(value.shape[1:]) for name, value in state.items()} == ensemble.state_spec
    assert set(state) == {"0/decoder/0/forward/h", "1/decoder/0/forward/h", "1/decoder/0/forward/c"}
    for _ in range(2):  # the second step starts from the states after the first
        logits, state = ensemble.step(ids, state, memory)
    probabilities = []
    for member in members:
        own_state, own_memory = member.encode(source, lengths)
        for _ in range(2):
            own_logits, own_state = member.step(ids, own_state, own_memory)
        probabilities.append(tf.nn.softmax(own_logits).numpy())
    np.testing.assert_allclose(np.exp(logits), np.mean(probabilities, axis=0), atol=1e-6)


@pytest.mark.xla(on=False)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_ensemble_of_one_model_twice_equals_the_model(options):
    model, sources = random_model(1), random_sources(10, 8)
    alone = decoder_of(model)(*sources, options=options)
    twice = decoder_of(Ensemble([model, model]))(*sources, options=options)
    np.testing.assert_array_equal(twice.hypotheses, alone.hypotheses)
    np.testing.assert_allclose(twice.log_probabilities, alone.log_probabilities, atol=1e-4)


class CountingSteps(EncoderDecoder):
    """Counts the steps that are built into compiled functions."""

    built = 0

    def step(self, ids, state, memory):
        self.built += 1
        return super().step(ids, state, memory)


@pytest.mark.parametrize(
    ("name", "values", "more"),
    [("temperature", (0.5, 2.0), {"sample": True}), ("length_penalty", (0.0, 2.0), {"beam": 3})],
)
def test_other_values_of_a_number_are_not_compiled_again(name, values, more):
    model, sources = random_model(1, CountingSteps), random_sources(10, 8)
    decoder = decoder_of(model)
    first, second = (
        (decoder(*sources, options=DecodingOptions(**{name: value}, **more)).hypotheses, model.built)
        for value in values
    )
    assert first[1] == second[1] > 0
    assert not np.array_equal(first[0], second[0])


class DiagonalAttention(EncoderDecoder):
    """Attends to all source steps equally, and twice as much to the one at the target step's own index."""

    def attention_weights(self, source, lengths, target):
        diagonal = tf.eye(target.shape[1], source.shape[1])[None] + 1.0
        weights = diagonal * tf.sequence_mask(lengths, source.shape[1], tf.float32)[:, None]
        return weights / tf.reduce_sum(weights, axis=2, keepdims=True)


def test_attention_is_in_the_order_of_the_rows_and_padded_to_the_longest_source():
    decoder = decoder_of(random_model(1, DiagonalAttention))
    source, lengths = random_sources(30, 20)
    weights = decoder.attention(source, lengths, np.full((30, 7), 3, np.int32))
    assert weights.shape == (30, 7, 20)
    for row, length in enumerate(lengths):
        expected = (np.eye(7, 20) + 1) * (np.arange(20) < length)
        np.testing.assert_allclose(weights[row], expected / expected.sum(axis=1, keepdims=True), atol=1e-6)
    assert decoder.attention(source[:0], lengths[:0], np.zeros((0, 7), np.int32)).shape == (0, 7, 20)
