"""Messages of C++ code: off stderr while it succeeds, and shown when it fails or ends the process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnncli.runtime.held_messages import hold_messages

ROOT = Path(__file__).parents[2]
CODE = """
import os
from rnncli.runtime.held_messages import hold_messages
try:
    with hold_messages():
        os.write(2, b"I0000 00:00:1.5 7 port.cc:153] a note\\nworse: b\\n" + b"x" * 300000 + b"\\n")
        {}
except ValueError:
    pass
os.write(2, b"after\\n")
"""
FATAL = 'os.write(2, b"F0000 00:00:1.5 7 parse.cc:23] Unknown flag\\n")'


@pytest.mark.parametrize(
    ("fate", "status", "shown"),
    [
        ("pass", 0, ["after"]),
        ("raise ValueError", 0, ["x" * 100, "after"]),
        ("os._exit(3)", 3, ["x" * 100]),
        (f"{FATAL}; os.abort()", -6, ["error: TensorFlow ended the process: Unknown flag"]),
        ("os.kill(os.getpid(), 9)", -9, ["x" * 100]),
    ],
)
def test_messages_are_shown_when_the_block_fails_or_never_ends(fate, status, shown):
    code = CODE.format(fate)
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, [line[:100] for line in ended.stderr.splitlines()]) == (status, shown)


def test_without_processes_left_nothing_is_held(capfd, monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    before = len(list(Path("/dev/fd").iterdir()))
    monkeypatch.setattr(os, "fork", refuse)
    with hold_messages():
        os.write(2, b"said\n")
    assert capfd.readouterr().err == "said\n"
    assert len(list(Path("/dev/fd").iterdir())) == before
