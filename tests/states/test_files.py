"""Files of states: there whole or not at all, and refused where they do not fit."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_states import ARRAYS, FINAL, IDENTITY, SPEC, export, path_of

from rnncli.errors import InputError, RunFailedError
from rnncli.states.export import check_output, open_writer
from rnncli.states.final_states import check_states, write_final_states
from rnncli.states.formats import FORMATS, final_state_formats, format_of, readable_formats
from rnncli.states.reader import read_states


def test_imports_neither_tensorflow_nor_h5py():
    code = "import sys, rnncli.states; sys.exit(bool({'tensorflow', 'keras', 'h5py'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class TestFormat:
    def test_follows_from_file_extension(self):
        endings = {"a.npz": "npz", "a.h5": "hdf5", "b/a.HDF5": "hdf5", "a.safetensors": "safetensors"}
        assert {path: format_of(path) for path in endings} == endings
        assert format_of("a.hdf5", "neurox") == "neurox"

    def test_unknown_format_is_refused_with_a_list(self):
        for wrong in (("a.csv", None), ("a.npz", "zip")):
            with pytest.raises(InputError) as error:
                format_of(*wrong)
            assert all(name in error.value.hint for name in FORMATS)

    def test_neurox_needs_its_file_extension(self, tmp_path):
        with pytest.raises(InputError, match=r"a\.h5"):
            check_output(tmp_path / "a.h5", "neurox")


@pytest.mark.parametrize("format_name", FORMATS)
class TestOutput:
    @pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError, OSError])
    def test_interrupted_export_leaves_nothing(self, tmp_path, format_name, stop):
        with pytest.raises(stop):
            export(path_of(tmp_path, format_name), format_name, stop=stop)
        assert not list(tmp_path.iterdir())

    def test_existing_path_is_refused_at_once(self, tmp_path, format_name):
        path = export(path_of(tmp_path, format_name), format_name)
        with pytest.raises(InputError, match=re.escape(str(path))):
            open_writer(path, format_name, IDENTITY, SPEC)
        assert list(tmp_path.iterdir()) == [path]

    def test_existing_export_is_replaced_with_overwrite(self, tmp_path, format_name):
        path = export(path_of(tmp_path, format_name), format_name)
        before = path.stat().st_ino
        export(path, format_name, overwrite=True)
        assert path.stat().st_ino != before
        assert list(tmp_path.iterdir()) == [path]

    def test_interrupted_export_leaves_the_existing_one(self, tmp_path, format_name):
        path = export(path_of(tmp_path, format_name), format_name)
        before = path.stat().st_ino
        with pytest.raises(KeyboardInterrupt):
            export(path, format_name, overwrite=True, stop=KeyboardInterrupt)
        assert path.stat().st_ino == before
        assert list(tmp_path.iterdir()) == [path]

    def test_file_mode_follows_umask(self, tmp_path, format_name):
        (tmp_path / "usual").touch()
        path = export(path_of(tmp_path, format_name), format_name)
        files = list(path.iterdir()) if path.is_dir() else [path]
        assert {file.stat().st_mode for file in files} == {(tmp_path / "usual").stat().st_mode}

    def test_full_disk_is_a_run_failed_error(self, tmp_path, format_name, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(RunFailedError, match="No space left"):
            export(path_of(tmp_path, format_name), format_name)
        assert not list(tmp_path.iterdir())


FULL = """
import resource, sys
from pathlib import Path
from rnncli.errors import RunFailedError
from small_states import export, path_of

for name in ("hdf5", "lstmvis", "neurox"):
    folder = Path(sys.argv[1], name)
    folder.mkdir()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    export(path_of(folder, name), name)
    size = max(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    for limit in range(0, size, size // 12):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            export(path_of(folder, name), name, overwrite=True)
        except RunFailedError as error:
            print(error.message)
    assert len(list(folder.iterdir())) == 1
"""


def lines_of(script, tmp_path):
    """Return what a script prints in a process of its own, which must end as usual."""
    places = os.pathsep.join(str(Path(__file__).parents[up] / name) for up, name in ((1, "support"), (2, "")))
    command = [sys.executable, "-c", script, tmp_path]
    environment = {**os.environ, "PYTHONPATH": places}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


def test_hdf5_that_is_full_anywhere_is_one_line_and_a_usual_exit(tmp_path):
    lines = lines_of(FULL, tmp_path)
    assert len(lines) >= 3 * 12
    assert all(line.endswith("cannot be written: File too large") for line in lines)


TEXT_IS_FULL = """
import resource, sys
from pathlib import Path
from rnncli.errors import RunFailedError
from rnncli.states import spool
from small_states import export

def close(self):
    raise OSError(28, "No space left on device")

spool.TextSpool.close = close
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    export(Path(sys.argv[1], "full.h5"), "hdf5")
except RunFailedError as error:
    print(error.message)
"""


def test_hdf5_is_closed_where_its_text_cannot_be(tmp_path):
    (line,) = lines_of(TEXT_IS_FULL, tmp_path)
    assert line.endswith(("cannot be written: File too large", "No space left on device"))


class TestPlace:
    def test_other_directory_is_never_overwritten(self, tmp_path):
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.tex").touch()
        for format_name in ("projector", "npz"):
            with pytest.raises(InputError, match="mine"):
                export(tmp_path / "mine", format_name, overwrite=True)
        assert (tmp_path / "mine" / "thesis.tex").exists()

    def test_missing_folder_is_refused(self, tmp_path):
        with pytest.raises(InputError, match="nowhere"):
            export(tmp_path / "nowhere" / "a.npz")

    def test_equal_states_make_equal_files(self, tmp_path):
        for format_name in ("npz", "safetensors"):
            one, other = (export(tmp_path / f"{name}.{format_name}") for name in "ab")
            assert one.read_bytes() == other.read_bytes()


class TestFinalStates:
    def write(self, tmp_path, **changes):
        write_final_states(tmp_path / "s.safetensors", {**ARRAYS, **changes}, IDENTITY)
        return read_states(tmp_path / "s.safetensors")

    @pytest.mark.parametrize("name", ["s.npz", "s.h5", "s.hdf5", "s.safetensors", "s"])
    def test_final_states_round_trip_exactly(self, tmp_path, name):
        states = {**ARRAYS, "decoder/0/forward/h": np.asfortranarray([[1.1, 2], [3, 4]])}
        write_final_states(tmp_path / name, states, IDENTITY)
        file = read_states(tmp_path / name)
        check_states(file, FINAL, IDENTITY, rows=2)
        np.testing.assert_array_equal(file.final["decoder/0/forward/h"], np.float32([[1.1, 2], [3, 4]]))
        assert file.manifest["examples"] == file.rows == 2
        with pytest.raises(InputError, match="final states"):
            file.read()

    def test_final_states_of_a_format_that_is_not_read_back_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="txt"):
            write_final_states(tmp_path / "s.txt", ARRAYS, IDENTITY)
        assert final_state_formats() == readable_formats()

    def test_existing_file_is_refused(self, tmp_path):
        self.write(tmp_path)
        with pytest.raises(InputError, match=r"s\.safetensors"):
            self.write(tmp_path)
        write_final_states(tmp_path / "s.safetensors", ARRAYS, IDENTITY, overwrite=True)

    def test_values_that_are_not_finite_are_not_written(self, tmp_path):
        with pytest.raises(RunFailedError, match="decoder/0/forward/h"):
            self.write(tmp_path, **{"decoder/0/forward/h": np.array([[np.nan, 0], [0, 0]])})
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("spec", "identity", "rows", "reason"),
        [
            ({**FINAL, "decoder/1/forward/h": (2,)}, IDENTITY, None, "decoder/1/forward/h is missing"),
            ({"decoder/0/forward/h": (2,)}, IDENTITY, None, "decoder/0/forward/c. is not known"),
            (
                {**FINAL, "decoder/0/forward/c": (3,)},
                IDENTITY,
                None,
                r"forward/c is float32 \[2, 2\], not float32 \[2, 3\]",
            ),
            (FINAL, {**IDENTITY, "cell": "gru"}, None, "states of another cell: lstm, not gru"),
            (FINAL, {**IDENTITY, "weights_digest": "c" * 64}, None, "another weights digest: a{12}..., not c{12}..."),
            (FINAL, {**IDENTITY, "vocabulary_digest": "c" * 64}, None, "another vocabulary digest"),
            (FINAL, IDENTITY, 6, "2 rows of states for 6 rows of input"),
        ],
    )
    def test_check_states_names_the_difference(self, tmp_path, spec, identity, rows, reason):
        with pytest.raises(InputError, match=reason):
            check_states(self.write(tmp_path), spec, identity, rows=rows)

    def test_check_states_may_allow_other_weights_only(self, tmp_path):
        file, other = self.write(tmp_path), dict.fromkeys(IDENTITY, "x")
        check_states(file, FINAL, {**IDENTITY, "weights_digest": "x"}, allow_other_weights=True)
        with pytest.raises(InputError, match="another cell"):
            check_states(file, FINAL, other, allow_other_weights=True)

    def test_check_states_refuses_missing_identity(self, tmp_path):
        write_final_states(tmp_path / "s.safetensors", ARRAYS, {"cell": "lstm"})
        with pytest.raises(InputError, match="weights digest"):
            check_states(read_states(tmp_path / "s.safetensors"), FINAL, IDENTITY)
