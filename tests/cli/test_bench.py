"""`rnncli bench`: what it prints."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rnncli.cli.main import main
from rnncli.config import parse_config
from rnncli.data.tasks import build_task
from rnncli.training import benchmark as bench
from rnncli.training import peak_flops as machine
from rnncli.training.benchmark_report import Start

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
    monkeypatch.setattr(bench, "machine_rate", lambda on_gpu: machine.machine_rate(on_gpu, 0.0))
    Path("tiny.yaml").write_text(TINY)
    return lambda *arguments, **more: CliRunner().invoke(main, [str(a) for a in arguments], **more)


def test_kernels_are_compared_on_the_same_weights_as_json(rnncli):
    options = ["--compare", "generic,fused,cudnn", "--seconds", "0.2", "--format", "json"]
    result = rnncli("bench", "tiny.yaml", *options)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
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


def test_every_shape_is_compiled_before_steps_are_timed(rnncli, monkeypatch):
    """What is compiled later would be counted as a slow step."""
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


def test_the_table_shows_one_kernel_and_why_it_ran(rnncli):
    result = rnncli("bench", "-", "--seconds", "0.1", input=TINY)
    assert result.exit_code == 0, result.stderr
    assert "350 examples, 50 a step in " in result.stdout
    assert "examples/s  ms a step" in result.stdout
    assert "logits off" not in result.stdout, "there is nothing to compare with"
    assert result.stdout.count("fused kernel (auto: on a CPU") == 2


def test_kernels_start_from_the_same_weights_and_others_would_be_seen(runtime):
    config = parse_config(TINY, "c")
    task = build_task(config)
    examples, _ = task.splits()
    first = bench.Bench(config, task.sizes, examples, runtime).start()
    other = parse_config(TINY, "c", ["training.seed=1", "runtime.kernel=generic"])
    started = bench.Bench(other, task.sizes, examples, runtime).start(first)
    assert started.weights.keys() == first.weights.keys()
    np.testing.assert_allclose(started.logits, first.logits, atol=1e-5)
    moved = Start({name: array + 0.1 for name, array in first.weights.items()}, first.logits)
    found, _ = bench.Bench(other, task.sizes, examples, runtime).measure(0.1, quiet=True, first=moved)
    assert found.logits_difference > 1e-3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--compare", "fussed"], "'fussed' is no kernel; there are generic, fused, cudnn, auto"),
        (["--compare", ""], "'' is no kernel"),
        (["--compare", "cudnn"], "cudnn is ruled out by runtime.device: cpu (cuDNN needs a GPU)"),
        (["--seconds", "0"], "not in the range"),
        (["--seconds", "nan"], "not in the range"),
        (["--set", "training.epocs=1"], "did you mean training.epochs?"),
    ],
)
def test_what_cannot_be_measured_is_refused(rnncli, options, said):
    result = rnncli("bench", "tiny.yaml", *options)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_the_only_kernel_cannot_run_on_this_machine(rnncli, runtime):
    if runtime.on_gpu:
        pytest.skip("shows a machine without a GPU")
    result = rnncli("bench", "tiny.yaml", "--device", "auto", "--set", "runtime.kernel=cudnn")
    assert result.exit_code == 2
    assert "runtime.kernel: cudnn is ruled out by runtime.device: cuDNN needs a GPU" in result.stderr


def test_the_machines_rate_is_the_best_of_several():
    assert 1e8 < machine.machine_rate(False, 0.0) < 1e14
