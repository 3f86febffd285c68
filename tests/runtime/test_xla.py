"""The directory of the compilation cache: private, or none."""

import os
import stat

import pytest

from rnncli.runtime import xla as compilation

VERSIONS = {"tensorflow": "1", "rnncli": "2"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_cache_directory_is_private(home):
    directory = compilation.cache_directory(VERSIONS)
    assert directory.is_relative_to(home)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert str(directory) in compilation.cache_flags(directory)


def test_cache_directory_depends_on_versions(home):
    assert compilation.cache_directory(VERSIONS) == compilation.cache_directory(dict(VERSIONS))
    assert compilation.cache_directory(VERSIONS) != compilation.cache_directory({**VERSIONS, "tensorflow": "2"})


def test_cache_directory_depends_on_xla_flags(home, monkeypatch):
    plain = compilation.cache_directory(VERSIONS)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=true")
    assert compilation.cache_directory(VERSIONS) != plain


def test_default_flags_do_not_replace_flags_of_the_user():
    level, width = "--xla_backend_optimization_level=2", "--xla_cpu_prefer_vector_width=512"
    assert compilation.with_default_flags("") == f"{level} {width}"
    told = compilation.with_default_flags("--xla_dump_to=x")
    assert told == f"--xla_dump_to=x {level} {width}"
    assert compilation.with_default_flags(told) == told  # of a process within a process, lest its cache is another
    theirs = "--xla_backend_optimization_level=0"
    assert compilation.with_default_flags(theirs) == f"{theirs} {width}"
    assert compilation.with_default_flags("/etc/flags") == "/etc/flags", "a file that has the flags"


def test_cache_directory_that_others_can_write_is_not_used(home):
    compilation.cache_directory(VERSIONS).chmod(0o777)
    assert compilation.cache_directory(VERSIONS) is None


def test_cache_directory_behind_a_link_is_not_used(home):
    directory = compilation.cache_directory(VERSIONS)
    directory.rename(home / "elsewhere")
    directory.symlink_to(home / "elsewhere")
    assert compilation.cache_directory(VERSIONS) is None


@pytest.mark.parametrize("name", ["with space", "with'quote", "relative"])
def test_cache_directory_with_white_space_is_not_used(home, monkeypatch, name):
    monkeypatch.setenv("XDG_CACHE_HOME", name if name == "relative" else str(home / name))
    assert compilation.cache_directory(VERSIONS) is None


def test_cache_directory_is_none_where_it_cannot_be_made(home, monkeypatch):
    (home / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "file"))
    assert compilation.cache_directory(VERSIONS) is None


def test_cache_removes_its_oldest_files(home, monkeypatch):
    monkeypatch.setattr(compilation, "MAX_CACHE_FILES", 2)
    directory = compilation.cache_directory(VERSIONS)
    for age, name in ((30, "old"), (20, "newer"), (10, "newest")):
        (directory / name).write_text("")
        os.utime(directory / name, (1e9 - age, 1e9 - age))
    compilation.cache_directory(VERSIONS)
    assert {path.name for path in directory.iterdir()} == {"newer", "newest"}
