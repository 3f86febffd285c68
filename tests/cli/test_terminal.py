"""Output on a terminal."""

import os
import pty
import re
import subprocess
import sys

import pytest

TINY = "{task: {type: addition, digits: 2, examples: 400, held_out: 50}, model: repeat_vector, training: {epochs: 2}}"


def on_terminal(folder, *arguments):
    """Run Python with stderr on a terminal that says it has 0 columns; return stdout and what the terminal shows."""
    ours, its = pty.openpty()
    command = [sys.executable, *arguments]
    with subprocess.Popen(command, cwd=folder, stdin=its, stdout=subprocess.PIPE, stderr=its) as process:
        os.close(its)
        text = b""
        try:
            while piece := os.read(ours, 4096):
                text += piece
        except OSError:  # how Linux says that the other side is closed
            pass
        printed = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0
    return printed.decode(), text.decode()


TWICE = """
import contextlib, sys
from rnncli.cli.main import main, run
from rnncli.runtime import xla
xla.XLA = False
sys.argv = ["rnncli", "train", "tiny.yaml", "--run-dir", "quiet", "--quiet"]
with contextlib.suppress(SystemExit):
    run()
print("---", flush=True, file=sys.stderr)
main(["train", "tiny.yaml", "--run-dir", "run"])
"""


@pytest.mark.long
def test_training_shows_a_bar_with_loss_and_rate_and_a_line_an_epoch_unless_quiet(tmp_path):
    (tmp_path / "tiny.yaml").write_text(TINY)
    printed, shown = on_terminal(tmp_path, "-c", TWICE)
    assert printed.splitlines() == ["quiet", "run"]
    quiet, shown = shown.split("---")
    assert quiet == ""
    assert re.search(r"epoch 1/2: .*\d+/\d+ examples", shown)
    assert re.search(r"epoch 2/2  loss", shown)
    assert re.search(r"digits .*right", shown)
    assert "Predict: rnncli predict run" in shown


@pytest.mark.parametrize(("seconds", "said"), [(0.0, True), (60.0, False)])
def test_a_slow_start_says_that_tensorflow_is_loading_and_takes_it_back(tmp_path, seconds, said):
    code = f"""import importlib, time
main = importlib.import_module("rnncli.cli.main")
with main.loading_notice(after={seconds}):
    time.sleep(0.3)
"""
    _, shown = on_terminal(tmp_path, "-c", code)
    notice = "loading TensorFlow ..."
    assert shown == (f"{notice}\r{' ' * len(notice)}\r" if said else "")
