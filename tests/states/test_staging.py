"""Staging of exports: leftovers of killed ones are removed, running ones stay, and directories are exchanged."""

import os
import signal
from pathlib import Path

import pytest

from rnncli import files
from rnncli.errors import InputError
from rnncli.files import exchange
from rnncli.states import staging
from rnncli.states.staging import MANIFEST, OUTPUT, atomic_output

DESCRIPTION = '{"format": "x", "rnncli": "x", "arrays": {}}'


def export(path, text, overwrite=True):
    """Write an export of one file in a directory."""
    with atomic_output(path, True, overwrite) as output:
        (output / MANIFEST).write_text(DESCRIPTION)
        (output / "states").write_text(text)


def killed(call):
    """Run a function in a process that SIGKILL ends inside of it."""
    child = os.fork()
    if not child:
        try:
            call()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)


def test_leftovers_of_a_killed_export_are_removed_by_the_next_to_the_same_path(tmp_path):
    def be_killed():
        with atomic_output(tmp_path / "s.npz", False, False) as output:
            output.write_text("half")
            die()

    killed(be_killed)
    (leftover,) = tmp_path.iterdir()
    with atomic_output(tmp_path / "other.npz", False, False) as output:
        output.write_text("other")
    assert leftover.exists()
    with atomic_output(tmp_path / "s.npz", False, False) as output:
        assert not leftover.exists()
        output.write_text("whole")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"s.npz": "whole", "other.npz": "other"}


def test_export_that_is_being_written_is_no_leftover(tmp_path):
    with atomic_output(tmp_path / "s.npz", False, True) as first:
        first.write_text("first")
        with atomic_output(tmp_path / "s.npz", False, True) as second:
            second.write_text("second")
        assert first.read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["s.npz"]
    assert (tmp_path / "s.npz").read_text() == "first"


def test_folder_of_another_name_is_no_leftover(tmp_path):
    names = [".s.npz-backup", ".s.npz-0123456789abcde", ".s.npz.old-0123456789abcdef", "s.npz-0123456789abcdef"]
    for name in names:
        (tmp_path / name).mkdir()
    with atomic_output(tmp_path / "s.npz", False, False) as output:
        output.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "s.npz"])


@pytest.mark.parametrize("name", ["s" * 255, "状" * 85])
def test_name_may_be_as_long_as_the_file_system_allows(tmp_path, name):
    with atomic_output(tmp_path / name, False, False) as output:
        output.write_text("whole")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_directory_is_exchanged_in_one_step(tmp_path, monkeypatch):
    export(tmp_path / "s", "old")
    monkeypatch.setattr(Path, "rename", die)
    export(tmp_path / "s", "new")
    assert (tmp_path / "s" / "states").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_exchange_of_a_missing_path_changes_nothing(tmp_path):
    (tmp_path / "one").mkdir()
    assert not exchange(tmp_path / "one", tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_directory_killed_between_two_renames_is_put_back_by_the_next_export(tmp_path, monkeypatch):
    """A file system may have no exchange."""
    monkeypatch.setattr(staging, "exchange", lambda *_: False)
    export(tmp_path / "s", "old")
    rename = Path.rename

    def renaming(self, target):
        if self.name == OUTPUT:
            die()
        return rename(self, target)

    def be_killed():
        monkeypatch.setattr(Path, "rename", renaming)
        export(tmp_path / "s", "new")

    killed(be_killed)
    assert not (tmp_path / "s").exists()
    with pytest.raises(InputError):
        export(tmp_path / "s", "newer", overwrite=False)
    assert (tmp_path / "s" / "states").read_text() == "old"
    export(tmp_path / "s", "newer")
    assert (tmp_path / "s" / "states").read_text() == "newer"
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_temporary_names_are_told_apart():
    one, other = Path("a/s"), Path("a/s-0123456789abcdef")
    assert files.is_temporary_of(files.temporary_path(one), one)
    assert not files.is_temporary_of(files.temporary_path(other), one)
    assert not files.is_temporary_of(files.temporary_path(one), other)
