"""The whole of resuming: every kind of interruption, model and number of parts; and SIGKILL at random instants.

python -m pytest -m slow tests/slow/test_resume.py

The environment variables KILLS and SEED cut the hundred kills into slices.
"""

import os
import random
import signal
import time

import interrupted_training as interrupted
import pytest
from interrupted_training import check_equal

pytestmark = pytest.mark.slow
INSTANTS = {
    "at the end of an epoch": {"epoch": 2},
    "in the middle of an epoch": {"step": 2 * interrupted.STEPS + 4},
    "in the last batch of an epoch": {"step": 2 * interrupted.STEPS},
    "inside of a checkpoint's write": {"write": 20},
}
HOW = ["SIGKILL", "SIGTERM", "truncated"]
KILLS, SEED = int(os.environ.get("KILLS", "100")), int(os.environ.get("SEED", "6"))
INSIDE = KILLS // 5
SLOW = 0.05
"""Seconds by which the write of each file of a checkpoint is slower."""


@pytest.fixture(scope="module")
def rnncli():
    server = interrupted.Server(compiled=True)
    yield server
    server.close()


@pytest.fixture(scope="module")
def uninterrupted(rnncli, tmp_path_factory):
    """Folders with a config and a run that was not interrupted, by model and parts; each is made once."""
    made = {}

    def make(model, cores):
        if (model, cores) not in made:
            folder = tmp_path_factory.mktemp("whole")
            interrupted.write_config(folder, model, cores=cores)
            assert rnncli(folder, "train", "config.yaml", "--run-dir", "run")[0] == 0
            made[model, cores] = folder
        return made[model, cores]

    return make


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("instant", INSTANTS)
@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("model", interrupted.MODELS)
def test_it_ends_as_if_it_had_not_been_interrupted(rnncli, uninterrupted, tmp_path, model, cores, instant, how):
    interrupted.write_config(tmp_path, model, cores=cores)
    sent = "SIGTERM" if how == "SIGTERM" else "SIGKILL"
    status, said = rnncli(tmp_path, "train", "config.yaml", "--run-dir", "run", **INSTANTS[instant], signal=sent)
    if sent == "SIGKILL":
        assert status == -signal.SIGKILL
    else:
        assert status == 143
        assert "resume with: rnncli train --resume run" in said
    if how == "truncated":
        interrupted.damage_newest(tmp_path / "run")
    status, said = rnncli(tmp_path, "train", "--resume", "run")
    assert status == 0, said
    assert ("damaged" in said) == (how == "truncated")
    check_equal(uninterrupted(model, cores) / "run", tmp_path / "run")


@pytest.mark.parametrize(
    ("name", "status"), [("SIGHUP", 129), ("SIGQUIT", -signal.SIGQUIT), ("SIGPIPE", 0), ("SIGSTOP", 0)]
)
def test_other_signals_lose_nothing(rnncli, uninterrupted, tmp_path, name, status):
    """A lost terminal saves a checkpoint; a broken pipe is no signal to end; who was stopped goes on."""
    interrupted.write_config(tmp_path, "lstm")
    plan = {"step": 2 * interrupted.STEPS + 4, "signal": name}
    ended, said = rnncli(tmp_path, "train", "config.yaml", "--run-dir", "run", **plan)
    assert ended == status, said
    if status == 129:
        assert "resume with: rnncli train --resume run" in said
    if status:
        ended, said = rnncli(tmp_path, "train", "--resume", "run")
        assert ended == 0, said
    check_equal(uninterrupted("lstm", 1) / "run", tmp_path / "run")


def test_a_hundred_kills_at_random_instants_leave_no_trace(rnncli, uninterrupted, tmp_path):
    """At least a fifth of them falls into a checkpoint's write, which is slow for the purpose."""
    kills = inside = number = 0
    rng = random.Random(SEED)
    whole = uninterrupted("lstm", 1) / "run"
    interrupted.write_config(tmp_path, "lstm", every="2 steps")
    began = time.monotonic()
    assert rnncli(tmp_path, "train", "config.yaml", "--run-dir", "slow", slow=SLOW)[0] == 0
    longest = time.monotonic() - began  # on this machine, with what else it computes
    while kills < KILLS or inside < INSIDE:
        folder = tmp_path / str(number)
        folder.mkdir()
        number += 1
        interrupted.write_config(folder, "lstm", every="2 steps")
        arguments = ["train", "config.yaml", "--run-dir", "run"]
        written = []
        while True:
            after = rng.uniform(0.1, 1.2) * longest
            status, said = rnncli(folder, *arguments, slow=SLOW, kill_after=after)
            if (folder / "run" / "config.yaml").exists():
                arguments = ["train", "--resume", "run"]
            if status == 0:
                longest *= 0.9  # else most runs would end before the kill
                break
            assert status == -signal.SIGKILL, said
            kills += 1
            before, written = written, sorted((folder / "run").glob("checkpoints/0*"))
            if written == before:  # the machine may have more to do by now
                longest *= 1.1
            inside += any((folder / "run").glob("checkpoints/.*"))
        check_equal(whole, folder / "run")
        print(f"{kills} kills so far, {inside} of them inside of a write, in {number} runs", flush=True)
    print(f"{kills} kills, {inside} of them inside of a checkpoint's write, in {number} runs")
