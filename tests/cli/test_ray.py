"""`--engine ray` of `train` and `sweep`: what is refused before Ray is imported, and the commands of the workers."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnncli import engines
from rnncli.cli.commands import train
from rnncli.cli.main import main
from rnncli.cluster.layout import ALONE
from rnncli.config import load_config

CONFIG = "task: {type: addition, digits: 1, examples: 50, held_out: 10}\nmodel: encoder_decoder\n"
RAY = ("--engine", "ray")


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    Path("config.yaml").write_text(CONFIG)


def run(*arguments, **environment):
    result = CliRunner().invoke(main, list(arguments), env=environment)
    assert sorted(path.name for path in Path().iterdir()) == ["config.yaml"], "nothing was written"
    return result.exit_code, result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train", "config.yaml", "--restarts", "2"], "--restarts needs --engine ray"),
        (["train", "config.yaml", "--ray-address", "auto"], "--ray-address needs --engine ray"),
        (["sweep", "config.yaml", "--ray-address", "auto"], "--ray-address needs --engine ray"),
        (["sweep", "show", "config.yaml", *RAY], "show takes the directory of a sweep"),
        (["train", "config.yaml", *RAY, "--workers", "slurm"], "--workers slurm and --engine ray exclude each other"),
        (["train", "-", *RAY], "-: several workers cannot read the config from standard input"),
        (["train", "config.yaml", *RAY, "--ray-address", "head"], "--ray-address head: must be HOST:PORT"),
        (["sweep", "config.yaml", *RAY, "--ray-address", "head"], "--ray-address head: must be HOST:PORT"),
        (["train", "config.yaml", *RAY, "--set", "model.cell=gur"], "did you mean gru?"),
        (["train", "--resume", "nothing", *RAY], "nothing: no such run"),
        (["train", "config.yaml", "--engine", "rey"], "did you mean ray?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_options_are_refused(arguments, expected):
    status, error = run(*arguments)
    assert status == 2
    assert expected in error
    assert "ray.train" not in sys.modules


def test_addresses_of_others_are_refused():
    status, error = run("train", "config.yaml", *RAY, TF_CONFIG=json.dumps({"cluster": {}}))
    assert (status, error.splitlines()[0]) == (
        2,
        "error: --engine ray: TF_CONFIG is set, and Ray names the workers itself",
    )


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_missing_package_is_named_with_the_command_that_installs_it(command, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name == "ray" else found(name))
    status, error = run(command, "config.yaml", *RAY)
    assert status == 2
    assert error.splitlines()[0] == "error: --engine ray: the package ray is not installed"
    assert "-m pip install 'rnncli[ray]'" in error.splitlines()[1]


def request(**given):
    defaults = {"config_path": "config.yaml", "overrides": (), "run_dir": None, "resume": None, "init_from": None}
    defaults |= {"allow_changed_data": False, "seed": None, "workers": "2", "start_timeout": 300.0, "engine": "ray"}
    defaults |= {"ray_address": None, "restarts": None, "trust_code": False, "device": None, "quiet": False}
    return train.Request(cluster=ALONE, **{**defaults, **given})


WORKERS = ("--workers", "2", "--start-timeout", "300")


def test_workers_begin_a_new_run_and_resume_it_after_a_failure():
    order = request(overrides=("model.cell=gru",), seed=3, quiet=True).order(
        Path("r"), load_config("config.yaml"), False
    )
    sets = ["model.cell=gru", "training.seed=3", "runtime.workers=2", "runtime.cores=1"]
    keys = [part for each in sets for part in ("--set", each)]
    assert order.begin == (*keys, "config.yaml", "--run-dir", "r", *WORKERS, "--quiet")
    assert order.resume == ("--resume", "r", *WORKERS, "--quiet")
    assert order.place == Path.cwd() / "r"


def test_workers_resume_a_run_with_what_is_given_now():
    given = {"resume": Path("r"), "config_path": None, "allow_changed_data": True, "trust_code": True}
    order = request(**given).order(Path("r"), load_config("config.yaml", ["runtime.cores=4"]), gpu=False)
    expected = ("--set", "runtime.workers=2", "--resume", "r", "--trust-code", "--allow-changed-data", *WORKERS)
    assert order.begin == order.resume == expected


def test_code_of_a_config_is_trusted_as_its_own_run_is_resumed():
    Path("gate.py").write_text("class Gate:\n    pass\n")
    config = load_config("config.yaml", ["model.cell={type: custom, class: 'gate:Gate'}"])
    order = request().order(Path("r"), config, gpu=True)
    assert order.resume == ("--resume", "r", "--trust-code", *WORKERS)
    assert "--trust-code" not in order.begin
    assert not any("runtime.cores" in each for each in order.begin)
