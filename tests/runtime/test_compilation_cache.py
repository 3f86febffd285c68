"""The cache of compilations: whatever happens to it, TensorFlow sees sound entries, or none."""

import errno
import os
import stat
import time
from pathlib import Path

import pytest

from rnncli.errors import RnncliWarning
from rnncli.runtime import compilation_cache as module
from rnncli.runtime.compilation_cache import (
    is_cache_failure,
    open_cache,
    remove_damaged,
    store_directory,
    without_cache_flags,
)

VERSIONS = {"tensorflow": "1", "rnncli": "2"}
ENTRY = b"machine code" * 1000


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home whose folders of caches and of sessions are empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "memory").mkdir()
    monkeypatch.setattr(module, "SHARED_MEMORY", tmp_path / "memory")
    return tmp_path


@pytest.fixture
def store(home):
    """A store with three entries."""
    fill("a.pb", "b.pb", "c.pb")
    return store_directory(VERSIONS)


def fill(*names, data=ENTRY):
    """Let a process compile and end."""
    cache = open_cache(VERSIONS)
    for name in names:
        (cache.session / name).write_bytes(data)
    cache.close()


def seen():
    """Return the entries that a process sees that starts now."""
    cache = open_cache(VERSIONS)
    entries = {path.name: path.read_bytes() for path in cache.session.iterdir()}
    cache.close()
    return entries


def test_entries_of_one_process_are_seen_by_the_next(store):
    assert seen() == dict.fromkeys(("a.pb", "b.pb", "c.pb"), ENTRY)
    assert len(list(store.iterdir())) == 3


def test_all_folders_are_private(store, home):
    for folder in (store, store.parent, store.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    store.parent.parent.chmod(0o755)  # as version 0.1.0 made it
    store_directory(VERSIONS)
    assert stat.S_IMODE(store.parent.parent.stat().st_mode) == 0o700


def test_store_depends_on_versions_and_flags(home, monkeypatch):
    plain = store_directory(VERSIONS)
    assert plain == store_directory(dict(VERSIONS))
    assert plain != store_directory({**VERSIONS, "tensorflow": "2"})
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    assert plain != store_directory(VERSIONS)


DAMAGE = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "zeroed": lambda data: bytes(len(data)),
    "one bit flipped": lambda data: data[:100] + bytes([data[100] ^ 4]) + data[101:],
    "foreign content": lambda data: b"<html></html>",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("keep_time", [False, True])
def test_damaged_entry_is_removed_with_a_warning(store, damage, keep_time, monkeypatch):
    damaged = sorted(store.iterdir())[1]
    before = damaged.stat()
    damaged.write_bytes(DAMAGE[damage](ENTRY))
    if keep_time:
        monkeypatch.setattr(module, "MAX_RENAMED_NS", -1)  # a minute later
        os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.warns(RnncliWarning, match="1 damaged"):
        assert set(seen()) == {"a.pb", "c.pb"}
    assert not damaged.exists()
    assert set(seen()) == {"a.pb", "c.pb"}


def test_sound_entries_in_doubt_are_hashed_once(store, monkeypatch):
    for path in store.iterdir():
        os.utime(path, ns=(1, 1))
    assert len(seen()) == 3
    monkeypatch.setattr(module, "_digest", lambda path: pytest.fail("hashed again"))
    assert len(seen()) == 3


def test_what_is_no_entry_is_removed(store):
    (store / "rnncli__1__2.pb").write_bytes(ENTRY)  # as version 0.1.0 and TensorFlow write
    (store / "rnncli__1__2.pb_8_9.tmp").write_bytes(b"")
    (store / "folder").mkdir()
    (store / "link").symlink_to("/etc/passwd")
    with pytest.warns(RnncliWarning):
        assert len(seen()) == 3
    assert len(list(store.iterdir())) == 3


def test_temporaries_of_killed_processes_are_removed_later(store):
    left = module.temporary_path(store / "d.pb")
    left.write_bytes(b"half")
    seen()
    assert left.exists()
    os.utime(store, (0, 0))
    seen()
    assert not left.exists()


def test_store_that_others_can_write_is_not_used(store):
    store.chmod(0o777)
    with pytest.warns(RnncliWarning, match="others"):
        assert open_cache(VERSIONS) is None


def test_store_behind_a_link_is_not_used(store, home):
    store.rename(home / "elsewhere")
    store.symlink_to(home / "elsewhere")
    with pytest.warns(RnncliWarning, match="link"):
        assert open_cache(VERSIONS) is None


def test_store_of_another_owner_is_not_used(store, monkeypatch):
    monkeypatch.setattr(module.os, "getuid", lambda: store.stat().st_uid + 1)
    with pytest.warns(RnncliWarning):
        assert open_cache(VERSIONS) is None


def test_without_a_home_there_is_no_cache(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert open_cache(VERSIONS) is None


def test_home_that_is_a_file_is_a_warning(home, monkeypatch):
    (home / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "file"))
    with pytest.warns(RnncliWarning, match="not kept"):
        assert open_cache(VERSIONS) is None


def test_store_may_have_white_space_in_its_name(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "with space"))
    fill("a.pb")
    assert set(seen()) == {"a.pb"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_store_that_cannot_be_written_is_read_with_one_warning(store, number, monkeypatch):
    def fail(path, data):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(module, "write_synced", fail)
    cache = open_cache(VERSIONS)
    assert len(cache) == 3
    (cache.session / "d.pb").write_bytes(ENTRY)
    with pytest.warns(RnncliWarning, match=os.strerror(number)):
        cache.publish()
    cache.close()  # without another warning, which would be an error
    assert len(list(store.iterdir())) == 3


def test_oldest_entries_make_room(store, monkeypatch):
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    assert set(seen()) == {"b.pb", "c.pb"}
    assert len(list(store.iterdir())) == 2


def test_of_one_entry_published_twice_the_newer_is_kept(store):
    fill("a.pb")  # which replaces the link
    cache = open_cache(VERSIONS)
    (cache.session / "a.pb").unlink()
    (cache.session / "a.pb").write_bytes(b"new")
    cache.close()
    assert seen()["a.pb"] == b"new"
    assert len(list(store.iterdir())) == 3


def test_published_entries_leave_memory(home):
    cache = open_cache(VERSIONS)
    (cache.session / "a.pb").write_bytes(ENTRY)
    (cache.session / "a.pb_1_2.tmp").write_bytes(ENTRY)  # TensorFlow is writing it
    cache.publish()
    assert (cache.session / "a.pb").is_symlink()
    assert (cache.session / "a.pb").read_bytes() == ENTRY
    cache.close()
    assert not cache.session.exists()


def test_session_without_room_is_only_read(store, monkeypatch):
    monkeypatch.setattr(module, "MIN_ROOM", 2**60)
    cache = open_cache(VERSIONS)
    assert cache.read_only
    assert "read_only=true" in cache.flags
    assert len(cache) == 3
    cache.close()


def test_session_in_a_place_with_room(home, monkeypatch):
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(home))
    monkeypatch.setattr(module, "has_room", lambda path: path.parent == home)
    cache = open_cache(VERSIONS)
    assert cache.session.parent == home
    assert not cache.read_only
    assert not list((home / "memory").iterdir())
    cache.close()


def test_sessions_of_killed_processes_are_removed(home):
    base = home / "memory"
    killed, running = (base / f"rnncli-xla-{os.getuid()}-{name}" for name in ("killed", "running"))
    for path in (killed, running):
        path.mkdir()
        os.utime(path, (0, 0))
    held = module._hold(running)
    seen()
    os.close(held)
    assert {path.name for path in base.iterdir()} == {running.name}


class InternalError(Exception):
    """An error of TensorFlow's."""


InternalError.__module__ = "tensorflow.python.framework.errors_impl"


@pytest.mark.parametrize(
    "text",
    [
        "Serialized cache key does not match",
        "RET_CHECK failure (tensorflow/compiler/jit/device_executable_persistor.h:1)",
        "Read less bytes than requested",
        "Can't parse /somewhere as binary proto",
        "No space left on device [Op:__inference__run_1]",
        "/session/a.pb; No such file or directory",
    ],
)
def test_failures_of_the_cache_are_told_from_others(text):
    assert is_cache_failure(InternalError(text), Path("/session"))
    assert not is_cache_failure(ValueError(text), Path("/session"))
    assert not is_cache_failure(InternalError("matrices do not fit"), Path("/session"))


def test_recovery_empties_the_session_and_mends_the_store(store):
    cache = open_cache(VERSIONS)
    damaged = sorted(store.iterdir())[0]
    damaged.write_bytes(b"damaged while it runs")
    error = InternalError(f"{cache.session}/a.pb: Read less bytes than requested")
    with pytest.warns(RnncliWarning, match="Read less"):
        assert cache.recover(error, 0)
    assert len(cache) == 0
    assert not damaged.exists()
    assert cache.recover(error, 0), "another thread was told so already"
    cache.close()
    assert not cache.recover(InternalError("other"), 1)


def test_recovery_moves_to_a_place_with_room(store, home, monkeypatch):
    cache = open_cache(VERSIONS)
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(home))
    monkeypatch.setattr(module, "has_room", lambda path: home == path.resolve().parent)
    with pytest.warns(RnncliWarning):
        assert cache.recover(InternalError("No space left on device"), 0)
    assert cache.session.resolve().parent == home
    cache.close()
    assert not os.path.lexists(cache.session)


def test_the_same_failure_again_and_again_ends(store, monkeypatch):
    cache = open_cache(VERSIONS)
    with pytest.warns(RnncliWarning):
        tries = [cache.recover(InternalError("Input/output error"), number) for number in range(5)]
    assert tries == [True] * 3 + [False] * 2
    cache.close()


def test_remove_damaged_finds_what_no_time_tells(store):
    damaged = sorted(store.iterdir())[0]
    before = damaged.stat()
    damaged.write_bytes(bytes(len(ENTRY)))
    os.utime(damaged, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert remove_damaged(store) == 1


def test_flags_of_a_parent_process_are_left_out(home):
    cache = open_cache(VERSIONS)
    assert without_cache_flags(f"--tf_a=1 {cache.flags} --tf_b=2").split() == ["--tf_a=1", "--tf_b=2"]
    cache.close()


def test_opening_a_full_store_is_quick(home, monkeypatch):
    monkeypatch.setattr(module, "write_synced", lambda path, data: path.write_bytes(data))
    fill(*(f"{number}.pb" for number in range(300)))
    began = time.process_time()
    cache = open_cache(VERSIONS)
    assert time.process_time() - began < 0.25  # on any machine
    assert len(cache) == 300
    cache.close()
