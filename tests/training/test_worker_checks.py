"""Checks among workers, with the others played by the test: weights that drift, random cells, shared state."""

from types import SimpleNamespace

import numpy as np
import pytest

from rnncli.cluster.layout import Cluster
from rnncli.errors import InputError, RunFailedError
from rnncli.runs.arrays import weights_digest
from rnncli.runs.checkpoints import SEEDS, WEIGHTS
from rnncli.runs.train_state import TrainState
from rnncli.training.job import read_resumed
from rnncli.training.sharing import pack, unpack

CONFIG = """\
task: {type: addition, digits: 1, examples: 55, held_out: 9}
model: {type: repeat_vector, encoder: {units: 2}, decoder: {units: 2}}
"""
STATE = {"weight": np.arange(3, dtype=np.float32)}


class Together:
    """Three workers, of which this is the first; the others add what they are given.

    Args:
        others: The weights of the others.
    """

    count, index, resume = 3, 0, "resume"
    cluster = Cluster(("a:1", "b:2", "c:3"), 0, "test")

    def __init__(self, *others):
        self.others = others

    def total(self, digests):
        for number, weights in enumerate(self.others, start=1):
            digests[number] = np.frombuffer(bytes.fromhex(weights_digest(weights)), np.uint32)
        return digests


@pytest.fixture
def trainer(runtime):
    """Returns a function that makes a trainer of which only the checks can be called."""
    from rnncli.training.loop import Trainer

    def make(**attributes):
        made = object.__new__(Trainer)
        made.__dict__.update(state=TrainState(step=5), **attributes)
        return made

    return make


def changed():
    return {"weight": np.nextafter(STATE["weight"], np.float32(9))}


def test_workers_of_the_same_weights_go_on(trainer):
    trainer(workers=Together(STATE, STATE), model=SimpleNamespace(arrays=lambda: STATE))._refuse_drift()


@pytest.mark.parametrize(
    ("others", "named"), [((STATE, changed()), ["worker 2 (c:3)"]), ((changed(),) * 2, ["worker 1 (b:2)", "(c:3)"])]
)
def test_workers_whose_weights_drift_apart_are_named(trainer, others, named):
    drifting = trainer(workers=Together(*others), model=SimpleNamespace(arrays=lambda: STATE))
    with pytest.raises(RunFailedError, match="after step 5") as refused:
        drifting._refuse_drift()
    assert all(name in refused.value.message for name in named)
    assert "resume" in refused.value.hint


def test_a_cell_that_draws_random_numbers_is_refused(trainer):
    before, after = {"seed": np.array([1, 0], np.uint32)}, {"seed": np.array([1, 1], np.uint32)}
    still = trainer(variables=SimpleNamespace(arrays=lambda: {SEEDS: before}))
    still._refuse_random_cells(before)
    trainer(variables=SimpleNamespace(arrays=lambda: {WEIGHTS: STATE}))._refuse_random_cells({})
    drawing = trainer(variables=SimpleNamespace(arrays=lambda: {SEEDS: after}))
    with pytest.raises(InputError, match=r"model\.cell") as refused:
        drawing._refuse_random_cells(before)
    assert "--workers 1" in refused.value.hint


@pytest.mark.parametrize("losses", [[], [[1.5, 0.1], [1e-30]]])
def test_a_training_state_is_sent_bit_for_bit(losses):
    of_steps = [np.array(part, np.float32) for part in losses]
    state = TrainState(
        epoch=2, step=9, best={"loss": 0.1}, losses=of_steps, gradient_norms=[2 * each for each in of_steps]
    )
    arrays = {WEIGHTS: STATE, SEEDS: {"a:b": np.array([2**32 - 1], np.uint32)}}
    found, others = unpack(pack(state, arrays))
    assert found.model_dump() == state.model_dump()
    none = np.zeros(0, np.float32)
    for name in ("losses", "gradient_norms"):
        sent, got = (np.concatenate([none, *getattr(each, name)]) for each in (state, found))
        np.testing.assert_array_equal(got, sent)
    assert others.keys() == arrays.keys()
    for file, values in arrays.items():
        for name, value in values.items():
            np.testing.assert_array_equal(others[file][name], value, strict=True)


def test_a_worker_without_the_run_directory_needs_the_config_to_resume(tmp_path):
    (tmp_path / "config.yaml").write_text(CONFIG)
    with pytest.raises(InputError, match="which this worker reads the config from") as refused:
        read_resumed(tmp_path / "nowhere", None, ())
    assert "rnncli train CONFIG --resume RUN" in refused.value.hint
    inputs = read_resumed(tmp_path / "nowhere", str(tmp_path / "config.yaml"), ["training.seed=3"])
    assert (len(inputs.splits[0]), inputs.config.training.seed) == (46, 3)
    assert not (tmp_path / "nowhere").exists()
