"""Files of states: there whole or not at all, refused where they do not fit, harmless where they are hostile."""

import contextlib
import io
import json
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rnncli.errors import InputError, RunFailedError
from rnncli.states import (
    FORMATS,
    StateBatch,
    check_output,
    check_states,
    format_of,
    open_writer,
    read_states,
    write_final_states,
    writer,
)

SPEC = {"encoder/0/forward/h": (3, 2), "encoder/0/forward/final/h": (2,)}
ARRAYS = {"decoder/0/forward/h": np.array([[1.0, 2], [3, 4]]), "decoder/0/forward/c": np.array([[5.0, 6], [7, 8]])}
FINAL = dict.fromkeys(ARRAYS, (2,))
IDENTITY = {"cell": "lstm", "weights_digest": "a" * 64, "vocabulary_digest": "b" * 64}
ENDINGS = {"npz": ".npz", "hdf5": ".h5", "safetensors": ".safetensors", "neurox": ".hdf5"}
READ_BACK = ("npz", "hdf5", "safetensors")


def batch():
    lengths = np.array([3, 2], np.int32)
    arrays = {"encoder/0/forward/h": np.full((2, 3, 2), 0.25), "encoder/0/forward/final/h": np.full((2, 2), 0.5)}
    tokens = [["a", "b", "c"], ["d", "e"]]
    return StateBatch(["abc", "de"], ["x", "y"], tokens, tokens, lengths, lengths, arrays)


def export(path, format_name=None, stop=None, **options):
    with open_writer(path, format_name, IDENTITY, SPEC, **options) as states:
        states.write(batch())
        if stop:
            raise stop
    return path


def path_of(folder, format_name):
    return folder / f"states{ENDINGS.get(format_name, '')}"


def test_imports_neither_tensorflow_nor_h5py():
    code = "import sys, rnncli.states; sys.exit(bool({'tensorflow', 'keras', 'h5py'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestFormat:
    def test_is_told_by_the_ending(self):
        endings = {"a.npz": "npz", "a.h5": "hdf5", "b/a.HDF5": "hdf5", "a.safetensors": "safetensors"}
        assert {path: format_of(path) for path in endings} == endings
        assert format_of("a.hdf5", "neurox") == "neurox"

    def test_unknown_ones_are_refused_with_a_list(self):
        for wrong in (("a.csv", None), ("a.npz", "zip")):
            with pytest.raises(InputError) as error:
                format_of(*wrong)
            assert all(name in error.value.hint for name in FORMATS)

    def test_neurox_reads_only_its_ending(self, tmp_path):
        with pytest.raises(InputError, match="only names that end in"):
            check_output(tmp_path / "a.h5", "neurox")


@pytest.mark.parametrize("format_name", FORMATS)
class TestOutput:
    @pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError, OSError])
    def test_an_interrupted_one_leaves_nothing(self, tmp_path, format_name, stop):
        with pytest.raises(stop):
            export(path_of(tmp_path, format_name), format_name, stop=stop)
        assert not list(tmp_path.iterdir())

    def test_what_is_there_is_refused_at_once(self, tmp_path, format_name):
        path = export(path_of(tmp_path, format_name), format_name)
        with pytest.raises(InputError, match="exists already; nothing was written"):
            open_writer(path, format_name, IDENTITY, SPEC)
        assert list(tmp_path.iterdir()) == [path]

    def test_an_earlier_export_is_overwritten_if_wished(self, tmp_path, format_name):
        path = export(path_of(tmp_path, format_name), format_name)
        before = path.stat().st_ino
        export(path, format_name, overwrite=True)
        assert path.stat().st_ino != before
        assert list(tmp_path.iterdir()) == [path]

    def test_an_interrupted_one_leaves_the_earlier_export(self, tmp_path, format_name):
        path = export(path_of(tmp_path, format_name), format_name)
        before = path.stat().st_ino
        with pytest.raises(KeyboardInterrupt):
            export(path, format_name, overwrite=True, stop=KeyboardInterrupt)
        assert path.stat().st_ino == before
        assert list(tmp_path.iterdir()) == [path]

    def test_files_have_the_usual_mode(self, tmp_path, format_name):
        (tmp_path / "usual").touch()
        path = export(path_of(tmp_path, format_name), format_name)
        files = list(path.iterdir()) if path.is_dir() else [path]
        assert {file.stat().st_mode for file in files} == {(tmp_path / "usual").stat().st_mode}

    def test_a_full_disk_is_one_clear_line(self, tmp_path, format_name, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(RunFailedError, match="cannot be written: No space left"):
            export(path_of(tmp_path, format_name), format_name)
        assert not list(tmp_path.iterdir())


class TestPlace:
    def test_a_directory_that_is_no_export_is_never_overwritten(self, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.tex").touch()
        for format_name in ("projector", "npz"):
            with pytest.raises(InputError, match=r"not an export of states|exists and is"):
                export(tmp_path / "mine", format_name, overwrite=True)
        assert (tmp_path / "mine" / "thesis.tex").exists()

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(InputError, match="is not a directory"):
            export(tmp_path / "nowhere" / "a.npz")

    def test_equal_states_make_equal_files(self, tmp_path):
        for format_name in ("npz", "safetensors"):
            one, other = (export(tmp_path / f"{name}.{format_name}") for name in "ab")
            assert one.read_bytes() == other.read_bytes()


class TestFinalStates:
    def write(self, tmp_path, **changes):
        write_final_states(tmp_path / "s.safetensors", {**ARRAYS, **changes}, IDENTITY)
        return read_states(tmp_path / "s.safetensors")

    def test_come_back_exactly(self, tmp_path):
        file = self.write(tmp_path, **{"decoder/0/forward/h": np.asfortranarray([[1.1, 2], [3, 4]])})
        check_states(file, FINAL, IDENTITY, rows=2)
        np.testing.assert_array_equal(file.final["decoder/0/forward/h"], np.float32([[1.1, 2], [3, 4]]))
        assert file.manifest["examples"] == file.rows == 2
        with pytest.raises(InputError, match="final states alone"):
            file.read()

    def test_a_file_that_is_there_is_refused(self, tmp_path):
        self.write(tmp_path)
        with pytest.raises(InputError, match="exists already"):
            self.write(tmp_path)
        write_final_states(tmp_path / "s.safetensors", ARRAYS, IDENTITY, overwrite=True)

    def test_what_is_not_finite_is_not_written(self, tmp_path):
        with pytest.raises(RunFailedError, match="decoder/0/forward/h: a state is not"):
            self.write(tmp_path, **{"decoder/0/forward/h": np.array([[np.nan, 0], [0, 0]])})
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("spec", "identity", "rows", "reason"),
        [
            ({**FINAL, "decoder/1/forward/h": (2,)}, IDENTITY, None, "no state decoder/1/forward/h"),
            ({"decoder/0/forward/h": (2,)}, IDENTITY, None, "the model has no state decoder/0/forward/c"),
            ({**FINAL, "decoder/0/forward/c": (3,)}, IDENTITY, None, "forward/c has 2 units, the model's 3"),
            (FINAL, {**IDENTITY, "cell": "gru"}, None, "states of another cell: lstm, not gru"),
            (FINAL, {**IDENTITY, "weights_digest": "c" * 64}, None, "another weights digest: a{12}..., not c{12}..."),
            (FINAL, {**IDENTITY, "vocabulary_digest": "c" * 64}, None, "another vocabulary digest"),
            (FINAL, IDENTITY, 6, "2 rows of states for 6 rows of input"),
        ],
    )
    def test_what_does_not_fit_is_named(self, tmp_path, spec, identity, rows, reason):
        with pytest.raises(InputError, match=reason):
            check_states(self.write(tmp_path), spec, identity, rows=rows)

    def test_other_weights_may_be_allowed_but_nothing_else(self, tmp_path):
        file, other = self.write(tmp_path), dict.fromkeys(IDENTITY, "x")
        check_states(file, FINAL, {**IDENTITY, "weights_digest": "x"}, allow_other_weights=True)
        with pytest.raises(InputError, match="another cell"):
            check_states(file, FINAL, other, allow_other_weights=True)

    def test_a_file_that_does_not_say_is_refused(self, tmp_path):
        write_final_states(tmp_path / "s.safetensors", ARRAYS, {"cell": "lstm"})
        with pytest.raises(InputError, match="does not say of which weights digest"):
            check_states(read_states(tmp_path / "s.safetensors"), FINAL, IDENTITY)


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
    def test_other_files(self, tmp_path, data):
        refused(tmp_path, data)

    def test_missing_and_directory(self, tmp_path):
        with pytest.raises(InputError, match="cannot be read: No such file"):
            read_states(tmp_path / "nothing.npz")
        with pytest.raises(InputError, match="a directory"):
            read_states(tmp_path)

    def test_exports_for_other_tools(self, tmp_path):
        refused(tmp_path, saved(tmp_path, "neurox"), "an export for another tool")

    def test_npz_of_someone_else(self, tmp_path):
        out = io.BytesIO()
        np.savez(out, a=np.zeros(3))
        refused(tmp_path, out.getvalue(), "no manifest")

    def test_pickled_array(self, tmp_path):
        pickled = npy(np.array([{"a": 1}, None], dtype=object))
        refused(tmp_path, rewritten_npz(saved(tmp_path, "npz"), **{"sources.npy": pickled}), "not a plain array")

    def test_compressed_npz(self, tmp_path):
        out = io.BytesIO()
        np.savez_compressed(out, a=np.zeros(1 << 20))
        refused(tmp_path, out.getvalue(), "compressed|more than it holds")

    def test_npz_that_declares_a_huge_shape(self, tmp_path):
        data = npy(np.zeros((2, 3, 2), np.float32)).replace(b"(2, 3, 2), }         ", b"(2000000000, 3, 2), }")
        refused(tmp_path, rewritten_npz(saved(tmp_path, "npz"), **{"encoder/0/forward/h.npy": data}), "its header")

    def test_npz_of_two_entries_for_the_same_bytes(self, tmp_path):
        data = saved(tmp_path, "npz")
        refused(tmp_path, data.replace(b"predictions.npy", b"manifest.npy000"), ".")

    def test_hdf5_that_declares_a_huge_shape(self, tmp_path):
        path = export(tmp_path / "a.h5")
        with h5py.File(path, "a") as file:
            file["encoder/0/forward/h"].resize(1 << 40, axis=0)
        refused(tmp_path, path.read_bytes(), "declares more than the file holds")

    def test_compressed_hdf5(self, tmp_path):
        path = export(tmp_path / "a.h5")
        with h5py.File(path, "a") as file:
            del file["encoder/0/forward/h"]
            file.create_dataset("encoder/0/forward/h", (2, 3, 2), "f4", compression="gzip")
        refused(tmp_path, path.read_bytes(), "compressed")

    def test_hdf5_that_points_to_another_file(self, tmp_path):
        other = export(tmp_path / "other.h5")
        path = export(tmp_path / "a.h5")
        with h5py.File(path, "a") as file:
            del file["encoder/0/forward/h"]
            file["encoder/0/forward/h"] = h5py.ExternalLink(str(other), "encoder/0/forward/h")
        refused(tmp_path, path.read_bytes(), "is a link")
        with h5py.File(path, "a") as file:
            del file["encoder/0/forward/h"]
            file.create_dataset("encoder/0/forward/h", (2, 3, 2), "f4", external=[("/etc/passwd", 0, 48)])
        refused(tmp_path, path.read_bytes(), "no array of this file")

    def test_hdf5_with_text_in_a_heap_on_which_the_library_may_hang(self, tmp_path):
        path = export(tmp_path / "a.h5")
        with h5py.File(path, "a") as file:
            del file["sources"]
            file["sources"] = ["abc", "de"]
        refused(tmp_path, path.read_bytes(), "sources is not one text an example")

    def test_safetensors_of_someone_else(self, tmp_path):
        refused(tmp_path, safetensors.numpy.save({"a": np.zeros(3)}), "type F64|manifest")

    def test_safetensors_header_larger_than_the_file(self, tmp_path):
        refused(tmp_path, (1 << 40).to_bytes(8, "little") + b"{}")

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    @pytest.mark.parametrize("format_name", READ_BACK)
    def test_values_that_are_not_finite(self, tmp_path, format_name, value):
        name = "encoder/0/forward/final/h"
        path = export(path_of(tmp_path, format_name))
        data = path.read_bytes().replace(np.float32(0.5).tobytes(), np.float32(value).tobytes(), 1)
        if format_name == "npz":  # whose checksums are to be right
            data = rewritten_npz(path.read_bytes(), **{f"{name}.npy": npy(np.full((2, 2), value, np.float32))})
        if format_name == "hdf5":
            with h5py.File(path, "a") as file:
                file[name][1, 1] = value
            data = path.read_bytes()
        refused(tmp_path, data, f"{name} holds a value that is not a finite number")

    def test_messages_carry_nothing_for_the_terminal(self, tmp_path):
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
    def test_manifests_that_tell_of_something_else(self, tmp_path, format_name, change, monkeypatch):
        describe = writer.describe
        changed = lambda *args, **more: json.dumps({**json.loads(describe(*args, **more)), **change})  # noqa: E731
        monkeypatch.setattr(writer, "describe", changed)
        refused(tmp_path, saved(tmp_path, format_name))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    write_final_states(folder / "final", ARRAYS, IDENTITY)
    files = {name: saved(folder, name) for name in READ_BACK}
    return {**files, "final": (folder / "final").read_bytes()}


class TestDamagedFiles:
    @pytest.mark.parametrize("format_name", [*READ_BACK, "final"])
    @settings(
        max_examples=300,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        edits=st.lists(
            st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=9)), min_size=1, max_size=6
        ),
        keep=st.floats(0, 1) | st.just(1.0),
    )
    @example(edits=[(0.0, b"PK")], keep=1.0)
    def test_raise_only_input_errors(self, tmp_path, sound, format_name, edits, keep):
        data = bytearray(sound[format_name])
        for place, change in edits:
            start = int(place * len(data))
            data[start : start + len(change)] = change
        path = tmp_path / "mutated"
        path.write_bytes(data[: int(keep * len(data))])
        with contextlib.suppress(InputError):
            everything(path)

    @pytest.mark.parametrize("format_name", READ_BACK)
    def test_cut_short(self, tmp_path, sound, format_name):
        for part in range(1, 10):
            refused(tmp_path, sound[format_name][: -(len(sound[format_name]) * part // 10) - 1])
