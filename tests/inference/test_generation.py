"""Texts that a model writes, against a plain loop that reads the whole text anew for each symbol."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from rnncli.config import parse_config
from rnncli.data.tasks import build_task
from rnncli.errors import InputError
from rnncli.inference.generation import BLOCK, TextGenerator, TextStream
from rnncli.inference.generation_options import GenerationOptions
from rnncli.inference.sampling import IMPOSSIBLE, keep_probable
from rnncli.models import build_model
from rnncli.runtime.user_code import ModuleSearchPath

pytestmark = pytest.mark.usefixtures("runtime")
MODELS = {
    "lstm": "{type: next_step, units: 9}",
    "stacked": "{type: next_step, cell: gru, units: 6, layers: 2, embedding: 5}",
    "stateful": "{type: next_step, cell: simple_rnn, units: 6, stateful: true}",
}


def generator(runtime, model="lstm", task="{type: text, windows: 128}", search_path=None):
    config = parse_config(f"{{task: {task}, model: {MODELS.get(model, model)}}}", "c")
    made = build_task(config)
    paths = {} if search_path is None else {"search_path": search_path}
    built = build_model(config, made.sizes, **paths)
    for variable in built.network.trainable_variables:  # so that the probabilities differ
        variable.assign(3.0 * np.random.default_rng(len(variable.path)).normal(size=variable.shape))
    return TextGenerator(built, made, runtime)


def written(generator, prime="Bab", **options):
    before = options.pop("before", None)
    stream = TextStream(generator, [prime] if isinstance(prime, str) else prime, GenerationOptions(**options), before)
    pieces = ["".join(new) for new in zip(*stream, strict=True)]
    assert pieces == stream.texts
    return stream


def plain_text(generator, prime, length, temperature, uniforms):
    """Write by reading everything anew for each symbol, and choose by NumPy."""
    ids = generator.task.read_prime(prime)
    for place in range(length):
        source = tf.constant([ids], tf.int32)
        logits = generator.model.read_from(None, source, tf.constant([len(ids)]))[0].numpy()[0, -1].astype(np.float64)
        logits[:2] = -np.inf  # padding and the unknown symbol
        if not temperature:
            ids.append(int(logits.argmax()))
            continue
        cumulative = np.cumsum(np.exp((logits - logits.max()) / temperature))
        ids.append(int((cumulative <= uniforms[place] * cumulative[-1]).sum()))
    return generator.task.show_target(ids[-length:])


@pytest.mark.parametrize("temperature", [0.0, 0.7])
@pytest.mark.parametrize("model", list(MODELS))
def test_text_is_that_of_a_loop_that_reads_everything_anew(runtime, model, temperature):
    made = generator(runtime, model)
    options = GenerationOptions(temperature=temperature, seed=3)
    found = written(made, "Bab", length=12, temperature=temperature, seed=3)
    expected = plain_text(made, "Bab", 12, temperature, options.uniforms([1], [0], 12)[0])
    assert found.texts == [expected]


@pytest.mark.xla(unroll=False)
def test_compiled_by_xla_it_writes_the_same(runtime):
    made = generator(runtime)
    uniforms = GenerationOptions(seed=5).uniforms([1], [0], 9)[0]
    assert written(made, "Ca", length=9, seed=5).texts == [plain_text(made, "Ca", 9, 1.0, uniforms)]


@given(st.integers(1, 90), st.integers(1, 90))
def test_random_numbers_of_a_place_do_not_depend_on_parts(first, second):
    options = GenerationOptions(seed=2**40)
    whole = options.uniforms([1, 7], [5, 0], first + second)
    parts = [options.uniforms([1, 7], [5, 0], first), options.uniforms([1, 7], [5 + first, first], second)]
    assert (np.concatenate(parts, axis=1) == whole).all()
    assert ((whole >= 0) & (whole < 1)).all()


@pytest.mark.parametrize("model", list(MODELS))
def test_parts_are_bit_for_bit_the_whole(runtime, model):
    made, primes = generator(runtime, model), ["Bab", "CabcdefghiC", "D"]
    whole = written(made, primes, length=2 * BLOCK + 5)
    first = written(made, primes, length=BLOCK + 9)
    rest = written(made, ["", "", ""], length=BLOCK - 4, before=made.go_on(first.now.state, first.now.positions))
    assert [a + b for a, b in zip(first.texts, rest.texts, strict=True)] == whole.texts
    for name, value in whole.now.state.items():
        assert value.tobytes() == rest.now.state[name].tobytes()
    assert rest.now.positions == whole.now.positions == (2 * BLOCK + 5,) * 3


def test_each_text_is_what_it_would_be_alone(runtime):
    made = generator(runtime)
    assert written(made, ["Bab", "CabcdefghiC"], length=30).texts[0] == written(made, "Bab", length=30).texts[0]


def test_stop_ends_after_its_text_and_the_states_are_those_there(runtime):
    made = generator(runtime)
    whole = written(made, ["Bab", "C"], length=120).texts
    stop = whole[0][20:23]
    found = written(made, ["Bab", "C"], length=120, stop=stop)
    for text, complete in zip(found.texts, whole, strict=True):
        at = complete.find(stop)
        assert text == (complete if at < 0 else complete[: at + len(stop)])
    end = found.now.positions
    assert end == tuple(len(text) for text in found.texts)
    rest = written(made, ["", ""], length=10, before=made.go_on(found.now.state, end))
    expected = written(made, ["Bab", "C"], length=end[0] + 10).texts[0]
    assert found.texts[0] + rest.texts[0] == expected


@pytest.mark.parametrize("options", [{"top_k": 1}, {"top_p": 1e-6}, {"top_k": 1, "top_p": 0.5}])
def test_of_the_most_probable_symbol_alone_the_sample_is_greedy(runtime, options):
    made = generator(runtime)
    assert written(made, length=30, **options).texts == written(made, length=30, temperature=0.0).texts


def test_filters_keep_the_most_probable_symbols():
    logits = tf.constant([np.log([0.1, 0.4, 0.2, 0.3]), np.log([0.25, 0.25, 0.25, 0.25])], tf.float32)

    def kept(top_k, top_p):
        return (keep_probable(logits, tf.constant(top_k), top_p).numpy() > IMPOSSIBLE).tolist()

    assert kept(2, 1.0) == [[False, True, False, True], [True] * 4]  # equal ones stay
    assert kept(4, 0.35) == [[False, True, False, False], [True] * 4]
    assert kept(4, 0.65) == [[False, True, False, True], [True] * 4]
    assert kept(3, 0.5)[0] == [False, True, False, True]  # of 0.4 + 0.3 + 0.2
    assert kept(4, 1.0) == [[True] * 4] * 2


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=9, unique=True), st.floats(0.05, 1.0))
def test_top_p_keeps_the_smallest_set_with_that_probability(tenths, top_p):
    values = [each / 10 for each in tenths]  # apart from each other in float32 too
    logits = np.array([values], np.float32)
    kept = keep_probable(tf.constant(logits), tf.constant(len(values)), top_p).numpy()[0] > IMPOSSIBLE
    probability = np.exp(logits[0].astype(float)) / np.exp(logits[0].astype(float)).sum()
    assert probability[kept].sum() >= top_p - 1e-6
    if kept.sum() > 1:
        assert probability[kept].sum() - probability[kept].min() < top_p + 1e-6
    assert kept.all() or logits[0][kept].min() > logits[0][~kept].max()


def test_neither_padding_nor_the_unknown_symbol_is_written(runtime):
    made = generator(runtime)
    made.model.output.bias.assign([50.0, 50.0, *[0.0] * (made.model.target_symbols - 2)])
    assert "\N{REPLACEMENT CHARACTER}" not in written(made, length=BLOCK).texts[0]
    assert len(written(made, length=BLOCK).texts[0]) == BLOCK


def test_bytes_of_a_character_come_together(runtime, tmp_path):
    (tmp_path / "t.txt").write_text("äöü€" * 40)
    made = generator(runtime, task=f"{{type: text, tokenize: bytes, window: 8, train: {tmp_path}/t.txt}}")
    stream = TextStream(made, ["ä"], GenerationOptions(length=50))
    pieces = [piece for (piece,) in stream]
    assert "".join(pieces) == stream.texts[0]
    ids = [
        i for piece in [stream.texts[0]] for i in made.task.read_prime(piece.replace("\N{REPLACEMENT CHARACTER}", ""))
    ]
    assert len(ids) <= 50


def test_a_custom_cell_writes_but_its_states_need_a_prime(runtime, tmp_path):
    (tmp_path / "cells_that_write.py").write_text(
        "from keras import layers\nclass Like(layers.LSTMCell):\n    state_names = ('h', 'c')\n"
    )
    model = "{type: next_step, units: 5, cell: {type: custom, class: 'cells_that_write:Like'}}"
    made = generator(runtime, model, search_path=ModuleSearchPath((tmp_path,)))
    whole, first = written(made, length=20), written(made, length=10)
    before = made.go_on(first.now.state, first.now.positions)
    with pytest.raises(InputError, match="prime"):
        written(made, "", length=10, before=before)
    assert whole.texts[0].startswith(first.texts[0])


def test_models_of_other_tasks_write_no_texts(runtime):
    config = parse_config("{task: alphabet, model: next_step}", "c")
    task = build_task(config)
    with pytest.raises(InputError, match="task: text"):
        TextGenerator(build_model(config, task.sizes), task, runtime)


@pytest.mark.parametrize(
    "options",
    [
        {"length": 0},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"stop": ""},
        {"seed": -1},
        {"temperature": 0.0, "top_k": 3},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InputError):
        GenerationOptions(**options)
