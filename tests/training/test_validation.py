"""Metrics and samples of held-out examples."""

import numpy as np
import pytest

from rnncli.config import parse_config
from rnncli.data.tasks import build_task
from rnncli.inference.decoder import Decoder
from rnncli.metrics import METRICS
from rnncli.models import build_model
from rnncli.training.validation import Validator

TINY = "{task: {type: addition, digits: 6, examples: 80, held_out: 60}, model: %s, training: {epochs: 2}}"


@pytest.mark.parametrize("model", ["encoder_decoder", pytest.param("repeat_vector", marks=pytest.mark.long)])
def test_metrics_are_those_of_the_predicted_ids(runtime, model):
    config = parse_config(TINY % f"{{type: {model}, encoder: {{units: 4}}, decoder: {{units: 4}}}}", "tiny")
    task = build_task(config)
    _, held_out = task.splits()
    decoder = Decoder(build_model(config, task.sizes, on_gpu=False), runtime)
    metrics = {name: METRICS[name] for name in ("symbol_accuracy", "exact_match")}
    found = Validator(decoder, task, held_out, metrics, model).measure({})
    predicted = decoder(held_out.source, held_out.source_lengths).ids
    counted = np.arange(held_out.target.shape[1]) < held_out.target_lengths[:, None]
    right = (predicted == held_out.target)[counted]
    assert found == {"symbol_accuracy": pytest.approx(right.mean()), "exact_match": 0.0}
