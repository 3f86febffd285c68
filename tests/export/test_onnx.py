"""Exported graphs in onnxruntime against the model in TensorFlow, with random weights."""

import itertools
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest
from random_runs import ADDITION, PAIRS, SHARED, TAGGED, TEXT, random_run

from rnncli.config import CELLS
from rnncli.data.padding import FlatRows
from rnncli.errors import InputError
from rnncli.export.onnx.writer import write_onnx
from rnncli.inference.decoder import Decoder
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.inference.onnx_decoder import OnnxDecoder
from rnncli.inference.onnx_model import OnnxModel
from rnncli.runs.export_record import ATTENTION, IDS, LENGTHS, LOGITS, NEXT

pytestmark = pytest.mark.usefixtures("runtime")

TEXTS = "{type: classify, texts: 2, tokenize: characters, max_length: 6, examples: 60, held_out: 20}"
SMALL = "encoder: {units: 4}, decoder: {units: 4}"
MODELS = {
    "plain": (ADDITION, f"type: encoder_decoder, {SMALL}"),
    "general attention, stacked, dense bridge": (
        PAIRS,
        "type: encoder_decoder, attention: general, encoder: {units: 4, bidirectional: true, embedding: 3}, "
        "decoder: {units: 5, embedding: 3, layers: 2}",
    ),
    "additive attention, input feeding, tied": (
        PAIRS,
        "type: encoder_decoder, attention: additive, input_feeding: true, encoder: {units: 4, bidirectional: true, "
        "merge: ave, layers: 2}, decoder: {units: 4, embedding: 3, tied: true}",
    ),
    "dot attention, zero bridge": (
        PAIRS,
        "type: encoder_decoder, attention: dot, bridge: zero, encoder: {units: 4, bidirectional: true, merge: mul}, "
        "decoder: {units: 4}",
    ),
    "concatenated states": (
        PAIRS,
        "type: encoder_decoder, bridge: concat, encoder: {units: 2, bidirectional: true, merge: sum}, "
        "decoder: {units: 4}",
    ),
    "encoder of features, input feeding": (
        TAGGED,
        "type: encoder_decoder, attention: additive, input_feeding: true, encoder: {units: 4, embedding: 3}, "
        "decoder: {units: 5}",
    ),
    "encoder of features, one-hot": (TAGGED, f"type: encoder_decoder, {SMALL}"),
    "one embedding of both sides": (
        SHARED,
        "type: encoder_decoder, attention: general, shared_embedding: true, encoder: {units: 4, embedding: 3}, "
        "decoder: {units: 4, embedding: 3, tied: true}",
    ),
    "repeat vector": (
        ADDITION,
        "type: repeat_vector, encoder: {units: 4, bidirectional: true, merge: mul}, decoder: {units: 3, layers: 2}",
    ),
    "classifier by its last output": (ADDITION, "type: classifier, units: 4, bidirectional: true, merge: ave"),
    "classifier by the mean": (ADDITION, "type: classifier, units: 4, bidirectional: true, pooling: mean"),
    "classifier by the maximum": (ADDITION, "type: classifier, units: 4, layers: 2, pooling: max, embedding: 3"),
    "classifier of two texts": (
        TEXTS,
        "type: classifier, units: 4, embedding: 3, pooling: mean, encoder: {units: 4, embedding: 2}",
    ),
    "classifier of two texts, both directions": (
        TEXTS,
        "type: classifier, units: 3, bidirectional: true, encoder: {units: 3, bidirectional: true, embedding: 2}",
    ),
    "classifier of two texts, dense bridge": (
        TEXTS,
        "type: classifier, units: 4, layers: 2, embedding: 3, pooling: max, encoder: {units: 3}",
    ),
    "classifier of numbers": ("{type: nested, examples: 20, held_out: 8}", "type: classifier, units: 4"),
    "next symbol": ("{type: alphabet}", "type: next_step, units: 4, symbols: number"),
    "next symbols, stateful": (TEXT, "type: next_step, units: 4, stateful: true"),
}
CASES = list(zip(MODELS, itertools.cycle(CELLS), strict=False))


def export(task, model, folder, **biases):
    """Return decoders of the same model, of the export and of TensorFlow, and held-out sources."""
    from rnncli.config import RuntimeConfig
    from rnncli.runtime.tensorflow_setup import setup_tensorflow

    saved, built = random_run(task, model)
    for name, value in biases.items():
        saved.weights[f"{name}/switch/bias"][:] = value
    built.assign(saved.weights)
    folder.mkdir()
    write_onnx(saved, folder)
    exported = OnnxDecoder(OnnxModel(folder / "predict.onnx"), saved.task.sizes, saved.config.is_autoregressive, 2, 8)
    examples = saved.task.splits()[1]
    ours = Decoder(built, setup_tensorflow(RuntimeConfig()), None, 8)
    return exported, ours, (examples.source, examples.source_lengths)


def assert_same(found, wanted):
    np.testing.assert_array_equal(found.hypotheses, wanted.hypotheses)
    np.testing.assert_allclose(found.log_probabilities, wanted.log_probabilities, atol=1e-5)
    assert found.state.keys() == wanted.state.keys()
    for name, state in wanted.state.items():
        np.testing.assert_allclose(found.state[name], state, atol=1e-5)
    if wanted.probabilities is not None:
        np.testing.assert_allclose(found.probabilities, wanted.probabilities, atol=1e-6)


@pytest.mark.quick(
    "additive attention, input feeding, tied-simple_rnn",
    "general attention, stacked, dense bridge-gru",
    "dot attention, zero bridge-lstm",
    "encoder of features, one-hot-lstm",
    "repeat vector-simple_rnn",
    "classifier by the maximum-simple_rnn",
    "classifier of two texts, both directions-gru",
)
@pytest.mark.parametrize(("name", "cell"), CASES, ids=lambda value: value)
def test_graphs_predict_as_the_model_does(tmp_path, monkeypatch, name, cell):
    monkeypatch.chdir(tmp_path)
    task, model = MODELS[name]
    exported, ours, sources = export(task, f"{{{model}, cell: {cell}}}", tmp_path / "model")
    assert exported.state_spec == ours.state_spec
    assert_same(exported(*sources), ours(*sources))


@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_has_the_gates_of_the_operator(tmp_path, monkeypatch, cell):
    monkeypatch.chdir(tmp_path)
    exported, ours, sources = export(TEXT, f"{{type: next_step, units: 4, cell: {cell}}}", tmp_path / "model")
    rng = np.random.default_rng(0)
    initial = {name: rng.normal(0, 1, (12, *shape)).astype(np.float32) for name, shape in ours.state_spec.items()}
    assert_same(exported(*sources, initial), ours(*sources, initial))


@pytest.fixture(scope="module")
def attending(tmp_path_factory):
    """Decoders of a model with attention and input feeding, whose states have two widths."""
    folder = tmp_path_factory.mktemp("attending")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        model = (
            "{type: encoder_decoder, attention: additive, input_feeding: true, encoder: {units: 4}, "
            "decoder: {units: 4, embedding: 3, tied: true}}"
        )
        return *export(PAIRS, model, folder / "model"), folder / "model"


@pytest.mark.parametrize(
    "options",
    [
        DecodingOptions(beam=3, n_best=2, length_penalty=0.6),
        DecodingOptions(sample=True, n_best=2, seed=4, temperature=0.8),
        DecodingOptions(max_length=3),
    ],
    ids=["beam", "sample", "short"],
)
def test_searches_over_the_step_graph_find_what_tensorflow_finds(attending, options):
    exported, ours, sources, _ = attending
    assert_same(exported(*sources, options=options), ours(*sources, options=options))


def test_the_decoder_continues_from_given_states(attending):
    exported, ours, sources, _ = attending
    initial = {name: value[::-1].copy() for name, value in ours.encode(*sources).items()}
    assert_same(exported(*sources, initial), ours(*sources, initial))


@pytest.fixture(scope="module", params=["pairs", "tagged"])
def copying(tmp_path_factory, request):
    """Decoders of a model that mostly copies, also letters that its vocabulary has not."""
    folder = tmp_path_factory.mktemp("copying")
    task = {"pairs": PAIRS, "tagged": TAGGED}[request.param].replace("type: pairs", "type: pairs, min_frequency: MIN")
    task = task.replace("MIN", "5" if request.param == "pairs" else "9")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        model = (
            "{type: encoder_decoder, attention: general, copy: pointer_generator, "
            "encoder: {units: 4, bidirectional: true, embedding: 3}, decoder: {units: 5, embedding: 2}}"
        )
        return export(task, model, folder / "model", pointer_generator=-3.0)


@pytest.mark.parametrize(
    "options",
    [
        DecodingOptions(),
        DecodingOptions(beam=3, n_best=2),
        DecodingOptions(sample=True, n_best=2, seed=4),
        DecodingOptions(max_length=3),
    ],
    ids=["greedy", "beam", "sample", "short"],
)
def test_graphs_copy_as_the_model_does(copying, options):
    exported, ours, sources = copying
    found = exported(*sources, options=options)
    assert_same(found, ours(*sources, options=options))
    assert (found.ids >= exported.sizes.target_symbols).any()


def test_steps_attention_and_continued_states_of_models_that_copy_are_those_of_tensorflow(copying):
    exported, ours, sources = copying
    states, target = ours.encode(*sources), ours(*sources).ids
    assert_same(exported(*sources, states), ours(*sources, states))
    np.testing.assert_allclose(exported.attention(*sources, target), ours.attention(*sources, target), atol=1e-6)
    for ids in (np.full(len(target), 1, np.int32), target[:, 0]):
        (logits, new), (wanted, wanted_new) = (each.step(ids, states, *sources) for each in (exported, ours))
        np.testing.assert_allclose(logits, wanted, atol=1e-5)
        for name, state in wanted_new.items():
            np.testing.assert_allclose(new[name], state, atol=1e-6)
        states = wanted_new


def test_final_states_of_the_encoder_and_attention_are_those_of_tensorflow(attending):
    exported, ours, sources, _ = attending
    for name, state in ours.encode(*sources).items():
        np.testing.assert_allclose(exported.encode(*sources)[name], state, atol=1e-6)
    ids = ours(*sources).ids
    np.testing.assert_allclose(exported.attention(*sources, ids), ours.attention(*sources, ids), atol=1e-6)


def test_graphs_name_states_as_rnncli_does(attending):
    _, ours, _, folder = attending
    graph = onnx.load(folder / "step.onnx").graph
    memory = ["memory/values", "memory/keys", LENGTHS]
    assert [port.name for port in graph.input] == [IDS, *ours.state_spec, *memory]
    assert [port.name for port in graph.output] == [LOGITS, *(NEXT + name for name in ours.state_spec), ATTENTION]


def test_the_record_rebuilds_vocabulary_and_config(attending):
    exported, _, _, folder = attending
    saved = exported.model.record.rebuild(folder / "predict.onnx")
    assert saved.config.model.attention == "additive"
    assert saved.task.read_source("abd") == [4, 5, 7]
    assert "/" not in saved.config.task.train.file, "directories of this machine are nobody's business"


def test_no_rows_give_no_predictions(attending):
    exported, ours, (source, lengths), _ = attending
    assert exported(source[:0], lengths[:0]).hypotheses.shape == ours(source[:0], lengths[:0]).hypotheses.shape


def test_sources_of_which_one_is_very_long_are_predicted_unpadded(attending):
    exported, ours, (source, lengths), _ = attending
    flat = FlatRows()
    for row, length in zip(source.tolist(), lengths.tolist(), strict=True):
        flat.append(row[:length])
    ragged, _ = flat.ragged(exported.sizes.source_symbols)
    assert_same(exported(ragged, lengths), ours(source, lengths))
    assert_same(ours(ragged, lengths), ours(source, lengths))


def test_models_without_initial_states_refuse_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exported, ours, sources = export(ADDITION, "{type: classifier, units: 3}", tmp_path / "model")
    with pytest.raises(InputError, match="initial states"):
        exported(*sources, ours.encode(*sources))


def test_a_file_of_another_run_beside_predict_is_refused(tmp_path, monkeypatch, attending):
    monkeypatch.chdir(tmp_path)
    exported, _, sources = export(ADDITION, f"{{type: encoder_decoder, {SMALL}}}", tmp_path / "model")
    (tmp_path / "model" / "step.onnx").write_bytes((attending[-1] / "step.onnx").read_bytes())
    with pytest.raises(InputError, match=r"step\.onnx"):
        exported(*sources, options=DecodingOptions(beam=2))


@pytest.mark.parametrize("content", [b"", b"not a graph", onnx.ModelProto().SerializeToString()])
def test_a_file_that_is_no_export_is_refused(tmp_path, content):
    (tmp_path / "predict.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"predict\.onnx"):
        OnnxModel(tmp_path / "predict.onnx")


def test_a_graph_that_does_not_predict_names_the_one_that_does(attending):
    with pytest.raises(InputError, match=r"step\.onnx") as refused:
        OnnxModel(attending[-1] / "step.onnx")
    assert "predict.onnx" in refused.value.hint


def test_onnxruntime_stores_and_says_nothing_of_its_own(tmp_path, attending):
    cache = tmp_path / "cache"
    cache.mkdir()
    code = (
        "import os, sys, pathlib, rnncli.inference.onnx_model as m; m.OnnxModel(pathlib.Path(sys.argv[1]))\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    environment = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": str(cache), "HOME": str(cache)}
    graph = str(attending[-1] / "predict.onnx")
    ended = subprocess.run([sys.executable, "-c", code, graph], env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1\n", "")
    assert list(cache.rglob("*")) == []
