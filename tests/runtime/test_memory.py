"""Too little memory for TensorFlow: one line, before it is imported."""

import contextlib
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from rnncli.errors import RunFailedError
from rnncli.runtime import memory

ROOT = Path(__file__).parents[2]
GIB = 2**30


@pytest.mark.parametrize(
    ("limited", "size", "option"),
    [
        ("RLIMIT_AS", 2 * GIB, "-v"),
        ("RLIMIT_AS", GIB // 32, "-v"),
        ("RLIMIT_DATA", GIB // 3, "-d"),
        ("RLIMIT_DATA", GIB // 16, "-d"),
    ],
)
def test_too_small_a_limit_is_one_line_and_exit_status_1(limited, size, option):
    def limit():
        resource.setrlimit(getattr(resource, limited), (size, size))

    command = [sys.executable, "-m", "rnncli", "summary", "addition"]
    ended = subprocess.run(command, cwd=ROOT, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    error, hint = ended.stderr.splitlines()
    assert error.startswith("error: too little memory: ")
    assert f"ulimit {option}" in hint
    assert limited in hint


def test_enough_memory_is_no_error(monkeypatch):
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (64 * GIB, 64 * GIB))
    memory.require_memory()


@pytest.mark.parametrize(("free", "refused"), [(100_000, True), (8_000_000, False)])
def test_available_memory_counts_with_swap(tmp_path, monkeypatch, free, refused):
    (tmp_path / "meminfo").write_text(f"MemTotal: 9000000 kB\nMemAvailable: {free - 50_000} kB\nSwapFree: 50000 kB\n")
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "meminfo")
    if refused:
        with pytest.raises(RunFailedError):
            memory.require_memory()
    else:
        memory.require_memory()


def test_unknown_memory_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "MEMINFO", tmp_path / "none")
    monkeypatch.setattr(memory, "TASK_MEMORY", tmp_path / "none")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "none")
    memory.require_memory()


@pytest.mark.parametrize(
    ("groups", "file", "limit", "refused"),
    [
        ("0::/job\n", "job/memory.max", "300000000", True),
        ("0::/slice/job\n", "slice/memory.max", "300000000", True),
        ("0::/of/the/host\n", "memory.max", "300000000", True),
        ("3:cpu:/x\n5:memory:/job\n", "memory/job/memory.limit_in_bytes", "300000000", True),
        ("0::/job\n", "job/memory.max", "8000000000", False),
        ("0::/job\n", "job/memory.max", "max", False),
        ("nonsense", "memory.max", "300000000", False),
    ],
)
def test_a_small_container_is_refused(tmp_path, monkeypatch, groups, file, limit, refused):
    (tmp_path / "cgroup").write_text(groups)
    path = tmp_path / "root" / file
    path.parent.mkdir(parents=True)
    path.write_text(limit + "\n")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "CGROUP_ROOT", tmp_path / "root")
    with pytest.raises(RunFailedError) if refused else contextlib.nullcontext():
        memory.require_memory()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        ImportError("libtensorflow_cc.so.2: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_import_that_fails_for_memory_is_explained(error):
    with pytest.raises(RunFailedError), memory.explain_import_errors():
        raise error


def test_import_that_fails_for_other_reasons_stays_as_it_is():
    with pytest.raises(ImportError), memory.explain_import_errors():
        raise ImportError("no module named x")
