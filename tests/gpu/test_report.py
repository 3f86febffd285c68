"""The script of the GPU checks, as far as a CPU can run it."""

import sys

import numpy as np
import pytest
import report
import tensorflow as tf

from rnncli.runtime.tensorflow_setup import Runtime

pytestmark = pytest.mark.usefixtures("runtime")


@pytest.mark.long
def test_cudnns_operations_are_counted_in_the_whole_training_step(runtime, monkeypatch):
    """The graph is made as on a GPU, and not run: the encoder has 2 x 2 layers, the decoder 2."""
    monkeypatch.setattr(sys.modules["keras.src.backend.tensorflow.rnn"], "_is_gpu_available", lambda: True)
    monkeypatch.setattr("rnncli.models.probe_cudnn", lambda cell, precision: None)
    as_if = Runtime(tf.distribute.OneDeviceStrategy("/CPU:0"), on_gpu=True, shards=1)
    found = list(report.check_graphs(as_if))
    assert [check.found for check in found] == [
        "6 CudnnRNNV3, 6 CudnnRNNBackpropV3",
        "6 CudnnRNNV3, 6 CudnnRNNBackpropV3",
        "0 CudnnRNNV3, 0 CudnnRNNBackpropV3",
    ]
    assert all(check.passed for check in found)


@pytest.mark.long
def test_on_a_cpu_no_graph_has_them(runtime):
    if runtime.on_gpu:
        pytest.skip("shows a CPU")
    ops, eligible = report.graph_ops(runtime, "gru")
    assert ops["CudnnRNNV3"] == eligible == 0


@pytest.mark.parametrize(("kernel", "precision"), [("fused", "float32"), ("generic", "mixed_bfloat16")])
def test_a_step_is_timed(runtime, kernel, precision):
    assert 0 < report.seconds(kernel, report.SMALL, runtime, True, precision) < 60


def test_a_missing_torch_is_said(tmp_path):
    taken, said = report.torch_seconds(report.SMALL, False, True, "false")
    assert taken is None
    assert said == "no message"


def test_answers_and_states_are_compared():
    answers = [{"prediction": "1", "score": -0.5}, {"prediction": "2", "score": -1.0}]
    states = {name: np.zeros((2, 3), np.float32) for name in "abcd"} | {"lengths": np.array([9, 9])}
    assert all(check.passed for check in report.compared(answers, answers, states, dict(states)))
    other = {**states, "c": states["c"] + np.float32(2e-4)}
    same, scores, arrays = report.compared(answers, [answers[0], {"prediction": "3", "score": -1.1}], states, other)
    assert (same.passed, scores.passed, arrays.passed) == (False, False, False)
    assert arrays.found == "0.0002 in c, of 4 arrays"


def test_a_check_is_one_line():
    words = report.line(report.Check("speed", "3 times", "at least 5", False)).split()
    assert " ".join(words) == "FAIL speed 3 times (wanted: at least 5)"
