"""The variables that a checkpoint holds."""

import numpy as np
import pytest

from rnncli.config import parse_config
from rnncli.config.optimizers import OPTIMIZERS
from rnncli.data.tasks import build_task
from rnncli.training.batches import Batches, build_step
from rnncli.training.state_dict import TrainingVariables

TINY = """
task: {{type: addition, digits: 1, examples: 55, held_out: 9}}
model: {{type: repeat_vector, encoder: {{units: 6}}, decoder: {{units: 6}}}}
training: {{optimizer: {}}}
"""


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_assign_refuses_wrong_arrays_before_changing_any_variable(runtime, optimizer, precision):
    from rnncli.models import build_model

    config = parse_config(TINY.format(optimizer), "c")
    config = config.model_copy(update={"runtime": config.runtime.model_copy(update={"precision": precision})})
    task = build_task(config)
    examples = task.splits()[0]
    with runtime.strategy.scope():
        model = build_model(config, task.sizes)
    step = build_step(config, Batches(config, examples, 1), model, runtime)
    variables = TrainingVariables(model, step.optimizer, {}, 1)
    before = variables.arrays()
    assert any("iteration" in name for name in before["optimizer.safetensors"])
    for file in ("weights.safetensors", "optimizer.safetensors"):
        for name, value in before[file].items():
            changes = [np.zeros((*value.shape, 2), value.dtype), value.astype(np.float64)]
            changes += [np.full_like(value, np.nan)] if value.dtype.kind == "f" else []
            for changed in changes:
                given = {key: {k: v + 1 for k, v in named.items()} for key, named in before.items()}
                given[file][name] = changed
                with pytest.raises(Exception, match=name):
                    variables.assign(given)
        with pytest.raises(Exception, match="is missing"):
            variables.assign({**before, file: {}})
    for file, named in variables.arrays().items():
        for name, value in named.items():
            np.testing.assert_array_equal(value, before[file][name])
    changed = {key: {k: v + 1 for k, v in named.items()} for key, named in before.items()}
    variables.assign(changed)
    for file, named in variables.arrays().items():
        for name, value in named.items():
            np.testing.assert_array_equal(value, changed[file][name])
