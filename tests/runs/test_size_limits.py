"""Limits on the size of a run's arrays, which follow from its config."""

import math

import pytest

from rnncli.config import parse_config
from rnncli.data.tasks import build_task
from rnncli.models import build_model
from rnncli.runs.size_limits import max_checkpoint_bytes
from rnncli.training.optimizer import build_optimizer

ADDITION = "task: {type: addition, digits: 2, examples: 60, held_out: 6}"
TEXT = "task: {type: text, window: 5, windows: 48, held_out: 16}"
MODELS = [
    f"{ADDITION}\nmodel: {{type: encoder_decoder, encoder: {{units: U}}, decoder: {{units: U}}}}",
    f"{ADDITION}\nmodel: {{type: repeat_vector, cell: gru, encoder: {{units: U}}, decoder: {{units: U, layers: 3}}}}",
    f"{ADDITION}\nmodel: {{type: encoder_decoder, bridge: dense, "
    "encoder: {units: U, layers: 3, bidirectional: true}, decoder: {units: 5, layers: 2}}",
    f"{ADDITION}\nmodel: {{type: encoder_decoder, attention: additive, input_feeding: true, bridge: dense, "
    "encoder: {units: U, bidirectional: true, embedding: 3}, decoder: {units: U, embedding: 70, tied: true}}",
    f"{ADDITION}\nmodel: {{type: encoder_decoder, cell: simple_rnn, attention: general, "
    "encoder: {units: U, embedding: 90}, decoder: {units: U, embedding: 3, tied: true}}",
    f"{TEXT}\nmodel: {{type: next_step, units: U, layers: 2, stateful: true}}\ntraining: {{batch_size: 16}}",
    f"{TEXT}\nmodel: {{type: next_step, units: U, symbols: number}}",
    f"{TEXT}\nmodel: {{type: next_step, units: U, embedding: 70}}",
    "task: image_rows\nmodel: {type: classifier, units: U, bidirectional: true, pooling: mean}",
]


@pytest.mark.parametrize("units", [1, 48])
@pytest.mark.parametrize("text", MODELS)
def test_checkpoints_of_every_model_are_below_their_size_limit(runtime, text, units):
    config = parse_config(text.replace("U", str(units)), "c")
    task = build_task(config)
    model = build_model(config, task.sizes, runtime.on_gpu)
    optimizer = build_optimizer(config.training, 10)
    optimizer.build(model.network.trainable_variables)
    count = model.network.count_params()
    assert config.model.min_parameters(task.sizes.source_symbols, task.sizes.target_symbols) <= count
    most = config.model.max_parameters(
        task.sizes.source_symbols + task.sizes.target_symbols + (task.sizes.features or 0)
    )
    assert count <= most
    assert (
        sum(math.prod(variable.shape) for variable in optimizer.variables)
        <= 4 * most
        < max_checkpoint_bytes(config, task)
    )


def test_size_limit_grows_with_the_vocabulary():
    config = parse_config(MODELS[0].replace("U", "8"), "c")
    assert config.model.min_parameters(1_000_000, 10) > 8_000_000
