"""The arithmetic that a step needs, and how cores share it."""

import numpy as np
import pytest

from rnncli.config import parse_config
from rnncli.data.examples import Examples, Sizes
from rnncli.runtime.flops import needed_flop
from rnncli.runtime.parallelism import plan_parallelism

pytestmark = pytest.mark.xla  # without it no sequence is unrolled; nothing is compiled here

SIZES = Sizes(source_symbols=12, source_steps=7, target_symbols=12, target_steps=4)
UNITS = 128
SQUARE = UNITS * 4 * UNITS
"""Weights of an LSTM's recurrent product, and of a projection from one LSTM to another."""


def examples(source=7, target=4, count=1):
    """Of one length, or of several."""
    lengths = [np.resize(np.array(value).reshape(-1), max(count, np.size(value))) for value in (source, target)]
    arrays = [np.zeros((len(each), each.max())) for each in lengths]
    return Examples(arrays[0], lengths[0], arrays[1], lengths[1])


def flop(model, sizes=SIZES, source=7, target=4, task="addition", samples=False):
    """Of one example, or the mean of several lengths."""
    config = parse_config(f"{{task: {task}, model: {model}}}", "c").model
    return needed_flop(config, sizes, examples(source, target), samples)


def test_flop_of_repeat_vector_counted_by_hand():
    # encoder: 6 products after the first step; decoder: 1 projection for all steps, 3 products; Dense: 4 steps
    assert flop("repeat_vector") == 6 * (6 * SQUARE + 1 * SQUARE + 3 * SQUARE + 4 * UNITS * 12) == 3_969_024


def test_flop_does_not_count_padding():
    assert flop("repeat_vector", source=[7, 3], target=[4, 4]) == 6 * (
        (6 + 2) / 2 * SQUARE + 4 * SQUARE + 4 * UNITS * 12
    )


def test_flop_of_repeat_vector_with_dropout_projects_every_step():
    more = flop("{type: repeat_vector, decoder: {dropout: 0.1}}") - flop("repeat_vector")
    assert more == 6 * 3 * SQUARE


def test_flop_of_encoder_decoder_for_each_cell():
    # encoder: 6 products; decoder: 4, the first from the encoder's state; Dense: 4 steps
    for cell, gates in (("lstm", 4), ("gru", 3), ("simple_rnn", 1)):
        expected = 6 * (10 * UNITS * gates * UNITS + 4 * UNITS * 12)
        assert flop(f"{{type: encoder_decoder, cell: {cell}}}") == expected


def test_flop_of_layers_directions_and_dense_bridge():
    encoder = "{units: 8, layers: 2, bidirectional: true}"
    model = f"{{type: encoder_decoder, encoder: {encoder}, decoder: {{units: 4}}}}"
    read = 2 * 32 * ((6 + 6) * 8 + 7 * 16)  # the upper layer's input is both directions' output
    bridge = (2 * 2 * 2 * 8) * (2 * 4)  # h and c of two directions of two layers, to h and c
    written = 4 * 16 * 4 + 4 * 4 * 12
    assert flop(model) == 6 * (read + bridge + written)


def test_flop_of_attention():
    plain = flop("{type: encoder_decoder, encoder: {units: 8}, decoder: {units: 8}}")
    parts = "type: encoder_decoder, encoder: {units: 8}, decoder: {units: 8}, attention"
    looked = 7 * 4 * (8 + 8) + 4 * 16 * 8
    assert flop(f"{{{parts}: dot}}") - plain == 6 * looked
    assert flop(f"{{{parts}: general}}") - plain == 6 * (looked + 7 * 64)
    assert flop(f"{{{parts}: additive}}") - plain == 6 * (looked + 7 * 64 + 4 * 64)
    fed = flop(f"{{{parts}: dot, input_feeding: true}}") - flop(f"{{{parts}: dot}}")
    assert fed == 6 * 4 * 8 * 32
    zero = flop(f"{{{parts}: dot}}") - flop(f"{{{parts}: dot, bridge: zero}}")
    assert zero == 6 * 8 * 32  # the first product of the decoder


def test_flop_of_monotonic_attention():
    parts = "type: encoder_decoder, encoder: {units: 8}, decoder: {units: 8}"
    plain = flop(f"{{{parts}}}") - 6 * 4 * 8 * 12
    both = 7 * 8 * 8 + 7 * 8 * 8 + 4 * 8 * 8  # keys, and what the output layer reads
    written = 7 * 4 * 8 * 12
    assert flop(f"{{{parts}, attention: monotonic}}") - plain == 6 * (both + 7 * 4 * 8 + written)
    jumps = (7 + 4) * 8 * 3
    first = f"{{{parts}, attention: monotonic, attention_order: 1, attention_window: 2}}"
    assert flop(first) - plain == 6 * (both + 7 * 8 + jumps + written)


def test_flop_of_scheduled_sampling_has_the_decoder_forward_twice():
    parts = "type: encoder_decoder, encoder: {units: 8}, decoder: {units: 8}"
    decoder = 4 * 8 * 32 + 4 * 8 * 12
    attention = 7 * 4 * (8 + 8) + 4 * 16 * 8  # without the keys, which both passes share
    for model, once_more in ((f"{{{parts}}}", decoder), (f"{{{parts}, attention: general}}", decoder + attention)):
        assert flop(model, samples=True) - flop(model) == 2 * once_more


def test_flop_without_gradients_of_numeric_input_and_carried_states():
    rows = Sizes(source_symbols=0, source_steps=7, target_symbols=3, target_steps=1, features=5)
    model = "{type: classifier, units: 8}"
    assert flop(model, rows, 7, 1, "image_rows") == 6 * 6 * 8 * 32 + 4 * 7 * 5 * 32 + 6 * 8 * 3
    carried = flop("{type: next_step, units: 8, stateful: true, symbols: number}", SIZES, 7, 7, "text")
    assert carried == (4 * 7 + 2 * 6) * 8 * 32 + 4 * 7 * 32 + 6 * 7 * 8 * 12


GRU = "task: addition\nmodel: {type: encoder_decoder, cell: gru, encoder: {units: 64}, decoder: {units: 64}}\n"
LSTM = "task: addition\nmodel: {type: repeat_vector, encoder: {units: 128}, decoder: {units: 128}}\n"
TEXT = "task: {type: text, window: 32}\nmodel: {type: next_step, units: 64}\n"
OWN = "task: {type: text}\nmodel: {type: next_step, units: 4, cell: {type: custom, class: 'own:Cell'}}\n"


@pytest.mark.parametrize(
    ("text", "override", "parts", "threads"),
    [
        (GRU, "training.batch_size=32", 1, False),
        (GRU, "training.batch_size=64", 4, False),
        (LSTM, "training.batch_size=32", 2, False),
        (LSTM, "training.batch_size=8", 1, False),
        (LSTM, "training.batch_size=4000", 62, False),  # there are 1,000 examples
        (TEXT, "training.batch_size=8", 1, False),
        (TEXT, "training.batch_size=64", 4, True),  # a loop
        (TEXT.replace("64", "256"), "training.batch_size=1", 1, True),  # wide
        (GRU, "runtime.cores=2", 8, False),  # the user decides
        (OWN, "training.batch_size=64", 4, True),  # nobody knows how much work it is
    ],
)
def test_plan_parallelism_shards_large_steps(text, override, parts, threads):
    config = parse_config(text, "c", (override,))
    of = examples(32, 32, 1000) if "text" in text else examples(7, 4, 1000)
    assert plan_parallelism(config, SIZES, of) == (parts, threads)
