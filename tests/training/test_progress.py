"""The lines and the bar that show progress of training."""

import re
from dataclasses import replace

import keras
import numpy as np
import pytest

from rnncli.config import Config
from rnncli.data.examples import Examples
from rnncli.training import progress
from rnncli.training.progress import Progress, duration, progress_of

EXAMPLES, STEPS = 100, 10


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


class Bar:
    """A bar that remembers what it was told."""

    def __init__(self, total, desc, *_, initial=0, **__):
        self.total, self.desc, self.n, self.postfix = total, desc, initial, ""

    def set_postfix_str(self, text, **_):
        self.postfix = text

    def update(self, count):
        self.n += count

    def close(self):
        pass


@pytest.fixture
def shown(monkeypatch):
    monkeypatch.setattr(progress, "bar", Bar)


def callback(epochs, **options):
    callback = Progress(EXAMPLES, 10, **options)
    callback.set_params({"epochs": epochs, "steps": STEPS})
    return callback


def epoch_lines(capsys):
    return re.findall(r"^epoch +(\d+)/", capsys.readouterr().err, re.MULTILINE)


def train(callback, clock, epochs, seconds):
    for epoch in range(epochs):
        clock.now += seconds
        callback.on_epoch_begin(epoch)
        callback.on_epoch_end(epoch, {"loss": 0.5, "val_exact_match": 1.0, "seconds": seconds})


@pytest.mark.parametrize(("extra", "words"), [(0, []), (7, [f"{EXAMPLES + 7:,}"])])
def test_sizes_tell_how_many_examples_an_epoch_shows_if_not_each_once(capsys, extra, words):
    shows = callback(1, extra=extra)
    shows.set_model(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]))
    shows.on_train_begin()
    assert re.findall(r"[\d,]*\d", capsys.readouterr().err) == [f"{EXAMPLES:,}", *words, "10", "8"]


@pytest.mark.parametrize(("steps", "extra", "size"), [(None, 3, 13), (5, 0, 20)])
def test_progress_of_a_config_knows_what_an_epoch_shows(steps, extra, size):
    task = {"type": "addition", "digits": 1, "examples": 55, "held_out": 9}
    training = {"batch_size": 4, "steps_per_epoch": steps}
    config = Config.model_validate({"task": task, "model": {"type": "repeat_vector"}, "training": training})
    ids = np.ones((10, 2), np.int32)
    train = Examples(ids, ids[:, 0], ids, ids[:, 0])
    shows = progress_of(config, (replace(train, extra=train.rows(slice(3))), train))
    assert (shows.examples, shows.extra, shows.epoch_size) == (10, extra, size)


def test_many_short_epochs_have_a_line_every_few_seconds_and_the_first_and_last(clock, capsys):
    train(callback(600), clock, 600, 0.1)
    lines = epoch_lines(capsys)
    assert (lines[0], lines[-1]) == ("1", "600")
    assert 15 < len(lines) < 30


def test_the_last_epoch_has_a_line_when_training_ends_early(clock, capsys):
    shows = callback(600)
    train(shows, clock, 15, 0.01)
    shows.on_train_end()
    assert epoch_lines(capsys) == ["1", "15"]


@pytest.mark.parametrize(("epochs", "seconds"), [(5, 0.01), (600, 10)])
def test_few_or_long_epochs_have_a_line_each(clock, capsys, epochs, seconds):
    train(callback(epochs), clock, epochs, seconds)
    assert len(epoch_lines(capsys)) == epochs


def test_bar_counts_whole_examples_and_shows_the_time_left_of_the_whole_training(clock, shown):
    shows = callback(epochs=3, epoch_size=105)
    shows.on_epoch_begin(0)
    shows.on_train_batch_begin(0)
    clock.now = 60  # compiled
    shows.on_train_batch_end(0, {"loss": 1.0})
    assert "left" not in shows.bar.postfix
    clock.now = 64
    shows.on_train_batch_end(4, {"loss": 1.0})
    assert (shows.bar.n, shows.bar.total) == (round(5 * 10.5), 105)
    assert f"{duration(25)} left" in shows.bar.postfix  # 25 steps of 1 s


def test_time_left_does_not_count_what_the_first_measuring_compiles(clock, shown):
    shows = callback(epochs=3)
    for epoch, measuring in enumerate([100, 1, 0]):
        shows.on_epoch_begin(epoch)
        for step in range(STEPS):
            shows.on_train_batch_begin(step)
            clock.now += 1
            shows.on_train_batch_end(step, {"loss": 1.0})
        postfix = shows.bar.postfix
        shows.bar = None
        clock.now += measuring
        if epoch == 1:
            assert f"{duration(10)} left" in postfix
    assert "0:00 left" in postfix


def test_bar_of_a_resumed_epoch_begins_where_the_epoch_is(shown):
    shows = callback(epochs=3)
    shows.on_epoch_begin(1)
    shows.on_train_batch_begin(7)
    assert (shows.bar.desc, shows.bar.n) == ("epoch 2/3", 70)


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0:00"), (65, "1:05"), (59.6, "1:00"), (3665, "1:01:05")])
def test_duration_by_hand(seconds, text):
    assert duration(seconds) == text
