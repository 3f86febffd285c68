"""Runs that version 0.1.0 made: they load, predict, evaluate and resume as it did.

The runs in `version_0_1_0/` are tiny: each was trained to the end, and once more with an interruption. Bits depend on
the processor, so numbers are compared to rounding.
"""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnncli.cli.main import main

RUNS = Path(__file__).parent / "version_0_1_0"
NAMES = ["addition", "pairs_attention", "stateful", "custom_cell"]
ROUNDING = {"rel": 1e-4, "abs": 1e-5}

pytestmark = pytest.mark.usefixtures("runtime")


def rnncli(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    return result.stdout


def trust(name):
    return ["--trust-code"] if name == "custom_cell" else []


def start(name):
    """The states that version 0.1.0 predicted and measured a stateful model from."""
    return ["--state-in", "carried"] if name == "stateful" else []


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def expected(name):
    return json.loads((RUNS / f"{name}.json").read_text())


@pytest.fixture
def run(name, tmp_path, monkeypatch):
    """A copy of the runs beside their data, in the current directory."""
    shutil.copy(RUNS / "pairs.tsv", tmp_path)
    for end in ("whole", "interrupted"):
        shutil.copytree(RUNS / f"{name}-{end}", tmp_path / end)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def assert_close(found, expected):
    """Compare nested JSON: numbers to rounding, everything else exactly."""
    if isinstance(expected, float):
        assert found == pytest.approx(expected, **ROUNDING)
    elif isinstance(expected, dict):
        assert found.keys() >= expected.keys()
        for key, value in expected.items():
            assert_close(found[key], value)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_close(one, other)
    else:
        assert found == expected


def test_whole_runs_are_sound(name, run):
    rnncli("verify", "whole", *trust(name))


@pytest.mark.xla
def test_whole_runs_predict_the_same(name, run, expected):
    for prediction in expected.get("predictions", []):
        assert prediction["prediction"] is not None
    if sources := [prediction["source"] for prediction in expected.get("predictions", [])]:
        lines = rnncli("predict", "whole", *sources, "--format", "jsonl", *start(name), *trust(name)).splitlines()
        assert_close([json.loads(line) for line in lines], expected["predictions"])


def test_whole_runs_are_evaluated_the_same(name, run, expected):
    found = json.loads(rnncli("evaluate", "whole", "--format", "json", *start(name), *trust(name)))
    before = {name: value for name, value in expected["evaluate"].items() if not name.endswith("_interval")}
    assert_close({name: found[name] for name in before}, before)  # intervals of shares are Wilson's now


@pytest.mark.parametrize(
    "name", ["addition", *(pytest.param(n, marks=pytest.mark.long) for n in NAMES[1:])], indirect=True
)
def test_interrupted_runs_resume_to_the_metrics_of_uninterrupted_ones(name, run, expected):
    rnncli("train", "--resume", "interrupted", "--quiet", *trust(name))
    found = [json.loads(line) for line in Path("interrupted/metrics.jsonl").read_text().splitlines()]
    assert [epoch["step"] for epoch in found] == [epoch["step"] for epoch in expected["metrics"]]
    keys = ["loss", "learning_rate"]
    if not start(name):  # a stateful model is measured from other states now
        keys += ["symbol_accuracy", "exact_match"]
    for key in keys:
        assert_close([epoch[key] for epoch in found], [epoch[key] for epoch in expected["metrics"]])
