"""Batches: neither padding nor neighbours nor the size of a batch change what a row gets; ensembles; attention."""

import time

import numpy as np
import pytest
import tensorflow as tf

from rnncli.config import EncoderDecoderModel
from rnncli.config import Runtime as RuntimeConfig
from rnncli.data.examples import Sizes
from rnncli.inference import batching as pieces
from rnncli.inference import decoder as decoder_module
from rnncli.inference import sampling as decoding
from rnncli.inference.decoder import Decoder
from rnncli.inference.decoding_options import Search
from rnncli.layers import KernelChoice
from rnncli.models import AutoregressiveModel
from rnncli.models.encoder_decoder import EncoderDecoder
from rnncli.models.ensemble import Ensemble
from rnncli.runtime.tensorflow_setup import start

pytestmark = pytest.mark.usefixtures("runtime")
SIZES = Sizes(source_symbols=9, source_steps=20, target_symbols=8, target_steps=7)
SEARCHES = {
    "greedy": Search(),
    "beam": Search(beam=3, n_best=2, length_penalty=0.6),
    "sample": Search(temperature=1.3, n_best=2, seed=3),
}


def make(seed, kind=EncoderDecoder, cell="gru", units=5, ends=1.5):
    section = {"type": "encoder_decoder", "cell": cell, "encoder": {"units": units}, "decoder": {"units": units}}
    model = kind(EncoderDecoderModel.model_validate(section), SIZES, KernelChoice("fused", "a test"))
    rng = np.random.default_rng(seed)
    arrays = {name: rng.normal(0, 1.5, a.shape).astype(np.float32) for name, a in model.arrays().items()}
    arrays["output/bias"][model.end] += ends  # so that answers end
    model.assign(arrays)
    return model


def sources(rows, longest, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, rows).astype(np.int32)
    source = rng.integers(1, 9, (rows, 20)) * (np.arange(20) < lengths[:, None])
    return source, lengths


@pytest.fixture(scope="module", params=SEARCHES)
def searched(request):
    """A decoder with small batches, a way to search, and 40 rows of all lengths with what they get."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoder_module, "BATCH_ROWS", 12)
        decoder = Decoder(make(1), start(RuntimeConfig(cores=2)))
        rows = sources(40, 20)
        search = SEARCHES[request.param]
        yield decoder, search, rows, decoder(*rows, search=search)


def assert_same(found, wanted, rows):
    np.testing.assert_array_equal(found.hypotheses, wanted.hypotheses[rows])
    np.testing.assert_array_equal(found.log_probabilities, wanted.log_probabilities[rows])  # bit for bit


def test_a_row_alone_gets_what_it_gets_among_others(searched):
    decoder, search, (source, lengths), whole = searched
    written = (whole.hypotheses > 0).sum(axis=2)
    assert len(np.unique(written)) > 2, "a test in which all rows end together shows little"
    for row in (0, 17, 39):
        alone = decoder(source[[row]], lengths[[row]], search=search, lines=np.array([row + 1]))
        assert_same(alone, whole, [row])


def test_rows_that_are_not_waited_for_get_the_same_in_the_end(searched, monkeypatch):
    compiled, search, _, _ = searched
    decoder, rows = Decoder(make(1, ends=2.5), compiled.runtime), sources(60, 8)
    monkeypatch.setattr(decoder_module, "BATCH_ROWS", 12)
    monkeypatch.setattr(decoding, "PATIENCE", 1)
    monkeypatch.setattr(pieces, "STRAGGLERS", 2)
    ran, decode = [], decoder._decode
    monkeypatch.setattr(decoder, "_decode", lambda batch, search: ran.append(batch["leave"]) or decode(batch, search))
    found = decoder(*rows, search=search)
    batches = len(ran)
    monkeypatch.setattr(pieces, "MANY_BATCHES", 60)
    assert_same(found, decoder(*rows, search=search), np.arange(60))
    assert batches > len(ran) - batches, "none was run again"


def test_any_number_of_batches_side_by_side_gives_the_same_bits(searched, monkeypatch):
    decoder, search, rows, whole = searched
    for workers in (1, 4):
        monkeypatch.setattr(decoder, "workers", workers)
        assert_same(decoder(*rows, search=search), whole, range(40))


@pytest.mark.parametrize(
    ("together", "most", "long"), [(None, 192, 48), (8, 16, 16), (200, 112, 48), (192, 192, 48), (385, 144, 48)]
)
def test_batches_are_as_small_as_what_is_asked_for_together(together, most, long, runtime, monkeypatch):
    monkeypatch.setattr(decoder_module, "BATCH_ROWS", 192)
    decoder = Decoder(make(1), runtime, together)
    assert decoder.most == most
    sizes = []

    def run(batch, leave):
        sizes.append(len(batch["lengths"]))
        return {"length": tf.constant(batch["lengths"])}

    rows = {"source": np.ones((400, 512), np.int32), "lengths": np.full(400, 512, np.int32)}
    found = pieces.in_pieces(run, rows, rows["lengths"], 192, decoder.most, 2)
    assert (found["length"] == 512).all()
    assert set(sizes) == {long}


def test_what_goes_wrong_in_a_batch_ends_it_and_the_rest_is_left(monkeypatch):
    decoder = Decoder(make(1), start(RuntimeConfig(cores=2)))
    asked = []

    def fails(batch):
        asked.append(batch)
        if len(asked) > 1:
            time.sleep(0.05)
        raise MemoryError(len(asked))

    monkeypatch.setattr(decoder_module, "BATCH_ROWS", 4)
    monkeypatch.setattr(decoder, "_encode", fails)
    with pytest.raises(MemoryError):
        decoder(*sources(400, 20))
    assert len(asked) <= 10


def test_other_orders_and_longer_neighbours_change_nothing(searched):
    decoder, search, (source, lengths), whole = searched
    order = np.random.default_rng(1).permutation(40)[:25]
    assert_same(decoder(source[order], lengths[order], search=search, lines=order + 1), whole, order)


def test_what_stands_behind_the_end_of_a_source_is_not_read(searched):
    decoder, search, (source, lengths), whole = searched
    noisy = np.where(np.arange(20) < lengths[:, None], source, 7)
    assert_same(decoder(noisy, lengths, search=search), whole, np.arange(40))


def test_scores_are_those_of_the_sequences_read_as_given_targets(searched):
    decoder, search, (source, lengths), whole = searched
    for number in range(search.n_best):
        ids = whole.hypotheses[:, number]
        logits = decoder.model.logits(*map(tf.constant, (source.astype(np.int32), lengths, ids)))
        gains = tf.gather(tf.nn.log_softmax(logits), ids, axis=2, batch_dims=2).numpy()
        np.testing.assert_allclose(whole.log_probabilities[:, number], (gains * (ids > 0)).sum(axis=1), atol=2e-4)


def test_no_rows_give_nothing(searched):
    decoder, search, _, _ = searched
    nothing = decoder(np.zeros((0, 20), np.int32), np.zeros(0, np.int32), search=search)
    assert nothing.hypotheses.shape == (0, search.n_best, 7)
    assert nothing.log_probabilities.shape == (0, search.n_best)


def test_answers_may_be_shorter_or_longer_than_in_training():
    decoder = Decoder(make(1), start(RuntimeConfig(cores=2)))
    source, lengths = sources(30, 8)
    plain = decoder(source, lengths).ids
    short = decoder(source, lengths, search=Search(max_length=3)).ids
    long = decoder(source, lengths, search=Search(max_length=11)).ids
    assert short.tolist() == plain[:, :3].tolist()
    assert long[:, :7].tolist() == plain.tolist()
    assert (long[:, 7:] > 0).any(), "some row would have gone on"


def test_an_ensemble_says_the_mean_of_its_members_probabilities():
    members = [make(1), make(2, cell="lstm", units=4)]
    ensemble = Ensemble(members)
    assert isinstance(ensemble, AutoregressiveModel)
    source, lengths = (tf.constant(values, tf.int32) for values in sources(6, 20))
    ids = tf.constant([1, 3, 4, 5, 6, 7])
    state, memory = ensemble.encode(source, lengths)
    assert {name: tuple(value.shape[1:]) for name, value in state.items()} == ensemble.state_spec
    assert set(state) == {"0/decoder/0/forward/h", "1/decoder/0/forward/h", "1/decoder/0/forward/c"}
    for _ in range(2):  # the second step starts from the states after the first
        logits, state = ensemble.step(ids, state, memory)
    probabilities = []
    for member in members:
        own, kept = member.encode(source, lengths)
        for _ in range(2):
            said, own = member.step(ids, own, kept)
        probabilities.append(tf.nn.softmax(said).numpy())
    np.testing.assert_allclose(np.exp(logits), np.mean(probabilities, axis=0), atol=1e-6)


@pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)
def test_an_ensemble_of_one_model_twice_is_the_model(search):
    runtime, model = start(RuntimeConfig(cores=2)), make(1)
    source, lengths = sources(10, 8)
    alone = Decoder(model, runtime)(source, lengths, search=search)
    twice = Decoder(Ensemble([model, model]), runtime)(source, lengths, search=search)
    np.testing.assert_array_equal(twice.hypotheses, alone.hypotheses)
    np.testing.assert_allclose(twice.log_probabilities, alone.log_probabilities, atol=1e-4)


class Looking(EncoderDecoder):
    """Looks at every source step alike, but at the step of its own number twice as much."""

    def attention_weights(self, source, lengths, target):
        own = tf.eye(target.shape[1], source.shape[1])[None] + 1.0
        weights = own * tf.sequence_mask(lengths, source.shape[1], tf.float32)[:, None]
        return weights / tf.reduce_sum(weights, axis=2, keepdims=True)


def test_attention_comes_in_the_order_of_the_rows_padded_to_the_longest_source():
    decoder = Decoder(make(1, Looking), start(RuntimeConfig(cores=2)))
    source, lengths = sources(30, 20)
    weights = decoder.attention(source, lengths, np.full((30, 7), 3, np.int32))
    assert weights.shape == (30, 7, 20)
    np.testing.assert_allclose(weights.sum(axis=2), 1, atol=1e-6)
    for row, length in enumerate(lengths):
        expected = (np.eye(7, 20) + 1) * (np.arange(20) < length)
        np.testing.assert_allclose(weights[row], expected / expected.sum(axis=1, keepdims=True), atol=1e-6)
    assert decoder.attention(source[:0], lengths[:0], np.zeros((0, 7), np.int32)).shape == (0, 7, 20)
