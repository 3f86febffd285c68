"""Facts of runs, from files alone."""

import json
import math
import os
import shutil
import socket
from pathlib import Path

import pytest
from run_files import write_run
from small_run import one_checkpoint

from rnncli.runs.listing import describe_differences, describe_run, short_names
from rnncli.runs.lock import locked

OLD_RUNS = Path(__file__).parent / "version_0_1_0"


def test_a_recorded_run_has_all_facts(tmp_path):
    info = describe_run(write_run(tmp_path / "run", (0.1, 0.5, 0.3)))
    assert (info.state, info.epoch, info.epochs) == ("finished", 3, 3)
    assert (info.best_metric, info.best_value, info.best["epoch"]) == ("exact_match", 0.5, 2)
    assert info.intervals["exact_match"] == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert (info.config_name, info.seconds, info.sessions[0].host) == ("addition", 90.0, "here")


@pytest.mark.parametrize(
    ("name", "state", "epoch"),
    [
        ("addition-whole", "finished", 3),
        ("addition-interrupted", "stopped at step 5", 1),
        ("stateful-whole", "finished", 8),
    ],
)
def test_runs_of_0_1_0_are_shown_with_what_is_known(name, state, epoch):
    info = describe_run(OLD_RUNS / name)
    assert (info.state_text, info.epoch, info.intervals, info.seconds) == (state, epoch, {}, None)
    assert info.best_metric in info.best


def test_a_run_whose_process_was_killed_is_not_running(tmp_path):
    run = write_run(tmp_path / "run", state="running")
    assert describe_run(run).state == "killed"
    with locked(run):
        assert describe_run(run).state == "running"
    for left in ({"pid": os.getpid(), "host": socket.gethostname()}, {"pid": 1, "host": "elsewhere"}, {"pid": "x"}):
        (run / "lock").write_text(json.dumps(left))
        assert describe_run(run).state == "killed", "the lock decides: another process may have got the number"


def test_an_odd_manifest_is_no_matter(tmp_path):
    damaged = {"best": {"exact_match": None}, "sessions": [{"start": "0001-01-01T00:00:00", "seconds": math.nan}]}
    info = describe_run(write_run(tmp_path / "run", **damaged))
    assert (info.state, info.best_value, info.seconds, len(info.sessions)) == ("finished", 0.5, None, 0)


def test_a_failure_has_its_reason(tmp_path):
    info = describe_run(write_run(tmp_path / "run", state="failed", reason="the loss became nan"))
    assert (info.state, info.reason) == ("failed", "the loss became nan")


def test_the_best_checkpoint_decides_over_the_log(tmp_path):
    run = one_checkpoint(tmp_path / "run").path
    assert describe_run(run).best == {"exact_match": 0.5}


@pytest.mark.parametrize("file", ["config.yaml", "metrics.jsonl"])
def test_what_cannot_be_read_is_listed_as_such(tmp_path, file):
    run = write_run(tmp_path / "run")
    (run / file).write_text("[\n")
    info = describe_run(run)
    assert (info.state, file in info.reason) == ("unreadable", True)


def test_a_missing_manifest_is_no_matter(tmp_path):
    run = write_run(tmp_path / "run")
    (run / "manifest.json").unlink()
    assert describe_run(run).best_value == 0.5


def test_differences_are_among_runs_of_a_config(tmp_path):
    infos = [
        describe_run(write_run(tmp_path / "a", overrides=["training.seed=1", "runtime.cores=1"])),
        describe_run(write_run(tmp_path / "b", overrides=["model.encoder.units=64"])),
        describe_run(write_run(tmp_path / "c", overrides=["model.cell=gru"], config_path="other.yaml")),
    ]
    first, second, alone = describe_differences(infos)
    assert set(first.split()) == {"units=128", "seed=1"}
    assert set(second.split()) == {"units=64", "seed=0"}
    assert alone == ""


def test_short_names_are_unique():
    keys = ["model.encoder.units", "model.decoder.units", "training.seed"]
    assert short_names(keys) == {
        "model.encoder.units": "encoder.units",
        "model.decoder.units": "decoder.units",
        "training.seed": "seed",
    }


def test_links_are_not_followed(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(OLD_RUNS / "addition-whole", run)
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").symlink_to("/etc/passwd")
    assert describe_run(run).state == "unreadable"
