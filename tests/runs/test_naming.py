"""Default names of runs."""

from datetime import datetime

import pytest

from rnncli.config import parse_config
from rnncli.runs.naming import MAX_WORDS, default_name

CONFIG = parse_config("task: addition\nmodel: encoder_decoder", "c.yaml")
NOW = datetime(2026, 11, 28, 22, 43, 9)


@pytest.mark.parametrize(
    ("path", "overrides", "name"),
    [
        ("configs/addition.yaml", ["model.cell=gru"], "addition-gru"),
        ("my config.yaml", [], "my_config"),
        ("addition.yaml", ["training.seed=1", "model.encoder.units=64"], "addition-seed1-units64"),
        ("addition.yaml", ["model.attention=none", "task.reverse=true"], "addition-attentionnone-reversetrue"),
        ("addition.yaml", ["task.train=../data/big.tsv", "model.cell={class: a:B}"], "addition-big-cell"),
        ("addition.yaml", ["training.learning_rate=-1e-3"], "addition-learning_rate1e_3"),
        ("addition.yaml", ["runtime.device=cpu", "checkpoint.every=epoch"], "addition"),
        ("-", [], "addition-encoder_decoder"),
        (None, [], "addition-encoder_decoder"),
    ],
)
def test_names_say_config_and_overrides(path, overrides, name):
    assert default_name(CONFIG, path, overrides, NOW) == f"{name}-20261128-224309"


def test_long_names_are_cut():
    overrides = [f"training.some_key_{n}={n}" for n in range(30)]
    assert len(default_name(CONFIG, "addition.yaml", overrides, NOW)) <= len("addition--20261128-224309") + MAX_WORDS
