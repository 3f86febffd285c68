"""Formats for tools, each read the way its tool's loader goes through it."""

import csv
import json
import re

import h5py
import numpy as np
import pytest
import yaml
from state_batches import SPEC, batch_of, check_manifest, export, padded

from rnncli.states.batch import StateBatch


class TestProjector:
    """As `projector_plugin.py` of TensorBoard reads: text format, `_read_tensor_tsv_file`, `_serve_metadata`."""

    def read(self, path):
        text = (path / "projector_config.pbtxt").read_text()
        fields = re.findall(r'^  (\w+): (?:"([^"\\\n]*)"|(\d+))$', text, re.M)
        assert re.fullmatch(r"(embeddings \{\n(  .*\n)+\}\n)+", text)
        embeddings = []
        for key, word, number in fields:
            if key == "tensor_name":
                embeddings.append({"tensor_shape": []})
            if key == "tensor_shape":
                embeddings[-1][key].append(int(number))
            else:
                embeddings[-1][key] = word
        return embeddings

    def test_final_h_of_the_last_encoder_layer(self, tmp_path):
        path = export(tmp_path, "projector")
        (embedding,) = self.read(path)
        assert embedding["tensor_name"] == "encoder/0/forward/final/h"
        assert embedding["tensor_path"] == "tensors.tsv"
        assert embedding["tensor_shape"] == [5, 3]
        lines = (path / "tensors.tsv").read_text().splitlines()
        points = np.array([list(map(float, line.split("\t"))) for line in lines], np.float32)
        np.testing.assert_array_equal(points, padded("encoder/0/forward/final/h"))
        manifest = json.loads((path / "manifest.json").read_text())
        check_manifest(manifest, "projector", "float32", {"encoder/0/forward/final/h": (3,)})

    def test_labels_have_a_header_and_a_line_per_example(self, tmp_path):
        with (export(tmp_path, "projector") / "metadata.tsv").open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        assert [row["source"] for row in rows] == ["12+3", "1 é", "x␉␊", "1 é", ""]
        assert [row["example"] for row in rows] == list("01234")
        assert [row["prediction_length"] for row in rows] == list("23032")

    def test_several_embeddings(self, tmp_path):
        names = ["decoder/0/forward/final/h", "encoder/0/forward/final/c"]
        path = export(tmp_path, "projector", "float16", embeddings=names)
        assert [embedding["tensor_name"] for embedding in self.read(path)] == names
        for embedding in self.read(path):
            points = np.loadtxt(path / embedding["tensor_path"], np.float32, delimiter="\t")
            np.testing.assert_array_equal(points, padded(embedding["tensor_name"]).astype(np.float16))

    def test_both_directions_of_the_last_layer(self, tmp_path):
        shapes = dict.fromkeys((f"encoder/{n}/{d}/final/h" for n in (9, 10) for d in ("forward", "backward")), (3,))
        path = export(tmp_path, "projector", batches=[], spec=shapes)
        names = [embedding["tensor_name"] for embedding in self.read(path)]
        assert names == ["encoder/10/forward/final/h", "encoder/10/backward/final/h"]


class LstmvisData:
    """The access pattern of `LSTMDataHandler` in `lstmdata/data_handler.py` of LSTMVis 2.1."""

    def __init__(self, directory):
        self.config = yaml.safe_load((directory / "lstm.yml").read_text())
        files = self.config["files"]
        self.h5 = {key: h5py.File(directory / name) for key, name in files.items() if name.endswith((".h5", ".hdf5"))}
        self.dicts = {}
        for key, name in files.items():
            if name.endswith((".dict", ".txt")):
                self.dicts[key] = {}
                for line in (directory / name).read_text().split("\n")[:-1]:
                    if len(line.split()) == 2:
                        word, number = line.split()
                        self.dicts[key][int(number)] = word
                    elif line[0] == " ":
                        self.dicts[key][int(line.strip())] = " "

    def states(self, kind):
        return self.h5[kind.get("file", self.config["states"]["file"])][kind["path"]][:]

    def words(self):
        sequence = self.config["word_sequence"]
        ids = self.h5[sequence["file"]][sequence["path"]][:].tolist()
        return [self.dicts[sequence["dict_file"]][number] for number in ids]


class TestLstmvis:
    def test_examples_follow_each_other_on_one_time_axis(self, tmp_path):
        path = export(tmp_path, "lstmvis")
        data = LstmvisData(path)
        tokens = ["1", "2", "+", "3", "1", "5", "</s>", "1", " ", "é", "ü", " ", "1", "</s>", "x", "␉", "␊", "</s>"]
        tokens += ["1", " ", "é", "ü", " ", "1", "</s>", "9", "␀", "</s>"]
        assert data.words() == tokens
        kinds = {kind["path"]: kind for kind in data.config["states"]["types"]}
        assert kinds["encoder_0_forward_c"] == {
            "type": "state",
            "layer": 1,
            "path": "encoder_0_forward_c",
            "transform": "tanh",
        }
        h = data.states(kinds["encoder_0_forward_h"])
        written = padded("encoder/0/forward/h")
        assert h.shape == (len(tokens), 3)
        np.testing.assert_array_equal(h[:4], written[0])
        np.testing.assert_array_equal(h[4:7], 0)
        np.testing.assert_array_equal(h[7:10], written[1, :3])
        np.testing.assert_array_equal(h[18:21], written[3, :3])
        out = data.states(kinds["decoder_0_forward_h"])
        np.testing.assert_array_equal(out[:4], 0)
        np.testing.assert_array_equal(out[-3:], padded("decoder/0/forward/h")[4, :3])
        assert data.h5["train"]["example"][:].tolist() == [0] * 7 + [1] * 7 + [2] * 4 + [3] * 7 + [4] * 3
        assert data.h5["train"]["side"][:8].tolist() == [0, 0, 0, 0, 1, 1, 1, 0]
        manifest = json.loads((path / "manifest.json").read_text())
        check_manifest(manifest, "lstmvis", "float32", {k: v for k, v in SPEC.items() if len(v) == 2})

    def test_export_of_one_side(self, tmp_path):
        spec = {"encoder/0/forward/h": (4, 3)}
        data = LstmvisData(export(tmp_path, "lstmvis", "float16", spec=spec))
        assert "".join(data.words()) == "12+31 éx␉␊1 é"
        assert data.states(data.config["states"]["types"][0]).dtype == np.float16


class TestNeurox:
    def load(self, path):
        """As `load_activations` in `neurox/data/loader.py` of NeuroX 1.0."""
        activations = []
        with h5py.File(path, "r") as file:
            sentences = json.loads(file.get("sentence_to_index")[0])
            for value in sentences.values():
                layers, length, size = file[value].shape
                activations.append(np.swapaxes(file[value][:], 0, 1).reshape(length, layers * size))
            return list(sentences), activations, json.loads(file.attrs["manifest"])

    def test_layers_of_the_source(self, tmp_path):
        sentences, activations, manifest = self.load(export(tmp_path, "neurox"))
        assert sentences == ["1 2 + 3", "1 ␣ é", "x ␉ ␊", "1 ␣ é (Occurrence 2)"]
        kept = {name: SPEC[name] for name in list(SPEC)[:3]}
        for row, length in enumerate([4, 3, 3, 3]):
            expected = np.concatenate([padded(name)[row, :length] for name in kept], axis=1)
            np.testing.assert_array_equal(activations[row], expected)
        check_manifest(manifest, "neurox", "float32", kept)
        assert manifest["layers"] == [[name] for name in kept]
        assert manifest["empty"] == [4]  # on which the loader fails

    def test_arrays_of_several_widths_are_concatenated(self, tmp_path):
        spec = {"decoder/0/forward/h": (5, 2), "decoder/1/forward/h": (5, 7)}
        batches = [batch_of(["1", "2"], ["1", "123"], spec=spec)]
        sentences, activations, manifest = self.load(export(tmp_path, "neurox", batches=batches, spec=spec))
        assert sentences == ["1 </s>", "1 2 3 </s>"]
        assert activations[1].shape == (4, 9)
        np.testing.assert_array_equal(activations[1][:, 2:], batches[0].arrays["decoder/1/forward/h"][1, :4])
        assert manifest["layers"] == [list(spec)]

    def test_repeated_sentences_stay_distinct(self, tmp_path):
        texts = [["a"], ["a (Occurrence 2)"], ["a"]]
        lengths = np.ones(3, np.int32)
        batch = StateBatch(["a"] * 3, ["b"] * 3, texts, texts, lengths, lengths, {"rnn/0/output": np.ones((3, 1, 2))})
        sentences, _, _ = self.load(export(tmp_path, "neurox", batches=[batch], spec={"rnn/0/output": (1, 2)}))
        assert sentences == ["a", "a␣(Occurrence␣2)", "a (Occurrence 2)"]


def test_tensorboard_plugin_reads_projector_files(tmp_path):
    plugin = pytest.importorskip("tensorboard.plugins.projector.projector_plugin")
    text_format = pytest.importorskip("google.protobuf.text_format")
    path = export(tmp_path, "projector")
    config = text_format.Parse((path / "projector_config.pbtxt").read_text(), plugin.ProjectorConfig())
    (embedding,) = config.embeddings
    tensor = plugin._read_tensor_tsv_file(str(path / embedding.tensor_path))
    assert list(tensor.shape) == list(embedding.tensor_shape)
    np.testing.assert_allclose(tensor, np.loadtxt(path / "tensors.tsv"), rtol=1e-6)
