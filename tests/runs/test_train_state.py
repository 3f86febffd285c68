"""The train state: the best epoch, early stopping and the maximum time, without any training."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.config import Training
from rnncli.runs.train_state import TrainState


def ended(values, metric="validation_loss", tie="validation_loss", seconds=1.0, **training):
    """The state and whether each epoch was the best, after epochs with some values until training is finished."""
    state, config = (
        TrainState(best_metric=metric, tie_metric=tie),
        Training.model_validate({"epochs": 100, **training}),
    )
    stopping, best = config.early_stopping, []
    for number, value in enumerate(values, 1):
        epoch = {"epoch": number, "loss": 0.0, "validation_loss": 0.0, "seconds": seconds, **value}
        best.append(state.end_epoch(epoch, stopping.min_delta if stopping else 0.0))
        if state.finished(config):
            break
    return state, config, best


def losses(*values):
    return [{"validation_loss": value} for value in values]


def test_of_equal_epochs_the_one_with_the_smaller_held_out_loss_is_the_best():
    values = [{"exact_match": 0.5, "validation_loss": loss, "loss": -loss} for loss in (2.0, 1.0, 3.0)]
    assert ended(values, "exact_match")[2] == [True, True, False]
    assert ended(values, "exact_match", tie="loss")[2] == [True, False, True]  # as runs of version 0.1.0 go on


def test_early_stopping_says_after_which_epoch_and_why():
    state, config, _ = ended(losses(3, 2, 2, 4, 1), early_stopping={"patience": 2})
    assert (state.epoch, state.best["validation_loss"]) == (4, 2)
    said = state.early_end(config)
    assert "after epoch 4 of 100" in said
    assert "since epoch 2 " in said
    assert "training.early_stopping.patience: 2" in said


def test_min_delta_counts_small_steps_together():
    stopping = {"patience": 2, "min_delta": 0.25}
    state, _, best = ended(losses(2.0, 1.9, 1.7, 1.6, 1.5), early_stopping=stopping)
    assert (state.epoch, state.improved) == (5, 3)  # 1.7 is 0.3 better than 2.0, 1.5 only 0.2 better than 1.7
    assert best == [True] * 5


def test_training_ends_when_its_time_is_up():
    state, config, _ = ended(losses(*range(9)), seconds=25.0, max_time="1 minute")
    assert state.epoch == 3
    assert "training.max_time: 1 minute" in state.early_end(config)


def test_time_is_up_within_an_epoch_too_but_training_does_not_end_there():
    config = Training(max_time="0.5 minutes")
    state = TrainState(trained_seconds=20.0, seconds=10.0, done=3, epoch=1)
    assert state.time_is_up(config)
    assert not state.finished(config)


@pytest.mark.parametrize("time", ["10", "0 minutes", "ten minutes", "5 days", "-1 hours"])
def test_what_is_no_time_is_refused(time):
    with pytest.raises(ValueError, match="max_time"):
        Training(max_time=time)


def test_a_time_without_a_unit_is_answered_with_times():
    for time in (20, 1.5, "20"):
        with pytest.raises(ValueError, match=f"write {time} seconds or {time} minutes"):
            Training.model_validate({"max_time": time})


@given(st.lists(st.floats(0, 9), min_size=1, max_size=12), st.integers(1, 4), st.booleans())
def test_without_min_delta_patience_counts_from_the_first_best_epoch(values, patience, higher):
    metric = "exact_match" if higher else "validation_loss"
    state, _, _ = ended([{metric: value} for value in values], metric, early_stopping={"patience": patience})
    seen = values[: state.epoch]
    first = seen.index(max(seen) if higher else min(seen)) + 1
    assert state.improved == first
    assert state.best[metric] == seen[first - 1]
    assert state.epoch == len(values) or state.epoch - first == patience


def test_plateau_reduces_after_epochs_without_a_better_metric_and_again_after_as_many():
    training = Training.model_validate({"schedule": "plateau", "plateau": {"patience": 2}})
    state, reduced = TrainState(best_metric="validation_loss"), []
    for number, loss in enumerate((3, 2, 2, 2, 2, 2, 1, 1), 1):
        state.end_epoch({"epoch": number, "loss": 0.0, "validation_loss": loss, "seconds": 1.0})
        if state.on_plateau(training):
            state.reduced = state.epoch
            reduced.append(number)
    assert reduced == [4, 6]
    assert not state.on_plateau(Training(schedule="constant"))
