"""Stacks whose layers differ in units and cells: counts, states, kernels, exports and refusals."""

import numpy as np
import pytest
import tensorflow as tf
from random_runs import ADDITION, PAIRS, TEXT, random_run

from rnncli.config import dump_config, parse_config
from rnncli.data.examples import Examples, Sizes
from rnncli.data.tasks import build_task
from rnncli.errors import ConfigError
from rnncli.inference.numpy_network import NumpyNetwork
from rnncli.inference.predictor import TrainedRun
from rnncli.models import build_model
from rnncli.runtime.flops import needed_flop
from rnncli.runtime.tensorflow_setup import setup_inference

pytestmark = pytest.mark.usefixtures("runtime")
UNEVEN = "units: [5, 3]"
MODELS = {
    "encoder_decoder": (
        PAIRS,
        f"{{type: encoder_decoder, cell: [gru, lstm], attention: general, decoder: {{units: [4, 6]}}, "
        f"encoder: {{{UNEVEN}, bidirectional: true}}}}",
    ),
    "joined": (
        PAIRS,
        f"{{type: encoder_decoder, cell: [lstm, simple_rnn], encoder: {{{UNEVEN}, bidirectional: true}}, "
        "decoder: {units: [10, 6]}, bridge: concat}",
    ),
    "zero": (
        PAIRS,
        f"{{type: encoder_decoder, attention: dot, bridge: zero, encoder: {{{UNEVEN}}}, decoder: {{units: [2, 3]}}}}",
    ),
    "repeat_vector": (ADDITION, f"{{type: repeat_vector, encoder: {{{UNEVEN}}}, decoder: {{units: [4, 2, 3]}}}}"),
    "next_step": (TEXT, f"{{type: next_step, stateful: true, cell: [lstm, gru], {UNEVEN}}}"),
    "classifier": (ADDITION, f"{{type: classifier, cell: [gru, simple_rnn], {UNEVEN}, bidirectional: true}}"),
}


def config_of(model, task=ADDITION):
    return parse_config(f"{{task: {task}, model: {model}}}", "c.yaml")


def test_parameters_of_the_guide_bidirectional_lstm_64_then_32():
    text = "{type: classifier, units: [64, 32], bidirectional: true}"
    config = config_of(text, "image_rows")
    sizes = Sizes(source_symbols=0, source_steps=5, target_symbols=10, target_steps=1, features=10)
    model = build_model(config, sizes)
    counts = [layer.count_params() for layer in (*model.recurrent_layers, model.output)]
    assert counts == [38_400, 41_216, 650]
    assert model.network.count_params() == 80_266


def test_parameters_of_the_guide_two_embeddings_and_an_lstm_of_64_each():
    text = "{type: encoder_decoder, encoder: {units: [64], embedding: 64}, decoder: {units: [64], embedding: 64}}"
    sizes = Sizes(source_symbols=1000, source_steps=5, target_symbols=2000, target_steps=5)
    model = build_model(config_of(text), sizes)
    layers = [model.source_embedding, model.target_embedding, *model.recurrent_layers]
    assert [layer.count_params() for layer in layers] == [64_000, 128_000, 33_024, 33_024]


@pytest.mark.parametrize("name", ["joined", "repeat_vector", "next_step", "classifier"])
def test_every_kernel_computes_the_same_and_bounds_hold(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved, model = random_run(*MODELS[name])
    examples = saved.task.splits()[1].rows(slice(4))
    inputs = [tf.constant(np.asarray(examples.source), model.source_dtype), tf.constant(examples.source_lengths)]
    target = tf.constant(np.asarray(examples.target), tf.int32)
    logits = model.logits(*inputs, target).numpy()
    config = saved.config.model_copy(
        update={"runtime": saved.config.runtime.model_copy(update={"kernel": "generic"})}
    )
    plain = build_model(config, saved.task.sizes)
    plain.assign(saved.weights)
    assert {layer.choice.kernel for layer in model.recurrent_layers} == {"fused"}
    assert {layer.choice.kernel for layer in plain.recurrent_layers} == {"generic"}
    np.testing.assert_allclose(plain.logits(*inputs, target), logits, atol=2e-6)
    sizes, count = saved.task.sizes, model.network.count_params()
    least, most = (
        config.model.min_parameters(sizes.source_symbols, sizes.target_symbols),
        config.model.max_parameters(sizes.source_symbols + sizes.target_symbols),
    )
    assert least <= count <= most
    assert sum(np.prod(shape) for shape in model.state_spec.values()) <= config.model.max_states()
    assert needed_flop(config.model, sizes, examples) > 0


def test_states_have_the_widths_of_their_layers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved, model = random_run(*MODELS["encoder_decoder"])
    prefix = "decoder"
    assert model.state_spec == {
        f"{prefix}/0/forward/h": (4,),
        f"{prefix}/1/forward/h": (6,),
        f"{prefix}/1/forward/c": (6,),
    }
    states = TrainedRun(saved, setup_inference(saved.config)).final_states(["ab", "dabcab"], "lines")
    assert {name: value.shape for name, value in states.items()} == {
        name: (2, *shape) for name, shape in model.state_spec.items()
    }


def test_flop_of_layers_of_different_widths_and_cells():
    lengths = np.full(2, 7)
    ids = np.zeros((2, 7), np.int32)
    examples = Examples(ids, lengths, ids[:, :1], np.ones(2, np.int32))
    sizes = Sizes(source_symbols=9, source_steps=7, target_symbols=11, target_steps=1)
    found = needed_flop(config_of(f"{{type: classifier, cell: [lstm, gru], {UNEVEN}}}").model, sizes, examples)
    assert found == 6 * (6 * 5 * 20 + 7 * 5 * 9 + 6 * 3 * 9 + 3 * 11)


@pytest.mark.parametrize("name", ["encoder_decoder", "zero"])
def test_onnx_graphs_predict_the_same(name, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    from rnncli.export.onnx.runner import open_onnx
    from rnncli.export.onnx.writer import write_onnx

    monkeypatch.chdir(tmp_path)
    saved, _ = random_run(*MODELS[name])
    (tmp_path / "export").mkdir()
    write_onnx(saved, tmp_path / "export")
    examples = saved.task.splits()[1].rows(slice(4))
    sources = np.asarray(examples.source, np.int32), examples.source_lengths.astype(np.int32)
    ids, scores = open_onnx(saved, tmp_path / "export")(*sources)
    decoded = TrainedRun(saved, setup_inference(saved.config)).decoder(*sources)
    np.testing.assert_array_equal(ids, decoded.ids[:, : ids.shape[1]])
    np.testing.assert_allclose(scores, decoded.log_probabilities[:, 0], atol=1e-5)


def test_plain_keras_model_predicts_the_same(tmp_path, monkeypatch):
    from rnncli.export.plain_keras import plain_model

    monkeypatch.chdir(tmp_path)
    saved, model = random_run(*MODELS["next_step"])
    examples = saved.task.splits()[1].rows(slice(4))
    source = np.pad(examples.source, ((0, 0), (0, model.source_steps - examples.source.shape[1])))
    inputs = {"source": source.astype(np.int32), "lengths": examples.source_lengths.astype(np.int32)}
    states = {n.replace("/", "_"): np.zeros((4, *shape), np.float32) for n, shape in model.state_spec.items()}
    found = plain_model(model, saved.config)({**inputs, **states})
    decoded = TrainedRun(saved, setup_inference(saved.config)).decoder(examples.source, examples.source_lengths)
    np.testing.assert_allclose(found["score"], decoded.log_probabilities[:, 0], atol=1e-4)


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("{type: classifier, units: []}", r"model\.units: .* at least 1 values"),
        ("{type: classifier, units: [4, x]}", r"model\.units: 'x' \(text\) is not a whole number"),
        ("{type: classifier, units: [4, 0]}", r"model\.units: 0 is not allowed; must be at least 1"),
        ("{type: classifier, units: x}", r"model\.units: 'x' \(text\) is not a whole number"),
        ("{type: classifier, units: [4, 3], layers: 3}", r"model\.layers: 3, and units has 2 numbers"),
        ("{type: classifier, cell: [lstm, gru]}", r"model\.cell: 2 cells, and model has 1 layer;"),
        ("{type: classifier, layers: 2, cell: [lstm, grr]}", r"model\.cell: .*grr"),
        (
            "{type: encoder_decoder, bridge: copy, encoder: {units: [4, 3]}, decoder: {units: [3, 4]}}",
            r"model\.bridge: copy needs",
        ),
    ],
)
def test_config_refuses_what_no_stack_can_be(model, problem):
    with pytest.raises(ConfigError, match=problem):
        config_of(model)


def test_resolved_config_keeps_lists_and_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = config_of(f"{{type: classifier, {UNEVEN}, cell: [lstm, gru]}}").model
    assert (model.units, model.cell, model.layer_units) == ([5, 3], ["lstm", "gru"], [5, 3])
    assert config_of("{type: classifier, units: 4, layers: 2}").model.layer_units == [4, 4]
    assert build_task(config_of("{type: classifier, units: [4]}")) is not None


def test_network_in_numpy_reads_layers_of_different_widths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved, model = random_run(*MODELS["zero"])
    network = NumpyNetwork(saved.config, saved.task.sizes, saved.weights)
    assert {name: (units,) for name, units in network.units.items() if name in model.state_spec} == model.state_spec
    ids = saved.task.read_source("dabc")
    decoded = TrainedRun(saved, setup_inference(saved.config)).decoder(np.array([ids]), np.array([4]))
    assert network.read(ids).score == pytest.approx(decoded.log_probabilities[0, 0], abs=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_the_config_that_a_run_keeps_can_be_read_again(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pairs.tsv").write_text("a\tb\n")
    task, model = MODELS[name]
    config = parse_config(f"{{task: {task}, model: {model}, training: {{batch_size: 4}}}}", "c.yaml")
    assert [stack.layers for stack in config.model.stacks] == [len(stack.units) for stack in config.model.stacks]
    assert parse_config(dump_config(config), "config.yaml", recorded=True).model == config.model
