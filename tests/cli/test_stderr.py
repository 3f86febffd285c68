"""A stderr that does not take what is written to it."""

import contextlib
import logging
import os
import sys

import click
import pytest
from tqdm import tqdm

from rnncli.cli.main import show_warning
from rnncli.cli.stderr import UnfailingFile, replace_stderr, write_if_possible
from rnncli.errors import RnncliWarning


def closed_pipe():
    """A pipe that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def full_disk():
    return os.open("/dev/full", os.O_WRONLY)


def full_pipe():
    """A pipe whose reader does not read, and that does not wait for it."""
    _, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    return writer


def lost_terminal():
    ours, its = os.openpty()
    os.close(ours)
    return its


@pytest.fixture
def stderr(request, monkeypatch):
    """Let sys.stderr be a file that fails, and replace it as the command does."""
    descriptor = request.param()
    with os.fdopen(descriptor, "w") as failing:
        monkeypatch.setattr(sys, "stderr", failing)
        replace_stderr()
        yield descriptor
        monkeypatch.undo()


@pytest.mark.parametrize("stderr", [closed_pipe, full_disk, full_pipe, lost_terminal], indirect=True)
def test_what_cannot_be_said_is_dropped(stderr):
    for _ in range(3):
        print("a line", file=sys.stderr)
        click.echo("an error", err=True)
        show_warning("a warning", RnncliWarning)
        logging.getLogger("rnncli.test").error("logged")
        tqdm.write("epoch 1", file=sys.stderr)
        with tqdm(total=3, file=sys.stderr, disable=False, mininterval=0) as bar:
            bar.update(3)
    sys.stderr.flush()
    write_if_possible(stderr, b"loading")


def test_what_can_be_said_is_said_at_once_and_whole(monkeypatch):
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stderr", pipe)
        replace_stderr()
        print("größer", file=sys.stderr)
        assert os.read(reader, 100) == "größer\n".encode()
        assert sys.stderr.fileno() == writer
        assert not sys.stderr.isatty()
        monkeypatch.undo()


def test_file_counts_what_it_drops_as_written():
    descriptor = full_disk()
    assert UnfailingFile(descriptor).write(memoryview(b"four")) == 4
    os.close(descriptor)
