"""SavedModels, Keras files and LiteRT files in their own runtimes against the model, with random weights."""

import errno
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import tensorflow as tf
from random_runs import ADDITION, PAIRS, TEXT, random_run

from rnncli.config import RuntimeConfig
from rnncli.config.named_objects import import_named
from rnncli.errors import InputError, RunFailedError
from rnncli.export import litert
from rnncli.export.comparison import random_sources
from rnncli.export.exporter import check_export, export
from rnncli.export.formats import EXPORTS
from rnncli.inference import tensorflow_backend
from rnncli.inference.backends import Request, load
from rnncli.inference.decoder import Decoder
from rnncli.runtime import xla
from rnncli.runtime.tensorflow_setup import setup_tensorflow

pytestmark = pytest.mark.usefixtures("runtime")

RUNS = Path(__file__).parents[1] / "runs" / "version_0_1_0"

SHORT = PAIRS.replace("max_target_length: 7", "max_target_length: 3, too_long: skip")  # every step is in the graph
ATTENDING = (
    SHORT,
    "{type: encoder_decoder, cell: gru, attention: additive, input_feeding: true, encoder: {units: 4, "
    "bidirectional: true}, decoder: {units: 4, embedding: 3, tied: true}}",
)
MODELS = {
    "plain": (ADDITION, "{type: encoder_decoder, encoder: {units: 4}, decoder: {units: 4}}"),
    "attending": ATTENDING,
    "zero bridge": (
        SHORT,
        "{type: encoder_decoder, attention: dot, bridge: zero, encoder: {units: 4}, decoder: {units: 4}}",
    ),
    "dense bridge": (
        SHORT,
        "{type: encoder_decoder, attention: general, encoder: {units: 3, bidirectional: true, merge: sum}, "
        "decoder: {units: 4, layers: 2, embedding: 2}}",
    ),
    "one embedding of both sides": (
        SHORT.replace("type: pairs", "type: pairs, shared_vocabulary: true"),
        "{type: encoder_decoder, attention: general, shared_embedding: true, encoder: {units: 4, embedding: 3}, "
        "decoder: {units: 4, embedding: 3}}",
    ),
    "repeat vector": (
        ADDITION,
        "{type: repeat_vector, cell: simple_rnn, encoder: {units: 4, bidirectional: true}, decoder: {units: 3}}",
    ),
    "classifier": (ADDITION, "{type: classifier, units: 4, bidirectional: true, pooling: mean}"),
    "classifier of numbers": (
        "{type: nested, examples: 20, held_out: 8}",
        "{type: classifier, units: 4, pooling: max}",
    ),
    "next symbol": ("{type: alphabet}", "{type: next_step, cell: gru, units: 4, symbols: number}"),
    "next symbols": (TEXT, "{type: next_step, units: 4, stateful: true}"),
}
CASES = [("keras", name) for name in MODELS if name not in ("plain", "zero bridge", "next symbol")] + [
    ("savedmodel", "zero bridge"),
    ("savedmodel", "next symbols"),
    ("litert", "zero bridge"),
    ("litert", "next symbol"),
    ("savedmodel", "one embedding of both sides"),
]
FAST = [
    ("keras", "repeat vector"),
    ("keras", "classifier"),
    ("savedmodel", "next symbols"),
    ("litert", "next symbol"),
]


def written(form, task, model, folder, **options):
    """Return a run, its decoder in TensorFlow, and the path of its export."""
    saved, built = random_run(task, model)
    path = folder / f"model{EXPORTS[form].extension}"
    export(saved, form, path, **options)
    return saved, Decoder(built, setup_tensorflow(RuntimeConfig()), None, 8), path


@pytest.mark.parametrize(
    ("form", "name"),
    [case if case in FAST else pytest.param(*case, marks=pytest.mark.long) for case in CASES],
)
def test_exports_predict_as_the_model_does(tmp_path, monkeypatch, form, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(xla, "UNROLL_STEPS", 0)  # sequences are long
    saved, decoder, path = written(form, *MODELS[name], tmp_path)
    examples = saved.task.splits()[1]
    source, lengths = examples.source, examples.source_lengths.astype(np.int32)
    ids, scores = import_named(EXPORTS[form].opener)(saved, path)(source, lengths)
    wanted = decoder(source, lengths)
    np.testing.assert_array_equal(ids, wanted.ids[:, : ids.shape[1]])
    assert (wanted.ids[:, ids.shape[1] :] == 0).all()
    np.testing.assert_allclose(scores, wanted.log_probabilities[:, 0], atol=1e-5)


@pytest.mark.long
def test_keras_files_and_savedmodels_load_without_rnncli(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "keras").mkdir()
    (tmp_path / "saved").mkdir()
    saved, decoder, file = written("keras", *MODELS["zero bridge"], tmp_path / "keras")
    folder = written("savedmodel", *MODELS["zero bridge"], tmp_path / "saved")[-1]
    code = f"""
import sys; sys.modules |= {{"rnncli": None, "keras": None}}
import numpy as np, tensorflow as tf
loaded = tf.saved_model.load({str(folder)!r})
print(*[text.decode() for text in loaded.signatures["predict"](source=tf.constant(["abd", "cab"]))["text"].numpy()])
del sys.modules["keras"]
import keras
model = keras.saving.load_model({str(file)!r})
encode, step = model.get_layer("encode"), model.get_layer("step")
start = encode.predict_on_batch([np.array([[4, 5, 7, 0, 0, 0, 0, 0]]), np.array([3])])
found = step.predict_on_batch({{"ids": np.array([1]), **start}})
print(int(found["logits"][0, 4:].argmax()) + 4 if found["logits"][0, 4:].max() > found["logits"][0, 2] else 2)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    source, lengths = np.array([[4, 5, 7], [6, 4, 5]]), np.array([3, 3])
    ids = decoder(source, lengths).ids
    texts, first = done.stdout.splitlines()
    assert texts.split() == " ".join(saved.task.show_target(row) for row in ids.tolist()).split()
    assert int(first) == ids[0, 0]


@pytest.mark.long
def test_step_of_a_savedmodel_continues_from_named_states(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, decoder, path = written("savedmodel", *MODELS["plain"], tmp_path)
    signatures = tf.saved_model.load(str(path)).signatures
    source, lengths = tf.constant([[3, 2, 1, 4, 0]]), tf.constant([4])
    state = signatures["encode"](source=source, lengths=lengths)
    assert set(state) == {"decoder_0_forward_h", "decoder_0_forward_c"}
    ids, written_ids = tf.constant([1]), []
    for _ in range(decoder.model.steps):
        found = dict(signatures["step"](ids=ids, **state))
        logits = found.pop("logits").numpy()
        ids = tf.constant(logits[:, 2:].argmax(axis=1).astype(np.int32) + 2)
        state = {name.removeprefix("next_"): value for name, value in found.items()}
        written_ids.append(int(ids[0]))
    wanted = decoder(source.numpy(), lengths.numpy()).ids[0].tolist()
    length = wanted.index(2) + 1 if 2 in wanted else len(wanted)
    assert written_ids[:length] == wanted[:length]


def test_a_savedmodel_refuses_texts_that_the_model_cannot_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved, _, path = written("savedmodel", ADDITION, "{type: classifier, units: 4}", tmp_path)
    predict = tf.saved_model.load(str(path)).signatures["predict"]
    assert predict(source=tf.constant(["1+23", " 99+99 "]))["text"].shape == [2]
    assert predict(source=tf.constant([], tf.string))["text"].shape == [0]
    for text in ("1+x", "1" * (saved.task.sizes.source_steps + 1)):
        with pytest.raises(tf.errors.InvalidArgumentError, match="source"):
            predict(source=tf.constant(["1+2", text]))


@pytest.mark.long
def test_a_savedmodel_cuts_and_joins_words_and_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = SHORT.replace("max_source", "tokenize: {source: bytes, target: whitespace}, max_source")
    saved, decoder, path = written("savedmodel", task, MODELS["zero bridge"][1], tmp_path)
    lines = ["abdc", "é", " b "]
    found = tf.saved_model.load(str(path)).signatures["predict"](source=tf.constant(lines))
    rows = [saved.task.read_source(line) for line in lines]
    for row, text in zip(rows, found["text"].numpy(), strict=True):
        ids = decoder(np.array([row]), np.array([len(row)])).ids[0].tolist()
        assert text.decode() == saved.task.show_target(ids)


def test_weights_of_litert_are_stored_in_eight_bits_beside_the_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved, _, path = written("litert", ADDITION, "{type: classifier, units: 64}", tmp_path, weights="int8")
    assert path.stat().st_size < 0.8 * sum(array.nbytes for array in saved.weights.values())
    record = json.loads(zipfile.ZipFile(path).read("rnncli.json"))
    assert record["vocabulary"]["source"] == list(saved.task.source_vocabulary.symbols)


@pytest.mark.parametrize(
    ("error", "folder", "kind"),
    [
        (None, "absent", FileNotFoundError),
        (ValueError("an operation"), ".", RunFailedError),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), ".", OSError),
    ],
)
def test_what_ends_an_export_to_litert_is_told_apart(tmp_path, monkeypatch, error, folder, kind):
    monkeypatch.chdir(tmp_path)
    saved, _ = random_run(*MODELS["next symbol"])
    converter = Mock()
    converter.convert = Mock(side_effect=error, return_value=b"model")
    monkeypatch.setattr(tf.lite.TFLiteConverter, "from_saved_model", lambda *_, **__: converter)
    monkeypatch.setattr(tf.saved_model, "save", lambda *_: None)
    with pytest.raises(kind):
        litert.write_litert(saved, tmp_path / folder / "model.tflite")


def test_a_savedmodel_holds_a_custom_cell(tmp_path):
    saved = load(RUNS / "custom_cell-whole", trust_code=True)
    export(saved, "savedmodel", tmp_path / "model")
    source, lengths = random_sources(saved.task.sizes, 5)
    _, scores = import_named(EXPORTS["savedmodel"].opener)(saved, tmp_path / "model")(source, lengths)
    wanted = tensorflow_backend.start(Request(saved)).decoder(source, lengths)
    np.testing.assert_allclose(scores, wanted.log_probabilities[:, 0], atol=1e-5)


@pytest.mark.parametrize("form", ["onnx", "keras", "litert"])
def test_other_formats_refuse_a_custom_cell(tmp_path, form):
    saved = load(RUNS / "custom_cell-whole", trust_code=True)
    with pytest.raises(InputError, match=r"model\.cell") as refused:
        export(saved, form, tmp_path / f"model{EXPORTS[form].extension}")
    assert "savedmodel" in refused.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("form", "name", "weights", "word"),
    [
        ("keras", "model", "float32", ".keras"),
        ("litert", "model.keras", "float32", ".tflite"),
        ("onnx", "model", "int8", "litert"),
        ("savedmodel", "model.tflite", "float32", "folder"),
    ],
)
def test_paths_and_weights_that_a_format_has_not_are_refused(tmp_path, form, name, weights, word):
    with pytest.raises(InputError) as refused:
        check_export(form, tmp_path / name, overwrite=False, weights=weights)
    assert word in f"{refused.value.message} {refused.value.hint}"
