"""Training on several workers, each a process, that find each other in TF_CONFIG."""

import json
import re
import shutil

import interrupted_training as interrupted
import numpy as np
import pytest

from rnncli.runs.checkpoints import Checkpoints

pytestmark = pytest.mark.long  # processes that import TensorFlow


@pytest.fixture(scope="module")
def server():
    server = interrupted.Server(compiled=False)
    yield server
    server.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workers")
    interrupted.write_config(folder, "stateful")
    return folder


@pytest.fixture(scope="module")
def whole(server, folder):
    """Return the run of two workers, and how they have ended."""
    ended = server.workers(folder, 2, "train", "config.yaml", "--run-dir", "whole", "--quiet")
    return folder / "whole", *ended


@pytest.fixture(scope="module")
def stopped(server, folder, whole):
    """A run of which the second worker was told to stop."""
    ended = server.workers(
        folder, 2, "train", "config.yaml", "--run-dir", "stopped", victim=1, signal="SIGTERM", step=9
    )
    return folder / "stopped", *ended


def losses(run):
    return [line["loss"] for line in interrupted.metrics(run)]


def test_the_first_of_two_workers_writes_the_run_and_prints_its_path(whole, folder):
    run, statuses, errors = whole
    assert (statuses, errors) == ([0, 0], ["", ""])
    assert [(folder / f"stdout{index}").read_text() for index in range(2)] == ["whole\n", ""]
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["workers"], manifest["parts"], manifest["state"]) == (2, 1, "finished")


@pytest.mark.slow
def test_two_workers_learn_what_one_process_learns_in_two_shards(whole, server, folder):
    status, error = server(folder, "train", "config.yaml", "--run-dir", "one", "--set", "runtime.cores=2", "--quiet")
    assert (status, error) == (0, "")
    for mine, its in zip(interrupted.metrics(whole[0]), interrupted.metrics(folder / "one"), strict=True):
        assert mine.keys() == its.keys()
        np.testing.assert_allclose(list(mine.values()), list(its.values()), rtol=1e-5)


def test_a_signal_to_one_worker_stops_both_after_the_same_step_with_a_checkpoint(stopped):
    run, statuses, errors = stopped
    assert statuses == [143, 143]
    assert re.search(r"^stopped at step 9 of \d+; resume with: rnncli train --resume stopped$", errors[0], re.M)
    assert errors[1] == ""
    assert interrupted.resumed(run).state.step == 9


def test_resumed_workers_end_with_the_same_bits(stopped, whole, server, folder):
    shutil.copytree(stopped[0], folder / "again")
    statuses, errors = server.workers(folder, 2, "train", "--resume", "again", "--quiet")
    assert (statuses, errors) == ([0, 0], ["", ""])
    interrupted.check_equal(folder / "again", whole[0])


@pytest.mark.slow
def test_resuming_with_another_number_of_workers_is_said_and_learns_the_same(stopped, whole, server, folder):
    shutil.copytree(stopped[0], folder / "alone")
    status, error = server(folder, "train", "--resume", "alone", "--workers", "1", "--quiet")
    assert status == 0
    assert re.fullmatch(r"warning: .*may not be bit-identical: workers: 2 when it began, 1 now.*\n", error)
    np.testing.assert_allclose(losses(folder / "alone"), losses(whole[0]), rtol=1e-5)


@pytest.mark.slow
def test_a_killed_worker_ends_the_other_which_names_it(server, folder):
    statuses, errors = server.workers(
        folder, 2, "train", "config.yaml", "--run-dir", "killed", "--quiet", victim=1, signal="SIGKILL", step=9
    )
    assert statuses == [1, -9]
    assert re.search(
        r"^error: worker 1 \(127\.0\.0\.1:\d+\) is gone or silent after step 8\n"
        r"  hint: resume .*: rnncli train --resume killed\n$",
        errors[0],
        re.M,
    )
    assert Checkpoints(folder / "killed").names()


def test_workers_with_other_data_are_told_so_before_they_train(server, folder):
    more = ["--set", "task.windows=56"]
    statuses, errors = server.workers(folder, 2, "train", "config.yaml", "--run-dir", "other", victim=1, more=more)
    assert statuses == [1, 1]
    for error in errors:
        assert re.search(r"task\.windows is 48 on worker 0 and 56 on worker 1 \(127\.0\.0\.1:\d+\)", error)
    assert not (folder / "other").exists()
