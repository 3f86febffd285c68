"""`rnncli bench`: its report, and the processes that it starts."""

import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rnncli.cli.main import main
from rnncli.config import parse_config
from rnncli.training import benchmark as bench
from rnncli.training import peak_flops as machine
from rnncli.training.benchmark_report import BenchmarkBaseline
from rnncli.training.inputs import TrainingInputs

pytestmark = pytest.mark.usefixtures("runtime")
TINY = """
task: {type: addition, digits: 2, examples: 400, held_out: 50}
model: {type: encoder_decoder, encoder: {units: 8}, decoder: {units: 8}}
training: {batch_size: 50}
runtime: {device: cpu}
"""


@pytest.fixture
def rnncli(tmp_path, monkeypatch):
    """Runs the command line in a directory that has a config, tiny.yaml; in this process without large products."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bench, "measure_peak_flops", lambda on_gpu, _: machine.measure_peak_flops(on_gpu, 0.0))
    Path("tiny.yaml").write_text(TINY)
    return lambda *arguments, **more: CliRunner().invoke(main, [str(a) for a in arguments], **more)


@pytest.mark.long
def test_json_report_compares_kernels_on_the_same_weights(rnncli):
    for name in ("json", "safetensors", "tensorflow", "rnncli"):  # which the processes of kernels must not import
        Path(f"{name}.py").write_text("raise SystemExit(99)")
    options = ["--compare", "generic,fused,cudnn", "--seconds", "0.2", "--format", "json"]
    result = rnncli("bench", "tiny.yaml", *options, "--set", "model={type: classifier, units: 8}")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    generic, fused, cudnn = report["kernels"]
    for row in (generic, fused):
        numbers = [value for value in row.values() if isinstance(value, float)]
        assert len(numbers) == 9
        assert all(math.isfinite(value) and value >= 0 for value in numbers)
        assert row["least_ms_per_step"] <= row["ms_per_step"]
        assert row["examples_per_second"] == pytest.approx(50e3 / row["ms_per_step"])
        assert 0 < row["share_of_peak"] < 1.5
        assert row["compilation_cache"] in ("warm", "cold", None)
        assert {layer["kernel"] for layer in row["layers"].values()} == {row["kernel"]}
    assert 0 < fused["logits_difference"] < 1e-4, "other kernels have other last bits"
    assert generic["times_the_first"] == 1
    assert cudnn["kernel"] == "cudnn"
    assert "cuDNN needs a GPU" in cudnn["refused"]
    assert report["flop_per_example"] > 0
    assert report["peak_gflop_per_second"] > 0


@pytest.mark.long
def test_all_batch_shapes_are_compiled_before_the_timing(rnncli, monkeypatch):
    first, call = [], bench.TrainStep.__call__

    def recorded(step, rows, done):
        if done == 0:
            first.append(step.bucket.numpy()[rows].max())
        return call(step, rows, done)

    monkeypatch.setattr(bench.TrainStep, "__call__", recorded)
    text = "".join(f"{'a' * n}\t{'b' * n}\n" for n in range(1, 61))
    Path("pairs.tsv").write_text(text)
    Path("pairs.yaml").write_text(
        TINY.replace(
            "addition, digits: 2, examples: 400, held_out: 50", "pairs, train: pairs.tsv, validation: pairs.tsv"
        )
    )
    result = rnncli(
        "bench", "pairs.yaml", "--seconds", "0.1", "--set", "training.buckets=3", "--set", "training.batch_size=6"
    )
    assert result.exit_code == 0, result.stderr
    assert sorted(first) == [0, 1, 2]


def test_table_of_one_kernel_shows_why_it_was_chosen(rnncli):
    result = rnncli("bench", "-", "--seconds", "0.1", input=TINY)
    assert result.exit_code == 0, result.stderr
    assert "350 examples, batch size 50" in result.stdout
    assert "logit diff" not in result.stdout, "there is nothing to compare with"
    assert result.stdout.count("fused kernel (auto") == 2


@pytest.mark.long
def test_logits_difference_is_small_between_kernels_and_large_between_weights(runtime):
    first = bench.Benchmark(TrainingInputs.read(parse_config(TINY, "c")), runtime).baseline()
    other = TrainingInputs.read(parse_config(TINY, "c", ["training.seed=1", "runtime.kernel=generic"]))
    started = bench.Benchmark(other, runtime).baseline(first)
    assert started.weights.keys() == first.weights.keys()
    np.testing.assert_allclose(started.logits, first.logits, atol=1e-5)
    moved = BenchmarkBaseline({name: array + 0.1 for name, array in first.weights.items()}, first.logits)
    timing, _ = bench.Benchmark(other, runtime).measure(0.1, quiet=True, first=moved)
    assert timing.logits_difference > 1e-3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--compare", "fussed"], "'fussed'"),
        (["--compare", ""], "''"),
        (["--compare", "cudnn"], "runtime.device"),
        (["--seconds", "0"], "--seconds"),
        (["--seconds", "nan"], "--seconds"),
        (["--set", "training.epocs=1"], "training.epochs?"),
        (["--set", "model.cell={type: custom, class: 'nowhere:Cell'}"], "nowhere"),
    ],
)
def test_invalid_options_are_refused(rnncli, options, said):
    result = rnncli("bench", "tiny.yaml", *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_only_kernel_cannot_run_on_this_machine(rnncli, runtime):
    if runtime.on_gpu:
        pytest.skip("shows a machine without a GPU")
    result = rnncli("bench", "tiny.yaml", "--device", "auto", "--set", "runtime.kernel=cudnn")
    assert result.exit_code == 2
    assert re.search(r"runtime\.kernel: cudnn .*runtime\.device: ", result.stderr)


@pytest.mark.long
def test_a_comparison_runs_no_python_file_of_the_current_directory(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    for name in ("multiprocessing", "json", "numpy", "tensorflow", "rnncli"):
        (tmp_path / f"{name}.py").write_text(f"open('ran-{name}', 'w')")
    options = ["--compare", "generic,fused", "--seconds", "0.1"]  # each kernel in a process of its own
    command = [sys.executable, "-P", "-m", "rnncli", "bench", "tiny.yaml", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("ran-*")) == []


def children(process):
    try:
        return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    except FileNotFoundError:
        return []


LARGE = "{task: {type: addition, digits: 3, examples: 50000, held_out: 9}, model: repeat_vector}"


@pytest.fixture
def comparison(tmp_path):
    """A comparison of kernels, whose data takes long to make, and the number of its first child process."""
    (tmp_path / "large.yaml").write_text(LARGE)
    command = [sys.executable, "-P", "-m", "rnncli", "bench", "large.yaml", "--compare", "fused,generic"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=tmp_path, start_new_session=True, **pipes)
    try:
        while not (started := children(process)):
            assert process.poll() is None
            time.sleep(0.005)
        yield process, started[0]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.parametrize("delay", [0, 0.5])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_comparison_leaves_no_process_and_no_traceback(comparison, delay, number, status):
    process, child = comparison
    time.sleep(delay)
    os.killpg(process.pid, number)  # as a terminal does it
    deadline = time.monotonic() + 20
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (status, "")
    assert len(err.split()) == 1
    while Path(f"/proc/{child}").exists():  # a child that had only just started ends when it finds no parent
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_comparison_leaves_no_process(comparison):
    process, _ = comparison
    time.sleep(0.5)
    process.kill()
    _, err = process.communicate(timeout=30)  # waits until no process has the pipe any more
    assert "Traceback" not in err


def test_kernel_that_is_killed_is_reported(comparison):
    process, child = comparison
    os.kill(int(child), signal.SIGKILL)
    while children(process) == [child]:
        time.sleep(0.005)
    while not (second := children(process)):
        time.sleep(0.005)
    os.kill(int(second[0]), signal.SIGKILL)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (1, "")
    assert "fused" in err
    assert f"signal {int(signal.SIGKILL)}" in err
