"""Every format, read by what reads it: its own library, or the way its tool's loader goes through it."""

import csv
import json
import re

import h5py
import numpy as np
import pytest
import safetensors
import safetensors.numpy
import yaml

from rnncli import __version__
from rnncli.errors import InputError, RunFailedError
from rnncli.states import FORMATS, StateBatch, open_writer, read_states

SPEC = {
    "encoder/0/forward/h": (4, 3),
    "encoder/0/forward/c": (4, 3),
    "encoder/1/output": (4, 3),
    "decoder/0/forward/h": (5, 2),
    "encoder/0/forward/final/h": (3,),
    "encoder/0/forward/final/c": (3,),
    "decoder/0/forward/final/h": (2,),
}
MANIFEST = {"run": "runs/größe", "cell": "lstm", "weights_digest": "ab" * 32, "decoding": {"mode": "greedy"}}
ENDINGS = {"npz": "a.npz", "hdf5": "a.h5", "safetensors": "a.safetensors", "neurox": "a.hdf5"}
ARRAY_FORMATS = ("npz", "hdf5", "safetensors")


def batch_of(texts, predictions, seed=0, spec=SPEC, garbage=np.nan):
    """States in -1..1, what is beyond a row's end being garbage."""
    random = np.random.default_rng(seed)
    source, target = [list(text) for text in texts], [[*text, "</s>"] for text in predictions]
    lengths = {"source": np.array([len(row) for row in source]), "target": np.array([len(row) for row in target])}
    arrays = {}
    for name, shape in spec.items():
        arrays[name] = random.uniform(-1, 1, (len(texts), *shape)).astype(np.float32)
        if len(shape) == 2:
            side = lengths["target" if name.startswith("decoder/") else "source"]
            arrays[name][np.arange(shape[0]) >= side[:, None]] = garbage
    return StateBatch(texts, predictions, source, target, lengths["source"], lengths["target"], arrays)


BATCHES = [
    batch_of(["12+3", "1 é", "x\t\n"], ["15", "ü 1", ""], 1),
    batch_of(["1 é", ""], ["ü 1", "9\0"], 2),
]


def padded(name):
    """What a file must hold: all batches, zeros after each row's end."""
    return np.concatenate([np.nan_to_num(batch.arrays[name], nan=0.0) for batch in BATCHES])


def export(tmp_path, format_name, dtype="float32", batches=BATCHES, spec=SPEC, **options):
    path = tmp_path / ENDINGS.get(format_name, "directory")
    with open_writer(path, format_name, MANIFEST, spec, dtype, **options) as writer:
        for batch in batches:
            writer.write(batch)
    return path


def check_manifest(manifest, format_name, dtype, arrays=SPEC):
    assert manifest.items() >= MANIFEST.items()
    assert (manifest["format"], manifest["dtype"], manifest["rnncli"]) == (format_name, dtype, __version__)
    assert manifest["examples"] == 5
    assert manifest["arrays"] == {name: [5, *shape] for name, shape in arrays.items()}
    assert manifest["left_out"] == [name for name in SPEC if name not in arrays]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
class TestArrays:
    def test_npz_opens_without_pickle(self, tmp_path, dtype):
        with np.load(export(tmp_path, "npz", dtype), allow_pickle=False) as file:
            for name in SPEC:
                assert file[name].dtype == dtype
                np.testing.assert_array_equal(file[name], padded(name).astype(dtype))
            assert file["sources"].tolist() == ["12+3", "1 é", "x\t\n", "1 é", ""]
            assert file["predictions"].tolist() == ["15", "ü 1", "", "ü 1", "9␀"]
            assert file["source_tokens"][1].tolist() == ["1", " ", "é", ""]
            assert file["target_tokens"][0].tolist() == ["1", "5", "</s>", ""]
            assert file["source_lengths"].tolist() == [4, 3, 3, 3, 0]
            assert file["source_lengths"].dtype == np.int32
            check_manifest(json.loads(str(file["manifest"])), "npz", dtype)

    def test_hdf5(self, tmp_path, dtype):
        with h5py.File(export(tmp_path, "hdf5", dtype)) as file:
            for name in SPEC:
                assert file[name].dtype == dtype
                np.testing.assert_array_equal(file[name][:], padded(name).astype(dtype))
            assert file["sources"].asstr()[:].tolist() == ["12+3", "1 é", "x\t\n", "1 é", ""]
            assert json.loads(file["source_tokens"].asstr()[1]) == ["1", " ", "é"]
            assert json.loads(file["target_tokens"].asstr()[0]) == ["1", "5", "</s>"]
            assert file["target_lengths"][:].tolist() == [3, 4, 1, 4, 3]
            check_manifest(json.loads(file.attrs["manifest"]), "hdf5", dtype)
            assert file["manifest"].asstr()[()] == file.attrs["manifest"]

    def test_safetensors(self, tmp_path, dtype):
        path = export(tmp_path, "safetensors", dtype)
        arrays = safetensors.numpy.load_file(path)
        assert arrays.keys() == {*SPEC, "source_lengths", "target_lengths"}
        for name in SPEC:
            assert arrays[name].dtype == dtype
            np.testing.assert_array_equal(arrays[name], padded(name).astype(dtype))
        with safetensors.safe_open(path, "numpy") as file:
            metadata = file.metadata()
        assert json.loads(metadata["predictions"]) == ["15", "ü 1", "", "ü 1", "9␀"]
        assert json.loads(metadata["source_tokens"])[1] == ["1", " ", "é"]
        check_manifest(json.loads(metadata["manifest"]), "safetensors", dtype)


@pytest.mark.parametrize("format_name", ARRAY_FORMATS)
class TestReadingBack:
    def test_gives_what_was_written(self, tmp_path, format_name):
        file = read_states(export(tmp_path, format_name))
        whole = file.read()
        assert (file.rows, len(whole)) == (5, 5)
        assert whole.sources == ["12+3", "1 é", "x\t\n", "1 é", ""]
        assert whole.target_tokens[3] == ["ü", " ", "1", "</s>"]
        for name in SPEC:
            np.testing.assert_array_equal(whole.arrays[name], padded(name))
            np.testing.assert_array_equal(file.arrays[name], padded(name))

    def test_gives_some_rows(self, tmp_path, format_name):
        file = read_states(export(tmp_path, format_name))
        some = file.read(2, 4, ["encoder/0/forward/c"])
        assert some.sources == ["x\t\n", "1 é"]
        assert some.arrays.keys() == {"encoder/0/forward/c"}
        assert not file.read(2, 4, []).arrays
        np.testing.assert_array_equal(some.arrays["encoder/0/forward/c"], padded("encoder/0/forward/c")[2:4])

    def test_final_states_have_the_names_of_the_state_dictionary(self, tmp_path, format_name):
        file = read_states(export(tmp_path, format_name, "float16"))
        assert set(file.final) == {"encoder/0/forward/h", "encoder/0/forward/c", "decoder/0/forward/h"}
        final = file.final["decoder/0/forward/h"]
        assert final.dtype == np.float32
        np.testing.assert_array_equal(final, padded("decoder/0/forward/final/h").astype(np.float16))

    def test_no_examples(self, tmp_path, format_name):
        file = read_states(export(tmp_path, format_name, batches=[]))
        assert file.rows == len(file.read()) == 0
        assert file.arrays["encoder/0/forward/h"].shape == (0, 4, 3)


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

    def test_labels_are_a_line_an_example_with_a_header(self, tmp_path):
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
    def test_one_line_of_time(self, tmp_path):
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

    def test_one_side(self, tmp_path):
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

    def test_target_alone_of_several_widths(self, tmp_path):
        spec = {"decoder/0/forward/h": (5, 2), "decoder/1/forward/h": (5, 7)}
        batches = [batch_of(["1", "2"], ["1", "123"], spec=spec)]
        sentences, activations, manifest = self.load(export(tmp_path, "neurox", batches=batches, spec=spec))
        assert sentences == ["1 </s>", "1 2 3 </s>"]
        assert activations[1].shape == (4, 9)
        np.testing.assert_array_equal(activations[1][:, 2:], batches[0].arrays["decoder/1/forward/h"][1, :4])
        assert manifest["layers"] == [list(spec)]

    def test_a_sentence_that_looks_like_a_repeated_one(self, tmp_path):
        texts = [["a"], ["a (Occurrence 2)"], ["a"]]
        lengths = np.ones(3, np.int32)
        batch = StateBatch(["a"] * 3, ["b"] * 3, texts, texts, lengths, lengths, {"rnn/0/output": np.ones((3, 1, 2))})
        sentences, _, _ = self.load(export(tmp_path, "neurox", batches=[batch], spec={"rnn/0/output": (1, 2)}))
        assert sentences == ["a", "a␣(Occurrence␣2)", "a (Occurrence 2)"]


def test_every_format_holds_no_examples(tmp_path):
    for format_name in FORMATS:
        (tmp_path / format_name).mkdir()
        export(tmp_path / format_name, format_name, batches=[])


class TestBatchesThatDoNotFit:
    def test_padding_is_zero_even_where_the_model_left_garbage(self, tmp_path):
        path = export(tmp_path, "npz", batches=[batch_of(["1"], ["2"], garbage=np.inf)])
        assert not read_states(path).arrays["encoder/0/forward/h"][0, 1:].any()

    @pytest.mark.parametrize(("value", "dtype"), [(np.nan, "float32"), (np.inf, "float16"), (1e5, "float16")])
    def test_a_state_that_is_no_number_of_the_type_is_refused(self, tmp_path, value, dtype):
        batch = batch_of(["12"], ["3"])
        batch.arrays["encoder/0/forward/c"][0, 1, 2] = value
        with pytest.raises(RunFailedError, match="encoder/0/forward/c: a state is"):
            export(tmp_path, "npz", dtype, [batch])
        assert not list(tmp_path.iterdir())

    def test_arrays_not_in_the_spec_are_left_out(self, tmp_path):
        path = export(tmp_path, "hdf5", spec={"encoder/0/forward/h": (4, 3)})
        assert list(read_states(path).shapes) == ["encoder/0/forward/h"]

    def test_wrong_shapes_and_lengths_are_errors_of_the_caller(self, tmp_path):
        batch = batch_of(["12"], ["3"])
        with pytest.raises(ValueError, match="not of shape"):
            export(tmp_path, "npz", batches=[batch], spec={"encoder/0/forward/h": (9, 3)})
        batch.source_tokens[0].append("x")
        with pytest.raises(ValueError, match="source tokens"):
            export(tmp_path, "npz", batches=[batch])

    def test_a_tool_that_has_no_place_for_the_arrays(self, tmp_path):
        for format_name, name in (
            ("projector", "encoder/0/output"),
            ("lstmvis", "a/final/h"),
            ("neurox", "a/final/h"),
        ):
            with pytest.raises(InputError, match="none was chosen"):
                export(tmp_path, format_name, spec={name: (3,) if "final" in name else (4, 3)})
        with pytest.raises(InputError, match="no embedding"):
            export(tmp_path, "projector", embeddings=["encoder/0/output"])
        with pytest.raises(InputError, match="no states were chosen"):
            export(tmp_path, "npz", spec={})
        assert not list(tmp_path.iterdir())


def test_tensorboards_own_plugin_reads_the_projectors_files(tmp_path):
    plugin = pytest.importorskip("tensorboard.plugins.projector.projector_plugin")
    text_format = pytest.importorskip("google.protobuf.text_format")
    path = export(tmp_path, "projector")
    config = text_format.Parse((path / "projector_config.pbtxt").read_text(), plugin.ProjectorConfig())
    (embedding,) = config.embeddings
    tensor = plugin._read_tensor_tsv_file(str(path / embedding.tensor_path))
    assert list(tensor.shape) == list(embedding.tensor_shape)
    np.testing.assert_allclose(tensor, np.loadtxt(path / "tensors.tsv"), rtol=1e-6)
