"""Checks of refused input, common to all commands."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from rnncli.cli.main import main
from rnncli.config import parse_config
from rnncli.data.tasks import build_task
from rnncli.runs.checkpoints import OPTIMIZER, STATES, WEIGHTS
from rnncli.runs.directory import RunDir
from rnncli.runs.train_state import TrainState

NOBODY = 65534
RUN_CONFIG = """
task: {type: addition, digits: 2, examples: 400, held_out: 50}
model: {type: encoder_decoder, encoder: {units: 4}, decoder: {units: 4}}
"""
SOME_WEIGHTS = {"kernel": np.ones((2, 3), np.float32)}


def rnncli(*arguments, text=None):
    return CliRunner().invoke(main, [str(a) for a in arguments], input=text)


def tree(folder):
    """Everything below a folder: what it is, and of files the bytes."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        kind = path.lstat().st_mode
        plain = (
            path.is_file()
            and not path.is_symlink()
            and path.stat().st_size < 2**24
            and os.access(path, os.R_OK, effective_ids=True)
        )
        found[str(path.relative_to(folder))] = (kind, path.read_bytes() if plain else None)
    return found


def assert_refused(result, words, status=2):
    """One line of error with these words, perhaps a hint, and nothing else."""
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == status, result.stderr
    assert_one_error(result.stderr, words)
    assert result.stdout == ""


def assert_one_error(stderr, words):
    lines = stderr.splitlines()
    assert [line.startswith("error: ") for line in lines] == [True] + [False] * (len(lines) - 1), stderr
    assert all(line.startswith("  hint: ") for line in lines[1:]), stderr
    assert len(lines) <= 2, stderr
    assert max(map(len, lines)) < 400, stderr
    assert "Traceback" not in stderr
    for word in [words] if isinstance(words, str) else words:
        assert word in lines[0], stderr


@contextmanager
def unprivileged():
    """A new directory of a user who may not do everything, and this process as that user."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as folder:
        if root:
            os.chown(folder, NOBODY, NOBODY)
            os.setegid(NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)
                os.setegid(0)
            for path in Path(folder).rglob("*"):
                path.chmod(0o700)


def made(path, text):
    """A run whose weights are of no model."""
    config = parse_config(text, "c.yaml")
    run, task = RunDir.create(path, config), build_task(config)
    run.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
    files = [WEIGHTS, OPTIMIZER, *([STATES] if config.stateful else [])]
    run.save_checkpoint(TrainState(step=7), dict.fromkeys(files, SOME_WEIGHTS), True)
    return run.path
