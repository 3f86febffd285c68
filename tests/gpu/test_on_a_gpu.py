"""Tests that need a GPU; `report.py` shows it as a table. Skipped elsewhere, without importing TensorFlow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnncli.runtime import nvidia

NAMES = (
    "a tiny cuDNN layer, lstm",
    "a tiny cuDNN layer, gru",
    "cuDNN in the graph, lstm",
    "cuDNN in the graph, gru",
    "cuDNN in the graph, simple_rnn",
    "cuDNN over the faster generic",
    "PyTorch's step in float32",
    "PyTorch's step in tensorfloat32",
    "the run was trained on",
    "same answers on the CPU",
    "largest difference of a score",
    "largest difference of an exported state",
)


@pytest.fixture(scope="session")
def report():
    """All checks, run once in a process of its own, where XLA compiles as it does for users."""
    found = nvidia.find(cuda_build=True)
    if not found.device_files:
        pytest.skip(f"needs a GPU: {nvidia.missing(found)}")
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    script = Path(__file__).with_name("report.py")
    result = subprocess.run(
        [sys.executable, script, "--json"], capture_output=True, text=True, check=False, env=environment
    )
    if "TensorFlow sees no GPU" in result.stderr:
        pytest.skip(f"needs a GPU: {result.stderr.strip()}")
    assert result.stdout, result.stderr
    return {check["name"]: check for check in json.loads(result.stdout.splitlines()[-1])}


@pytest.mark.parametrize("name", NAMES)
def test_on_a_gpu(report, name):
    check = report[name]
    if check["passed"] is None:
        pytest.skip(f"{name}: {check['found']}")
    assert check["passed"], f"{name}: {check['found']}; wanted {check['wanted']}"
