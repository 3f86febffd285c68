"""Formats for libraries, each read by its own and read back; what no format takes."""

import json

import h5py
import numpy as np
import pytest
import safetensors
import safetensors.numpy
from state_batches import SPEC, batch_of, check_manifest, export, padded

from rnncli.errors import InputError, RunFailedError
from rnncli.states.formats import FORMATS
from rnncli.states.reader import read_states

ARRAY_FORMATS = ("npz", "hdf5", "safetensors")


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
    def test_read_returns_what_was_written(self, tmp_path, format_name):
        file = read_states(export(tmp_path, format_name))
        whole = file.read()
        assert (file.rows, len(whole)) == (5, 5)
        assert whole.sources == ["12+3", "1 é", "x\t\n", "1 é", ""]
        assert whole.target_tokens[3] == ["ü", " ", "1", "</s>"]
        for name in SPEC:
            np.testing.assert_array_equal(whole.arrays[name], padded(name))
            np.testing.assert_array_equal(file.arrays[name], padded(name))

    def test_read_returns_selected_rows(self, tmp_path, format_name):
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

    def test_read_of_no_examples(self, tmp_path, format_name):
        file = read_states(export(tmp_path, format_name, batches=[]))
        assert file.rows == len(file.read()) == 0
        assert file.arrays["encoder/0/forward/h"].shape == (0, 4, 3)


def test_every_format_can_be_empty(tmp_path):
    for format_name in FORMATS:
        (tmp_path / format_name).mkdir()
        export(tmp_path / format_name, format_name, batches=[])


class TestBatchesThatDoNotFit:
    def test_padding_is_set_to_zero(self, tmp_path):
        path = export(tmp_path, "npz", batches=[batch_of(["1"], ["2"], garbage=np.inf)])
        assert not read_states(path).arrays["encoder/0/forward/h"][0, 1:].any()

    @pytest.mark.parametrize(("value", "dtype"), [(np.nan, "float32"), (np.inf, "float16"), (1e5, "float16")])
    def test_state_that_overflows_the_type_is_refused(self, tmp_path, value, dtype):
        batch = batch_of(["12"], ["3"])
        batch.arrays["encoder/0/forward/c"][0, 1, 2] = value
        with pytest.raises(RunFailedError, match="encoder/0/forward/c"):
            export(tmp_path, "npz", dtype, [batch])
        assert not list(tmp_path.iterdir())

    def test_arrays_outside_the_spec_are_dropped(self, tmp_path):
        path = export(tmp_path, "hdf5", spec={"encoder/0/forward/h": (4, 3)})
        assert list(read_states(path).shapes) == ["encoder/0/forward/h"]

    def test_wrong_shapes_and_lengths_are_value_errors(self, tmp_path):
        batch = batch_of(["12"], ["3"])
        with pytest.raises(ValueError, match="encoder/0/forward/h"):
            export(tmp_path, "npz", batches=[batch], spec={"encoder/0/forward/h": (9, 3)})
        batch.source_tokens[0].append("x")
        with pytest.raises(ValueError, match="source tokens"):
            export(tmp_path, "npz", batches=[batch])

    def test_format_without_any_selected_array_is_refused(self, tmp_path):
        for format_name, name in (
            ("projector", "encoder/0/output"),
            ("lstmvis", "a/final/h"),
            ("neurox", "a/final/h"),
        ):
            with pytest.raises(InputError, match="none was selected"):
                export(tmp_path, format_name, spec={name: (3,) if "final" in name else (4, 3)})
        with pytest.raises(InputError, match="no embedding"):
            export(tmp_path, "projector", embeddings=["encoder/0/output"])
        with pytest.raises(InputError, match="no states were chosen"):
            export(tmp_path, "npz", spec={})
        assert not list(tmp_path.iterdir())
