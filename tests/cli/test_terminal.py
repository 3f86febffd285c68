"""Output on a terminal."""

import os
import pty
import re
import subprocess
import sys

import pytest

TINY = "{task: {type: addition, digits: 2, examples: 400, held_out: 50}, model: repeat_vector, training: {epochs: 2}}"


@pytest.mark.parametrize("options", [[], ["--quiet"]], ids=["plain", "quiet"])
def test_training_shows_a_bar_with_loss_and_rate_and_a_line_an_epoch(tmp_path, options):
    (tmp_path / "tiny.yaml").write_text(TINY)
    ours, its = pty.openpty()  # a terminal that says it has 0 columns
    command = [sys.executable, "-m", "rnncli", "train", "tiny.yaml", "--run-dir", "run", *options]
    with subprocess.Popen(command, cwd=tmp_path, stdin=its, stdout=subprocess.PIPE, stderr=its) as process:
        os.close(its)
        text = b""
        try:
            while piece := os.read(ours, 4096):
                text += piece
        except OSError:  # how Linux says that the other side is closed
            pass
        assert process.stdout.read() == b"run\n"
    os.close(ours)
    assert process.returncode == 0
    shown = text.decode()
    if options:
        assert shown == ""
    else:
        assert re.search(r"epoch 1/2: .* \d+/350 examples, .*loss \d\.\d{4}", shown)
        assert re.search(r"epoch 2/2  loss", shown)
        assert re.search(r"digits .*right", shown)
        assert "Predict: rnncli predict run" in shown
