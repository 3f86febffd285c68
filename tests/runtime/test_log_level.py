"""TF_CPP_MIN_LOG_LEVEL: whether TensorFlow's log appears while it is imported into somebody else's process."""

import os

import pytest

from rnncli.runtime import tensorflow_setup as setup

LOG = "I0000 00:00:1700000000.000000 1 file.cc:1] a message\n"


@pytest.mark.parametrize(
    ("level", "shown"), [(None, False), ("2", False), ("3", False), ("0", True), ("1", True)], ids=str
)
def test_log_is_shown_only_where_the_level_asks_for_it(level, shown, monkeypatch, capfd):
    if level is None:
        monkeypatch.delenv(setup.LOG_LEVEL, raising=False)
    else:
        monkeypatch.setenv(setup.LOG_LEVEL, level)
    with setup._hold_log():
        assert os.environ[setup.LOG_LEVEL] == (level or "3"), "TensorFlow reads it"
        os.write(2, f"{LOG}what others write\n".encode())
    assert os.environ.get(setup.LOG_LEVEL) == level
    assert capfd.readouterr().err == f"{LOG * shown}what others write\n"
