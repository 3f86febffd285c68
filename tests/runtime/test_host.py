"""Processor, cores and memory on Linux and macOS."""

import os
import platform
import resource
import subprocess
import sys
from types import SimpleNamespace

import pytest

from rnncli.runtime import host
from rnncli.runtime.xla import with_default_flags

SYSCTL = {"machdep.cpu.brand_string": "Apple M2\n", "hw.perflevel0.logicalcpu": "4\n"}


@pytest.fixture
def macos(monkeypatch, tmp_path):
    """This machine as macOS on Apple silicon shows it."""
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    monkeypatch.setattr(host.Path, "read_text", lambda _self, *_: (_ for _ in ()).throw(FileNotFoundError()))
    monkeypatch.setattr(subprocess, "run", lambda command, **_: SimpleNamespace(stdout=SYSCTL.get(command[-1], "")))


@pytest.mark.usefixtures("macos")
def test_macos_reports_its_processor_and_performance_cores():
    assert host.processor_name() == "Apple M2"
    assert host.processor_flags() == frozenset()
    assert host.available_cores() == 4


@pytest.mark.usefixtures("macos")
def test_macos_with_one_kind_of_core_reports_all_of_them(monkeypatch):
    monkeypatch.delitem(SYSCTL, "hw.perflevel0.logicalcpu")
    assert host.available_cores() == 8


def test_peak_memory_is_in_bytes_on_linux_and_macos(monkeypatch, request):
    on_linux = host.peak_memory_bytes()
    assert 20 * 2**20 < on_linux < 64 * 2**30
    request.getfixturevalue("macos")
    monkeypatch.setattr(resource, "getrusage", lambda _who: SimpleNamespace(ru_maxrss=123_456_789))
    assert host.peak_memory_bytes() == 123_456_789


@pytest.mark.parametrize(("machine", "asked"), [("x86_64", True), ("arm64", False), ("aarch64", False)])
def test_xla_is_asked_for_512_bit_vectors_on_x86_only(monkeypatch, machine, asked):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert ("xla_cpu_prefer_vector_width" in with_default_flags("")) == asked
