"""Measuring held-out examples, and compiling what does it beside the first step."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from rnncli.config import parse_config
from rnncli.data.tasks import build_task
from rnncli.inference.decoder import Decoder
from rnncli.models import build_model
from rnncli.models.encoder_decoder import EncoderDecoder
from rnncli.models.repeat_vector import RepeatVector
from rnncli.runs.directory import RunDir
from rnncli.training.interruption import Stop
from rnncli.training.loop import train
from rnncli.training.step import TrainStep
from rnncli.training.validation import Measurer

TINY = "{task: {type: addition, digits: 6, examples: 80, held_out: 60}, model: %s, training: {epochs: 2}}"
PLAIN = "{type: encoder_decoder, encoder: {units: 4}, decoder: {units: 4}}"


def make(runtime, section):
    config = parse_config(TINY % section, "tiny")
    task = build_task(config)
    model = build_model(config, task.sizes, on_gpu=False)
    _, held_out = task.splits()
    return Measurer(Decoder(model, runtime), task, held_out, early=True)


@pytest.fixture
def made(runtime):
    return make(runtime, PLAIN)


def counted(calls, function):
    def counting(*args):
        calls.append(function.__name__)
        return function(*args)

    return counting


@pytest.fixture
def traced(monkeypatch):
    """Grows each time that Python, not what was compiled, computes logits; sorted by what does."""
    calls = []
    for kind, name in ((EncoderDecoder, "encode"), (EncoderDecoder, "step"), (RepeatVector, "read_from")):
        monkeypatch.setattr(kind, name, counted(calls, getattr(kind, name)))
    return calls


@pytest.mark.parametrize(
    ("section", "what"),
    [(PLAIN, {"encode", "step"}), ("{type: repeat_vector, encoder: {units: 4}, decoder: {units: 4}}", {"read_from"})],
)
def test_what_was_compiled_meanwhile_is_not_traced_again_and_gives_the_same(runtime, traced, section, what):
    made = make(runtime, section)
    traced.clear()  # of making the model
    paddings = np.unique(np.searchsorted(made.decode.lengths, made.examples.source_lengths))
    assert len(paddings) > 1
    for _ in range(2):
        made.begin()
    made.end()
    before = len(traced)
    assert set(traced) == what
    found = made({})
    assert len(traced) == before
    assert found == Measurer(Decoder(made.decode.model, runtime), made.task, made.examples, early=False)({})


def test_nothing_is_compiled_early_where_that_is_not_wanted(runtime, traced, made):
    later = Measurer(made.decode, made.task, made.examples, early=False)
    traced.clear()  # of making the model
    later.begin()
    later.end()
    assert not traced


def test_what_fails_fails_when_it_is_measured(made, monkeypatch):
    def fail(*_):
        raise ValueError("no")

    monkeypatch.setattr(made.decode.model, "encode", fail)
    made.begin()
    made.end()
    with pytest.raises(ValueError, match="no"):
        made({})


CUSTOM = PLAIN.replace("{type", "{cell: {type: custom, class: 'custom_cells:Leaky'}, type")
TEXT = (
    "{task: {type: text, window: 5, windows: 48, held_out: 16}, model: {type: next_step, %s units: 6}, "
    "training: {epochs: 1, batch_size: 16}}"
)


@pytest.mark.parametrize(
    ("text", "until", "times"),
    [
        (TINY % PLAIN, None, 1),
        (TINY % PLAIN, 1, 0),
        (TINY % CUSTOM, None, 0),
        (TEXT % "", None, 1),
        (TEXT % "stateful: true,", None, 0),
    ],
    ids=["plain", "stops before it measures", "may draw random numbers", "next step", "starts from states"],
)
def test_training_compiles_early_what_it_will_measure_by(runtime, tmp_path, monkeypatch, text, until, times):
    begun, prepare = [], Decoder.prepare
    monkeypatch.setattr(Decoder, "prepare", lambda *args: begun.append(args) or prepare(*args))
    config = parse_config(text, "tiny")
    task = build_task(config)
    train(config, task, task.splits(), RunDir.create(tmp_path / "run", config), runtime, stop=Stop(until))
    assert len(begun) == times


@pytest.mark.parametrize(("workers", "order"), [(2, ["measuring", "step"]), (1, ["step", "measuring"])])
def test_that_is_beside_the_first_step_where_a_core_is_idle_and_after_it_elsewhere(
    runtime, tmp_path, monkeypatch, workers, order
):
    seen, prepare, step = [], Decoder.prepare, TrainStep.__call__
    monkeypatch.setattr(Decoder, "prepare", lambda *args: seen.append("measuring") or prepare(*args))

    def stepped(*args):
        losses = step(*args)
        seen.append("step")
        return losses

    monkeypatch.setattr(TrainStep, "__call__", stepped)
    config = parse_config(TINY % PLAIN, "tiny")
    task = build_task(config)
    ready = replace(runtime, parts=1, workers=workers)
    train(config, task, task.splits(), RunDir.create(tmp_path / "run", config), ready)
    assert seen[:2] == order


def test_waiting_for_a_thread_may_be_interrupted():
    """And the thread is waited for again: Python 3.11 takes one for ended whose `join` was interrupted."""
    code = (
        "import os, signal, threading, time\n"
        "from concurrent.futures import wait\n"
        "from rnncli.runtime.threads import beside\n"
        "def work():\n"
        "    time.sleep(0.5)\n"
        "    print('done', flush=True)\n"
        "begun = beside(work)\n"
        "threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()\n"
        "try:\n"
        "    wait([begun])\n"
        "except KeyboardInterrupt:\n"
        "    print('interrupted', flush=True)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["interrupted", "done"]
