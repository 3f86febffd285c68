"""Run directories as training writes them, without the training: their weights are random."""

import numpy as np

from rnncli.config import load_config
from rnncli.data.tasks import build_task
from rnncli.models import build_model
from rnncli.runs.checkpoints import WEIGHTS
from rnncli.runs.directory import RunDir
from rnncli.runs.train_state import TrainState


def write_untrained_run(path, config_path, overrides=(), seed=3):
    """Write the run of a config that is not stateful, for tests that ask a model and need not have trained it."""
    config = load_config(str(config_path), overrides)
    assert not config.stateful
    task = build_task(config)
    model = build_model(config, task.sizes)
    rng = np.random.default_rng(seed)
    weights = {name: rng.normal(0, 0.7, array.shape).astype(np.float32) for name, array in model.arrays().items()}
    run = RunDir.create(path, config)
    run.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
    run.save_checkpoint(TrainState(step=1, metrics={"epoch": 1, "exact_match": 0.0}), {WEIGHTS: weights}, True, 1)
    return path
