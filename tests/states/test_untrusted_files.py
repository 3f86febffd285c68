"""Files of states of strangers, and damaged ones: refused by name, and harmless."""

import contextlib
import io
import json
import zipfile

import h5py
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from small_states import ARRAYS, FINAL, IDENTITY, export, path_of

from rnncli.errors import InputError
from rnncli.states import writer
from rnncli.states.final_states import check_states, write_final_states
from rnncli.states.formats import readable_formats
from rnncli.states.reader import read_states

READ_BACK = readable_formats()


def refused(tmp_path, data, reason="."):
    path = tmp_path / "hostile"
    path.write_bytes(data)
    with pytest.raises(InputError, match=reason) as error:
        everything(path)
    assert str(path) in error.value.message
    assert error.value.message.isprintable()


def everything(path):
    """Read all that there is to be read."""
    file = read_states(path)
    for name in file.arrays:
        file.array(name)
    file.read()


def saved(tmp_path, format_name):
    return export(path_of(tmp_path, format_name), format_name).read_bytes()


def rewritten_npz(data, **changes):
    """The npz with members replaced by bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for member in old.namelist():
            new.writestr(member, changes.get(member, old.read(member)))
    return out.getvalue()


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


class TestHostileFiles:
    @pytest.mark.parametrize("data", [b"", b"PK", b"\x89HDF\r\n\x1a\n", b"not states", b"\0" * 64, b"\xff" * 64])
    def test_other_files_are_refused(self, tmp_path, data):
        refused(tmp_path, data)

    def test_missing_file_and_directory_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="cannot be read: No such file"):
            read_states(tmp_path / "nothing.npz")
        with pytest.raises(InputError, match="a directory"):
            read_states(tmp_path)

    def test_exports_for_other_tools_are_refused(self, tmp_path):
        refused(tmp_path, saved(tmp_path, "neurox"), "an export for another tool")

    def test_npz_without_manifest_is_refused(self, tmp_path):
        out = io.BytesIO()
        np.savez(out, a=np.zeros(3))
        refused(tmp_path, out.getvalue(), "no manifest")

    def test_pickled_array_is_refused(self, tmp_path):
        pickled = npy(np.array([{"a": 1}, None], dtype=object))
        refused(tmp_path, rewritten_npz(saved(tmp_path, "npz"), **{"sources.npy": pickled}), r"sources\.npy")

    def test_compressed_npz_is_refused(self, tmp_path):
        out = io.BytesIO()
        np.savez_compressed(out, a=np.zeros(1 << 20))
        refused(tmp_path, out.getvalue(), "compressed|more data")

    def test_npz_with_huge_declared_shape_is_refused(self, tmp_path):
        data = npy(np.zeros((2, 3, 2), np.float32)).replace(b"(2, 3, 2), }         ", b"(2000000000, 3, 2), }")
        refused(tmp_path, rewritten_npz(saved(tmp_path, "npz"), **{"encoder/0/forward/h.npy": data}), "its header")

    def test_npz_with_overlapping_members_is_refused(self, tmp_path):
        data = saved(tmp_path, "npz")
        refused(tmp_path, data.replace(b"predictions.npy", b"manifest.npy000"), ".")

    def test_hdf5_with_huge_declared_shape_is_refused(self, tmp_path):
        path = export(tmp_path / "a.h5")
        with h5py.File(path, "a") as file:
            file["encoder/0/forward/h"].resize(1 << 40, axis=0)
        refused(tmp_path, path.read_bytes(), "encoder/0/forward/h declares")

    def test_compressed_hdf5_is_refused(self, tmp_path):
        path = export(tmp_path / "a.h5")
        with h5py.File(path, "a") as file:
            del file["encoder/0/forward/h"]
            file.create_dataset("encoder/0/forward/h", (2, 3, 2), "f4", compression="gzip")
        refused(tmp_path, path.read_bytes(), "compressed")

    def test_hdf5_with_links_to_other_files_is_refused(self, tmp_path):
        other = export(tmp_path / "other.h5")
        path = export(tmp_path / "a.h5")
        with h5py.File(path, "a") as file:
            del file["encoder/0/forward/h"]
            file["encoder/0/forward/h"] = h5py.ExternalLink(str(other), "encoder/0/forward/h")
        refused(tmp_path, path.read_bytes(), "is a link")
        with h5py.File(path, "a") as file:
            del file["encoder/0/forward/h"]
            file.create_dataset("encoder/0/forward/h", (2, 3, 2), "f4", external=[("/etc/passwd", 0, 48)])
        refused(tmp_path, path.read_bytes(), "not an array in this file")

    def test_hdf5_with_variable_length_text_is_refused(self, tmp_path):
        path = export(tmp_path / "a.h5")
        with h5py.File(path, "a") as file:
            del file["sources"]
            file["sources"] = ["abc", "de"]
        refused(tmp_path, path.read_bytes(), "sources is not one text an example")

    def test_safetensors_without_manifest_is_refused(self, tmp_path):
        refused(tmp_path, safetensors.numpy.save({"a": np.zeros(3)}), "type F64|manifest")

    def test_safetensors_header_larger_than_the_file_is_refused(self, tmp_path):
        refused(tmp_path, (1 << 40).to_bytes(8, "little") + b"{}")

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    @pytest.mark.parametrize("format_name", READ_BACK)
    def test_values_that_are_not_finite_are_refused(self, tmp_path, format_name, value):
        name = "encoder/0/forward/final/h"
        path = export(path_of(tmp_path, format_name))
        data = path.read_bytes().replace(np.float32(0.5).tobytes(), np.float32(value).tobytes(), 1)
        if format_name == "npz":  # whose checksums are to be right
            data = rewritten_npz(path.read_bytes(), **{f"{name}.npy": npy(np.full((2, 2), value, np.float32))})
        if format_name == "hdf5":
            with h5py.File(path, "a") as file:
                file[name][1, 1] = value
            data = path.read_bytes()
        refused(tmp_path, data, f"{name} has values that are not finite")

    def test_messages_have_no_control_characters(self, tmp_path):
        metadata = {"manifest": json.dumps({"format": "safetensors", "examples": 1, "arrays": {}})}
        refused(tmp_path, safetensors.numpy.save({"a\x1b[2J\n/b": np.zeros((1, 1), np.float32)}, metadata), "array")
        write_final_states(tmp_path / "s", ARRAYS, {**IDENTITY, "cell": "\x1b[2J"})
        with pytest.raises(InputError) as error:
            check_states(read_states(tmp_path / "s"), FINAL, IDENTITY)
        assert error.value.message.isprintable()

    @pytest.mark.parametrize("format_name", READ_BACK)
    @pytest.mark.parametrize(
        "change",
        [{"arrays": {}}, {"examples": 3}, {"format": "neurox"}, {"arrays": None}, {"examples": 1e400}],
    )
    def test_manifest_that_does_not_match_is_refused(self, tmp_path, format_name, change, monkeypatch):
        format_manifest = writer.format_manifest
        changed = lambda *args, **more: json.dumps({**json.loads(format_manifest(*args, **more)), **change})  # noqa: E731
        monkeypatch.setattr(writer, "format_manifest", changed)
        refused(tmp_path, saved(tmp_path, format_name))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    files = {name: saved(folder, name) for name in READ_BACK}
    for name in READ_BACK:
        write_final_states(folder / name, ARRAYS, IDENTITY, name=name)
    return {**files, **{f"final {name}": (folder / name).read_bytes() for name in READ_BACK}}


class TestDamagedFiles:
    @pytest.mark.quick(*READ_BACK)
    @pytest.mark.parametrize("format_name", [*READ_BACK, *(f"final {name}" for name in READ_BACK)])
    @settings(
        max_examples=300,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(
        edits=st.lists(
            st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=9)), min_size=1, max_size=6
        ),
        keep=st.floats(0, 1) | st.just(1.0),
    )
    @example(edits=[(0.0, b"PK")], keep=1.0)
    def test_damaged_bytes_raise_only_input_errors(self, tmp_path, sound, format_name, edits, keep):
        data = bytearray(sound[format_name])
        for place, change in edits:
            start = int(place * len(data))
            data[start : start + len(change)] = change
        path = tmp_path / "mutated"
        path.write_bytes(data[: int(keep * len(data))])
        with contextlib.suppress(InputError):
            everything(path)

    @pytest.mark.parametrize("format_name", READ_BACK)
    def test_truncated_file_is_refused(self, tmp_path, sound, format_name):
        for part in range(1, 10):
            refused(tmp_path, sound[format_name][: -(len(sound[format_name]) * part // 10) - 1])
