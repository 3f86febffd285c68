"""Runs of random weights, straight from a config, without training."""

from pathlib import Path

import numpy as np

from rnncli.config import parse_config
from rnncli.data.tasks import build_task
from rnncli.models import build_model
from rnncli.runs.checkpoints import CheckpointRecord
from rnncli.runs.directory import SavedRun

PAIRS = "{type: pairs, train: pairs.tsv, validation: pairs.tsv, max_source_length: 8, max_target_length: 7}"
TAGGED = (
    "{type: pairs, train: tagged.tsv, validation: tagged.tsv, max_source_length: 8, max_target_length: 7, "
    "columns: {source: 1, target: 2, features: 3}, features: encoder, max_features: 3}"
)
SHARED = PAIRS.replace("type: pairs", "type: pairs, shared_vocabulary: true")
ADDITION = "{type: addition, digits: 2, examples: 60, held_out: 20}"
TEXT = "{type: text, window: 5, windows: 16, held_out: 12}"
TAGS = ("PST", "PRS;SG")
WORDS = ("ab", "ba", "abc", "cbad", "dabcab", "d")


def random_run(task, model, seed=3):
    """Return a run of a model, and the model; writes files of pairs into the current directory for tasks of pairs."""
    Path("pairs.tsv").write_text("".join(f"{word}\t{word[::-1]}\n" for word in WORDS))
    if "tagged.tsv" in task and not Path("tagged.tsv").exists():
        Path("tagged.tsv").write_text("".join(f"{word}\t{word[::-1]}\tV;{tag}\n" for word in WORDS for tag in TAGS))
    config = parse_config(f"task: {task}\nmodel: {model}\ntraining: {{batch_size: 4}}\n", "test")
    built_task = build_task(config)
    built = build_model(config, built_task.sizes)
    rng = np.random.default_rng(seed)
    arrays = built.arrays()
    weights = {name: rng.normal(0, 0.7, array.shape).astype(np.float32) for name, array in arrays.items()}
    built.assign(weights)
    carried = {}
    if config.stateful:
        carried = {name: np.zeros((4, *shape), np.float32) for name, shape in built.state_spec.items()}
    return SavedRun(Path("run"), config, built_task, weights, CheckpointRecord(), carried), built
