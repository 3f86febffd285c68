"""Logs for other tools, read by the tools themselves."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rnncli.training.loggers import CsvLog, TensorBoardLog

accumulator = pytest.importorskip("tensorboard.backend.event_processing.plugin_event_accumulator")


def write_epochs(directory, epochs, value):
    log = TensorBoardLog(directory)
    for epoch in epochs:
        log.on_epoch_begin(epoch)
        log.on_epoch_end(epoch, {"loss": value, "val_exact_match": value / 2})
    return log


def read_scalars(directory, tag):
    events = accumulator.EventAccumulator(str(directory), purge_orphaned_data=True).Reload()
    assert events.PluginTagToContent("scalars").keys() >= {tag}
    return [(event.step, float(tf.make_ndarray(event.tensor_proto))) for event in events.Tensors(tag)]


def test_tensorboard_shows_each_epoch_once_after_resuming(tmp_path):
    write_epochs(tmp_path, range(4), 1.0)  # not closed: it was killed
    (path,) = (tmp_path / "train").iterdir()
    path.write_bytes(path.read_bytes()[:-3])
    write_epochs(tmp_path, range(2, 4), 2.0).on_train_end()
    write_epochs(tmp_path, range(3, 5), 4.0).on_train_end()
    assert read_scalars(tmp_path / "train", "epoch_loss") == [(0, 1.0), (1, 1.0), (2, 2.0), (3, 4.0), (4, 4.0)]
    assert read_scalars(tmp_path / "validation", "epoch_exact_match")[2:] == [(2, 1.0), (3, 2.0), (4, 2.0)]


def test_tensorboard_shows_each_epoch_once_after_resuming_a_run_of_version_0_1(tmp_path, runtime):
    log = keras.callbacks.TensorBoard(tmp_path, write_graph=False)  # which that version used
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd")
    log.set_model(model)
    log.on_train_begin()
    for epoch in range(3):
        log.on_epoch_end(epoch, {"loss": 1.0})
    log.on_train_end()
    (path,) = (tmp_path / "train").iterdir()
    path.rename(path.with_name("events.out.tfevents.1700000000.host.1.0.v2"))
    write_epochs(tmp_path, range(1, 3), 2.0).on_train_end()
    assert np.allclose(read_scalars(tmp_path / "train", "epoch_loss"), [(0, 1.0), (1, 2.0), (2, 2.0)])


EPOCH = {"epoch": 3, "step": 1407, "loss": 0.5, "exact_match": 0.25, "seconds": 1.5}


def test_csv_log_has_the_names_and_numbers_of_metrics_jsonl(tmp_path):
    for epoch in (3, 4):
        CsvLog(tmp_path / "metrics.csv").append({**EPOCH, "epoch": epoch})
    assert (tmp_path / "metrics.csv").read_text().splitlines() == [
        "epoch,step,loss,exact_match,seconds",
        "3,1407,0.5,0.25,1.5",
        "4,1407,0.5,0.25,1.5",
    ]


def test_csv_log_of_version_0_1_goes_on_as_it_began(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,loss,seconds,step,val_exact_match\n0,1.0,1.5,469.0,0.0\n1,0.9,1.5,938.0,0.1\n")
    CsvLog(path).append(EPOCH)
    assert path.read_text().splitlines()[-1] == "2,0.5,1.5,1407,0.25"
