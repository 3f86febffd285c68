"""Files: places for temporary ones."""

import tempfile

import pytest

from rnncli.errors import RunFailedError
from rnncli.files import temporary_folder


def test_temporary_folder_without_a_place_is_an_error_with_what_to_set(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "missing")])
    with pytest.raises(RunFailedError, match="temporary files: cannot be written") as caught, temporary_folder("x-"):
        pass
    assert "TMPDIR" in caught.value.hint


def test_temporary_folder_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with temporary_folder("x-") as folder:
        (folder / "file").touch()
        assert list(tmp_path.iterdir()) == [folder]
    assert not list(tmp_path.iterdir())
