"""Files without permission: one line names them, and nothing is taken for missing, removed or begun."""

from pathlib import Path

import pytest
from bad_input import RUN_CONFIG, SOME_WEIGHTS, assert_refused, made, rnncli, tree, unprivileged

from rnncli.errors import UnreadableError
from rnncli.runs.checkpoints import WEIGHTS
from rnncli.runs.directory import RunDir
from rnncli.runs.resume import find_resume_point
from rnncli.runs.train_state import TrainState

STEP = "checkpoints/00000007/"


def test_where_nothing_may_be_written_nothing_is(tmp_path, monkeypatch):
    rnncli("train", "none.yaml")  # imports what it needs, as a user who may read that
    with unprivileged() as folder:
        monkeypatch.chdir(folder)
        Path("c.yaml").write_text(RUN_CONFIG)
        Path("full").mkdir(mode=0o555)
        before = tree(folder)
        words = ["full/new: cannot be written: Permission denied"]
        assert_refused(rnncli("train", "c.yaml", "--run-dir", "full/new"), words)
        Path("full/new").parent.chmod(0o755)
        Path("runs").mkdir(mode=0o555)
        assert_refused(rnncli("train", "c.yaml"), ["runs/", "cannot be written: Permission denied"])
        Path("runs").rmdir()
        Path("full").chmod(0o555)
        assert tree(folder) == before
        monkeypatch.undo()


def test_a_run_that_may_only_be_read_is_read(monkeypatch):
    with unprivileged() as folder:
        run = made(folder / "run", RUN_CONFIG)
        for path in (run, *run.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = tree(folder)
        assert set(RunDir(run).load().weights) == {"kernel"}
        assert tree(folder) == before


def test_a_file_of_a_run_that_may_not_be_read_is_named(monkeypatch):
    with unprivileged() as folder:
        monkeypatch.chdir(folder)
        file = made(Path("run"), RUN_CONFIG) / STEP / WEIGHTS
        file.chmod(0)
        assert_refused(rnncli("predict", "run", "1+2"), f"run/{STEP}{WEIGHTS}: cannot be read: Permission denied")
        monkeypatch.undo()


def test_checkpoints_that_cannot_be_listed_are_not_taken_for_none(monkeypatch):
    with unprivileged() as folder:
        monkeypatch.chdir(folder)
        checkpoints = made(Path("run"), RUN_CONFIG) / "checkpoints"
        before, mode = tree(folder), checkpoints.stat().st_mode
        checkpoints.chmod(0)
        run = RunDir(Path("run"))
        for arguments in ("predict run 1+2", "train --resume run", "evaluate run"):
            assert_refused(rnncli(*arguments.split()), "run/checkpoints")
        verified = rnncli("verify", "run")
        assert verified.exit_code == 1
        wrong = [line for line in verified.stdout.splitlines() if line.startswith("wrong")]
        assert wrong == ["wrong  checkpoints: run/checkpoints: cannot be read: Permission denied"]
        run.discard_if_untrained()
        checkpoints.chmod(mode)
        assert tree(folder) == before
        monkeypatch.undo()


def test_a_config_or_a_run_that_may_not_be_read_is_said_in_one_line(monkeypatch):
    rnncli("train", "none.yaml")
    with unprivileged() as folder:
        monkeypatch.chdir(folder)
        Path("c.yaml").write_text(RUN_CONFIG)
        made(Path("run"), RUN_CONFIG)
        for path in ("c.yaml", "run"):
            Path(path).chmod(0)
        assert_refused(rnncli("train", "c.yaml"), "c.yaml: cannot be read: Permission denied")
        for command in ("predict", "verify"):
            assert_refused(rnncli(command, "run"), "run/config.yaml: cannot be read: Permission denied")
        Path("run").chmod(0o755)
        monkeypatch.undo()


@pytest.mark.parametrize("name", [WEIGHTS, "checkpoint.json"])
def test_a_checkpoint_that_cannot_be_read_is_not_passed_over_for_the_one_before(monkeypatch, name):
    with unprivileged() as folder:
        monkeypatch.chdir(folder)
        run = RunDir(made(Path("run"), RUN_CONFIG))
        run.save_checkpoint(TrainState(step=9), {WEIGHTS: SOME_WEIGHTS}, False)
        newest = run.checkpoints.path / "00000009" / name
        before, mode = tree(folder), newest.stat().st_mode
        newest.chmod(0)
        with pytest.raises(UnreadableError, match=f"00000009/{name}: cannot be read: Permission denied") as refused:
            find_resume_point(run, run.read_config(), run.read_task(run.read_config()))
        assert "move it away" in refused.value.hint
        newest.chmod(mode)
        assert tree(folder) == before
        monkeypatch.undo()
