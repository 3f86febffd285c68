"""The classifier against plain Keras layers, pooling, merge modes and the concat bridge."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from random_weights import give_random_weights

from rnncli.cli.main import main
from rnncli.config import CELLS, AdditionTask, ClassifierModel, EncoderDecoderModel, NextStepModel, parse_config
from rnncli.data.examples import Sizes
from rnncli.data.parsing import read_examples
from rnncli.data.tasks.addition import LastDigit
from rnncli.errors import ConfigError, DataError
from rnncli.layers import KernelChoice, Pooling
from rnncli.layers.cells import keras_layer as layer_class
from rnncli.models import make_model

pytestmark = pytest.mark.usefixtures("runtime")

SIZES = Sizes(source_symbols=6, source_steps=5, target_symbols=3, target_steps=1)
SOURCE = np.array([[5, 3, 2, 4, 1], [2, 4, 0, 0, 0]], np.int32)
LENGTHS = np.array([5, 2], np.int32)
MASK = np.arange(5) < LENGTHS[:, None]

cells = pytest.mark.parametrize("cell", CELLS)
poolings = pytest.mark.parametrize("pooling", ["last", "mean", "max"])
merges = pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave"])


def classifier(sizes=SIZES, kernel="fused", **section):
    config = ClassifierModel.model_validate({"type": "classifier", "units": 4, **section})
    return give_random_weights(make_model(config, sizes, config.cell, KernelChoice(kernel, "a test")))


def weights(model, prefix):
    return [array for name, array in model.arrays().items() if name.startswith(prefix + "/")]


def keras_layer(model, layer, inputs, prefix, **options):
    """Return the output of a Keras layer with the model's weights."""
    layer.build(tuple(inputs.shape))
    layer.set_weights(weights(model, prefix))
    return layer(inputs, **options)


def pooled(sequence, pooling):
    """Mean and maximum written out row by row."""
    rows = [row[:length] for row, length in zip(np.asarray(sequence), LENGTHS, strict=True)]
    return np.array([row.mean(axis=0) if pooling == "mean" else row.max(axis=0) for row in rows])


@pytest.mark.quick("lstm-last", "gru-max", "simple_rnn-mean")
@poolings
@cells
def test_classifier_matches_stacked_keras_layers(cell, pooling):
    model = classifier(cell=cell, pooling=pooling, layers=2, embedding=2)
    x = keras_layer(model, keras.layers.Embedding(6, 2), tf.constant(SOURCE), "source_symbols")
    for name in ("rnn_0", "rnn_1"):
        layer = layer_class(cell)(4, return_sequences=True)
        x = keras_layer(model, layer, tf.identity(x), f"{name}/forward", mask=tf.constant(MASK))
    vector = x[:, -1] if pooling == "last" else pooled(x, pooling)
    wanted = keras_layer(model, keras.layers.Dense(3), tf.constant(vector), "output")
    np.testing.assert_allclose(model.read(SOURCE, LENGTHS)[:, 0], wanted, atol=1e-5)


@pytest.mark.quick("lstm-concat", "gru-sum", "simple_rnn-ave", "lstm-mul")
@merges
@cells
def test_bidirectional_classifier_matches_two_keras_layers(cell, merge):
    model = classifier(cell=cell, bidirectional=True, merge=merge, pooling="mean")
    x, mask, kind = tf.one_hot(SOURCE, 6), tf.constant(MASK), layer_class(cell)
    forward = keras_layer(model, kind(4, return_sequences=True), x, "rnn_0/forward", mask=mask)
    backward = kind(4, return_sequences=True, go_backwards=True)
    backward = np.flip(keras_layer(model, backward, x, "rnn_0/backward", mask=mask), axis=1)
    both = {
        "concat": lambda: np.concatenate([forward, backward], axis=-1),
        "sum": lambda: forward + backward,
        "mul": lambda: forward * backward,
        "ave": lambda: (forward + backward) / 2,
    }[merge]()
    wanted = keras_layer(model, keras.layers.Dense(3), tf.constant(pooled(both, "mean")), "output")
    np.testing.assert_allclose(model.read(SOURCE, LENGTHS)[:, 0], wanted, atol=1e-5)


@pytest.mark.quick("sum-generic", "concat-fused")
@pytest.mark.parametrize("kernel", ["fused", "generic"])
@merges
def test_stacked_bidirectional_layers_match_keras(merge, kernel):
    """Whose `return_sequences=False` merges the last output of each direction, as ours does."""
    model = classifier(kernel=kernel, bidirectional=True, merge=merge, layers=2)
    x = tf.one_hot(SOURCE, 6)
    for name, whole in (("rnn_0", True), ("rnn_1", False)):
        layer = keras.layers.Bidirectional(keras.layers.LSTM(4, return_sequences=whole), merge_mode=merge)
        x = keras_layer(model, layer, tf.identity(x), name, mask=tf.constant(MASK))
    wanted = keras_layer(model, keras.layers.Dense(3), tf.identity(x), "output")
    np.testing.assert_allclose(model.read(SOURCE, LENGTHS)[:, 0], wanted, atol=1e-5)


@pytest.mark.quick("max-bidirectional", "last-forward")
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forward", "bidirectional"])
@poolings
def test_unrolled_and_looped_padding_give_the_same_logits(pooling, bidirectional):
    """13 steps are unrolled, 24 are a loop."""
    document = np.random.default_rng(0).integers(0, 6, (1, 13))
    logits = []
    for steps, padding in ((13, 0), (24, 3)):
        model = classifier(Sizes(6, steps, 3, 1), pooling=pooling, bidirectional=bidirectional, layers=2)
        source = np.full((1, steps), padding, np.int32)
        source[:, :13] = document
        logits.append(model.read(source, np.array([13], np.int32)).numpy())
    np.testing.assert_allclose(*logits, atol=1e-6)


@pytest.mark.parametrize(
    ("maximum", "wanted"), [(False, [[2.0, -4.0], [1.0, -1.0]]), (True, [[3.0, -3.0], [1.0, -1.0]])]
)
def test_mean_and_maximum_pooling_mask_padding(maximum, wanted):
    sequence = tf.constant([[[1.0, -5.0], [3.0, -3.0], [99.0, 99.0]], [[1.0, -1.0], [99.0, 99.0], [99.0, 99.0]]])
    np.testing.assert_array_equal(Pooling(maximum)(sequence, tf.constant([2, 1])), wanted)
    of_nothing = Pooling(maximum)(sequence, tf.constant([2, 0]))
    np.testing.assert_array_equal(of_nothing, wanted)


def test_next_step_model_equals_the_classifier_of_the_last_output():
    config = NextStepModel.model_validate({"type": "next_step", "units": 4})
    next_step = give_random_weights(make_model(config, SIZES, config.cell, KernelChoice("fused", "a test")))
    np.testing.assert_array_equal(next_step.read(SOURCE, LENGTHS), classifier().read(SOURCE, LENGTHS))


def test_classifier_of_number_sequences_matches_keras():
    model = classifier(Sizes(0, 5, 3, 1, features=2), pooling="mean")
    x = tf.constant(np.random.default_rng(0).normal(size=(2, 5, 2)).astype(np.float32))
    assert model.source_dtype == "float32"
    sequence = keras_layer(model, keras.layers.LSTM(4, return_sequences=True), x, "rnn_0/forward", mask=MASK)
    wanted = keras_layer(model, keras.layers.Dense(3), tf.constant(pooled(sequence, "mean")), "output")
    np.testing.assert_allclose(model.read(x, LENGTHS)[:, 0], wanted, atol=1e-5)


@pytest.mark.quick("gru")
@cells
def test_concat_bridge_matches_concatenated_keras_states(cell):
    config = EncoderDecoderModel.model_validate(
        {
            "type": "encoder_decoder",
            "cell": cell,
            "bridge": "concat",
            "encoder": {"units": 3, "layers": 2, "bidirectional": True},
            "decoder": {"units": 6, "layers": 2},
        }
    )
    sizes = Sizes(6, 5, 4, 3)
    model = give_random_weights(make_model(config, sizes, config.cell, KernelChoice("fused", "a test")))
    assert not model.bridge.weights
    x, found = tf.one_hot(SOURCE, 6), model.encode(SOURCE, LENGTHS)[0]
    for i in range(2):
        layer = keras.layers.Bidirectional(layer_class(cell)(3, return_sequences=True, return_state=True))
        x, *states = keras_layer(model, layer, tf.identity(x), f"encoder_{i}", mask=tf.constant(MASK))
        half = len(states) // 2
        for name, forward, backward in zip(CELLS[cell].states, states[:half], states[half:], strict=True):
            wanted = np.concatenate([forward, backward], axis=1)
            np.testing.assert_allclose(found[f"decoder/{i}/forward/{name}"], wanted, atol=1e-5)


BIDIRECTIONAL = {"units": 4, "bidirectional": True}


@pytest.mark.parametrize(
    ("encoder", "decoder", "copies"),
    [(BIDIRECTIONAL, {"units": 8}, True), (BIDIRECTIONAL, {"units": 4}, False), ({"units": 4}, {"units": 8}, False)],
)
def test_automatic_bridge_concatenates_states_that_fit(encoder, decoder, copies):
    section = {"type": "encoder_decoder", "encoder": encoder, "decoder": decoder}
    config = EncoderDecoderModel.model_validate(section)
    assert make_model(config, Sizes(6, 5, 4, 3), config.cell, KernelChoice("fused", "")).bridge.kind == (
        "copy" if copies else "dense"
    )


@pytest.mark.parametrize(
    ("task", "model", "place"),
    [
        ("addition", "{type: encoder_decoder, bridge: concat}", r"c:2: model\.bridge: concat .*bidirectional: true"),
        (
            "addition",
            "{type: encoder_decoder, bridge: copy, encoder: {bidirectional: true}, decoder: {units: 256}}",
            r"c:2: model\.bridge: copy ",
        ),
        ("addition", "{type: classifier, merge: sum}", r"c:2: model\.merge: .*bidirectional: true"),
        (
            "addition",
            "{type: repeat_vector, encoder: {merge: mul}}",
            r"c:2: model\.encoder\.merge: .*bidirectional: true",
        ),
        ("alphabet", "{type: next_step, pooling: mean}", r"c:2: model\.pooling: unknown key for type next_step"),
        ("addition", "{type: classifier, poling: mean}", r"c:2: model\.poling: unknown key; .*model\.pooling"),
        (
            "addition",
            "{type: classifier, symbols: number, embedding: 3}",
            r"c:2: model\.embedding: .*symbols: number",
        ),
        ("alphabet", "classifier", r"model\.type: .*alphabet .*next_step"),
    ],
)
def test_config_refuses_options_that_do_not_fit(task, model, place):
    with pytest.raises(ConfigError, match=place):
        parse_config(f"task: {task}\nmodel: {model}", "c")


LAST_DIGIT = LastDigit(AdditionTask(digits=2, examples=200, held_out=20))


def test_last_digit_task_has_one_digit_as_target():
    assert LAST_DIGIT.sizes == Sizes(source_symbols=12, source_steps=5, target_symbols=12, target_steps=1)
    for examples in LAST_DIGIT.splits():
        for source, length, target in zip(examples.source, examples.source_lengths, examples.target, strict=True):
            question = LAST_DIGIT.show_source(source[:length].tolist())
            assert LAST_DIGIT.show_target(target.tolist()) == LAST_DIGIT.answer(question) == str(eval(question))[-1]


def test_last_digit_task_refuses_longer_targets():
    assert read_examples(LAST_DIGIT, ["7+8\t5", "99+1"], "f").target.tolist() == [
        LAST_DIGIT.target_vocabulary.encode("5"),
        LAST_DIGIT.target_vocabulary.encode("0"),
    ]
    with pytest.raises(DataError, match=r"f:1: .*'15'"):
        read_examples(LAST_DIGIT, ["7+8\t15"], "f")


@pytest.mark.long
def test_train_command_learns_last_digits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(
        "task: {type: addition, digits: 1, examples: 55, held_out: 5}\n"
        "model: {type: classifier, units: 24, bidirectional: true, merge: sum, pooling: max}\n"
        "training: {epochs: 15, batch_size: 10, learning_rate: 3e-2, early_stopping: {metric: loss}}\n"
    )
    run = CliRunner().invoke(main, ["train", "c.yaml", "--run-dir", "run", "--quiet"])
    assert run.exit_code == 0, run.stderr
    losses = [json.loads(line)["loss"] for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] / 2
    answer = json.loads(CliRunner().invoke(main, ["predict", "run", "4+3", "--format", "jsonl"]).stdout)
    assert len(answer["probabilities"]) == 12
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
