"""Exact resuming with each optimizer."""

from pathlib import Path

import interrupted_training as interrupted
import pytest

from rnncli.config.optimizers import OPTIMIZERS

pytestmark = pytest.mark.usefixtures("runtime")


OTHERS = sorted(OPTIMIZERS.keys() - {"adam", "adamw"})


@pytest.mark.parametrize("name", ["adamw", *(pytest.param(name, marks=pytest.mark.long) for name in OTHERS)])
def test_resumed_training_ends_with_the_same_bits(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    text = interrupted.write_config(
        tmp_path, "smallest", f"{{epochs: 2, batch_size: 16, optimizer: {name}, csv_log: true}}"
    )
    for run, stops in (("whole", [None]), ("interrupted", [2, None])):
        for stop in stops:
            interrupted.steps(Path(run), text.read_text(), until=stop)
    interrupted.check_equal("whole", "interrupted")
