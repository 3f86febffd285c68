"""Measuring held-out examples, and compiling it while training goes on."""

from dataclasses import replace

import numpy as np
import pytest

from rnncli.config import parse_config
from rnncli.decoder import Decoder
from rnncli.models import build_model
from rnncli.rundir import RunDir
from rnncli.tasks import build_task
from rnncli.training import train
from rnncli.training.measuring import Measurer
from rnncli.usercode import NOWHERE

TINY = "{task: {type: addition, digits: 6, examples: 80, held_out: 60}, model: %s, training: {epochs: 2}}"
PLAIN = "{type: encoder_decoder, encoder: {units: 4}, decoder: {units: 4}}"


@pytest.fixture
def made(runtime):
    config = parse_config(TINY % PLAIN, "tiny")
    task = build_task(config)
    model = build_model(config, task.sizes, on_gpu=False)
    _, held_out = task.splits()
    assert len(np.unique(held_out.source_lengths)) > 6
    return Measurer(Decoder(model, runtime), task, held_out, idle=True)


@pytest.fixture
def traced(made, monkeypatch):
    """Grows by one each time that Python computes what encodes."""
    calls, encode = [], made.decode.model.encode
    monkeypatch.setattr(made.decode.model, "encode", lambda *args: calls.append(args) or encode(*args))
    return calls


def test_what_was_compiled_meanwhile_is_not_traced_again_and_gives_the_same(made, traced):
    for _ in range(2):
        made.begin()
    made.end()
    before = len(traced)
    assert before > 1, "sources of two paddings"
    found = made({})
    assert len(traced) == before
    assert found == Measurer(Decoder(made.decode.model, made.decode.runtime), made.task, made.examples, False)({})


def test_nothing_is_compiled_ahead_where_no_core_is_idle(made, traced):
    busy = Measurer(made.decode, made.task, made.examples, idle=False)
    busy.begin()
    busy.end()
    assert not traced


def test_what_fails_fails_when_it_is_measured(made, monkeypatch):
    def fail(*_):
        raise ValueError("no")

    monkeypatch.setattr(made.decode.model, "encode", fail)
    made.begin()
    made.end()
    with pytest.raises(ValueError, match="no"):
        made({})


@pytest.mark.parametrize(
    ("model", "parts", "workers", "times"),
    [
        (PLAIN, 1, 2, 1),
        (PLAIN, 2, 2, 0),
        (
            "{type: encoder_decoder, cell: {type: custom, class: 'own_cells:Leaky'}, encoder: {units: 4}, "
            "decoder: {units: 4}}",
            1,
            2,
            0,
        ),
    ],
    ids=["idle", "busy", "custom"],
)
def test_training_compiles_ahead_on_an_idle_core_but_not_what_may_draw_random_numbers(
    runtime, tmp_path, monkeypatch, model, parts, workers, times
):
    begun = []
    monkeypatch.setattr(Measurer, "_compile", lambda self: begun.append(self))
    config = parse_config(TINY % model, "tiny")
    task = build_task(config)
    ready = replace(runtime, parts=parts, workers=workers)
    train(config, task, task.splits(), RunDir.create(tmp_path / "run", config), ready, places=NOWHERE)
    assert len(begun) == times
