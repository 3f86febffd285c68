"""The lock on a run directory."""

import json
import os
import subprocess
import sys

import pytest

from rnncli.errors import RunFailedError
from rnncli.runs.lock import locked


def test_lock_names_its_owner_and_is_removed(tmp_path):
    with locked(tmp_path) as warning:
        assert warning is None
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_second_lock_is_refused_with_the_owner(tmp_path):
    with locked(tmp_path), pytest.raises(RunFailedError, match=f"process {os.getpid()} ") as caught, locked(tmp_path):
        pass
    assert caught.value.hint


def test_lock_of_another_process_is_refused_until_it_ends(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom rnncli.runs.lock import locked\n"
        "with locked(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(RunFailedError, match=f"process {other.pid} "), locked(tmp_path):
            pass
        other.kill()
        other.wait()
    with locked(tmp_path) as warning:
        assert f"process {other.pid} " in warning


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"pid": {}}'])
def test_damaged_lock_file_that_nobody_holds_is_taken_over(tmp_path, text):
    (tmp_path / "lock").write_text(text)
    with locked(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()


def test_link_in_place_of_the_lock_file_is_not_followed(tmp_path):
    (tmp_path / "other").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/lock").symlink_to(tmp_path / "other")
    with pytest.raises(RunFailedError), locked(tmp_path / "run"):
        pass
    assert (tmp_path / "other").read_text() == "mine"


def test_missing_directory_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError), locked(tmp_path / "run"):
        pass
    assert not (tmp_path / "run").exists()
