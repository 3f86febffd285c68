"""`rnncli devices`: what it finds, and what it says is missing; no GPU is needed."""

import json
import os
import re
from dataclasses import replace

import pytest
from click.testing import CliRunner

from rnncli.cli.commands.devices import as_text, layout_as_text, layout_of
from rnncli.cli.main import main
from rnncli.cluster.layout import Cluster
from rnncli.runtime import nvidia
from rnncli.runtime.nvidia import CUDA_LIBRARIES, Findings, missing

WHEELS = {"nvidia-cublas-cu12": "12.5.3.2", "nvidia-cudnn-cu12": "9.3.0.75"}
COMPLETE = Findings("linux", True, ("0000:01:00.0",), ("/dev/nvidia0",), "550.54.14", None, WHEELS, {})
"""All is there."""
BROKEN = {"libcudnn.so.9": "undefined symbol: x"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"platform": "darwin"}, "this is darwin"),
        ({"cards": (), "device_files": (), "driver": None}, "there is no NVIDIA GPU on this machine"),
        ({"device_files": (), "driver": None}, r"an NVIDIA GPU \(0000:01:00.0\), but no driver"),
        ({"cards": (), "device_files": ()}, "driver is there, but no GPU: there is no /dev/nvidia0"),
        (
            {"unloadable": {"libcuda.so.1": "no such file", **BROKEN}},
            "driver runs, but its library cannot be loaded: no such file; in a container",
        ),
        ({"hidden": "-1"}, "CUDA_VISIBLE_DEVICES='-1'; unset it"),
        ({"cuda_build": False}, r"built without CUDA.*tensorflow\[and-cuda\]"),
        (
            {"wheels": {}, "unloadable": dict.fromkeys(CUDA_LIBRARIES, "not found")},
            r"libcudart\.so\.12, .*libcudnn\.so\.9: .*pip install 'tensorflow\[and-cuda\]'",
        ),
        ({"unloadable": BROKEN}, r"cannot be loaded: libcudnn\.so\.9 \(undefined symbol: x\)"),
        ({}, "driver 550.54.14 .* may be too old"),
        ({"hidden": "", "device_files": (), "cards": (), "driver": None}, "there is no NVIDIA GPU"),
    ],
)
def test_the_first_thing_that_is_missing_is_said_in_plain_words(change, said):
    assert re.search(said, missing(replace(COMPLETE, **change)))


@pytest.mark.parametrize(
    ("visible", "hidden"), [(None, None), ("0,1", None), ("", ""), ("-1", "-1"), (" -1,0", " -1,0"), ("GPU-5f", None)]
)
def test_which_settings_of_cuda_visible_devices_hide_every_gpu(visible, hidden):
    assert nvidia.hidden(visible) == hidden


def test_cards_device_files_and_driver_are_found_by_their_files(tmp_path):
    for address, vendor, kind in (
        ("01", "0x10de", "0x030200"),
        ("02", "0x10de", "0x040300"),
        ("03", "0x1002", "0x03"),
    ):
        device = tmp_path / f"sys/bus/pci/devices/0000:{address}:00.0"
        device.mkdir(parents=True)
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "class").write_text(f"{kind}\n")
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "null"):
        (tmp_path / "dev" / name).touch()
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\nGCC version: 12\n"
    )
    found = nvidia.find(True, tmp_path)
    assert found.cards == ("0000:01:00.0",)
    assert [file.rpartition("/")[2] for file in found.device_files] == ["nvidia0", "nvidia1"]
    assert found.driver == "550.54.14"


def test_the_driver_tells_its_version_from_open_modules_too(tmp_path):
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build"
    (tmp_path / "proc/driver/nvidia/version").write_text(text)
    assert nvidia.driver_version(tmp_path) == "570.86.15"


def test_libraries_that_cannot_be_loaded_are_named_with_the_loaders_words():
    found = nvidia.unloadable(["libc.so.6", "libno-such-thing.so.1"])
    assert list(found) == ["libno-such-thing.so.1"]
    assert "cannot open shared object file" in found["libno-such-thing.so.1"]


def test_cudnn_tells_its_version_as_a_number():
    assert nvidia.cudnn_version(91002) == "9.10.2"


def test_a_processor_is_described_as_far_as_the_system_tells(runtime, tmp_path):
    from rnncli.devices import find_cpu

    (tmp_path / "intel").write_text("processor : 0\nmodel name : A B\nflags : fpu avx2 fma avx512f amx_bf16\n")
    (tmp_path / "arm").write_text("processor : 0\nFeatures : fp asimd sve\n")
    intel, arm, none = (find_cpu(tmp_path / name) for name in ("intel", "arm", "none"))
    assert (intel.model, intel.instruction_sets) == ("A B", ("avx2", "fma", "avx512f", "amx_bf16"))
    assert arm.instruction_sets == ("asimd", "sve")
    assert none.instruction_sets == ()
    assert none.model


@pytest.fixture(scope="module")
def found(runtime):
    from rnncli.devices import find_devices

    return find_devices()


def test_devices_says_what_auto_chooses_and_why(found, runtime):
    if runtime.on_gpu:
        pytest.skip("shows what is said where TensorFlow sees no GPU")
    result = CliRunner().invoke(main, ["devices"])
    assert result.exit_code == 0
    for text in ("CPU", "GPU", "driver", "cuDNN"):
        assert text in result.stdout
    assert "  lstm        fused    auto: the fastest on a CPU\n" in result.stdout
    one = "rnncli train: one process; --workers N starts N on this machine"
    assert result.stdout == f"{as_text(found)}\n\n{one}\n"


def test_devices_gives_the_same_as_json(found):
    shown = json.loads(CliRunner().invoke(main, ["devices", "--format", "json"]).stdout)
    assert [each["address"] for each in shown.pop("workers")] == ["127.0.0.1"]
    assert shown == json.loads(json.dumps(found.as_json()))
    assert found.as_json()["auto"]["lstm"].keys() == {"kernel", "reason"}


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="cores are divided on Linux only")
def test_devices_shows_the_workers_that_would_be_started_with_their_share_of_the_cores(found):
    cpu = replace(found.cpu, cores=len(os.sched_getaffinity(0)))
    layout = layout_of(None, 2, replace(found, cpu=cpu, gpus=()))
    share = max(1, cpu.cores // 2)
    assert layout[1] == {"address": "127.0.0.1", "device": f"{share} CPU core{'s' * (share > 1)}", "here": True}
    assert "\n  worker 1  127.0.0.1  " in layout_as_text(layout)


def test_devices_shows_workers_without_a_gpu_of_their_own(found):
    from rnncli.devices import Gpu

    layout = layout_of(None, 2, replace(found, gpus=(Gpu("H200", "9.0", None),)))
    assert layout[0]["device"] == "GPU 0"
    assert "--device cpu" in layout[1]["device"]


def test_devices_shows_which_worker_this_process_would_be(found):
    layout = layout_of(Cluster(("a:1", "b:2"), 1, "TF_CONFIG"), 1, found)
    assert [each["here"] for each in layout] == [False, True]
    assert layout_as_text(layout).endswith("\n  worker 1  b:2  this process")


def test_a_machine_with_a_gpu_whose_cudnn_fails_is_shown_with_the_error(found):
    from rnncli.devices import Gpu

    text = as_text(
        replace(
            found,
            gpus=(Gpu("NVIDIA H200", "9.0", 139 * 2**30), Gpu("another", None, None)),
            missing=None,
            driver="550.54.14",
            loaded={"CUDA": "12.5", "cuDNN": "9.3.0"},
            wheels=WHEELS,
            cudnn={"lstm": "InternalError: no", "gru": "works"},
        )
    )
    for line in (
        "GPU 0    NVIDIA H200, compute capability 9.0, 139 GiB",
        "GPU 1    another",
        "driver   550.54.14",
        "cuDNN    9.3.0 loaded; nvidia-cudnn-cu12 9.3.0.75 installed; TensorFlow was built for 9",
        "cuDNN test layer",
        "  lstm        InternalError: no",
        "  gru         works",
    ):
        assert line in text.splitlines()
