"""Single steps against the recurrent layers of Keras over whole sequences."""

import dataclasses

import keras
import numpy as np
import pytest
from minimal_gated_unit import MinimalGatedUnitCell  # noqa: F401  (imported by name)

from rnncli.config import CELLS, BuiltInCell, ClassifierModel, NextStepModel
from rnncli.data.examples import Sizes
from rnncli.data.vocabulary import Vocabulary
from rnncli.errors import DataError, InputError
from rnncli.inference.stepper import Stepper
from rnncli.layers import KernelChoice
from rnncli.layers.cells import keras_layer
from rnncli.models import make_model

pytestmark = pytest.mark.usefixtures("runtime")

SYMBOLS = Vocabulary.of("abcdef")
SIZES = Sizes(source_symbols=6, source_steps=5, target_symbols=6, target_steps=5, per_step=True)
NUMBERS = Sizes(source_symbols=0, source_steps=5, target_symbols=3, target_steps=1, features=3)
IDS = np.random.default_rng(3).integers(0, 6, (3, 5))
UNBOUNDED = 50
"""Large enough for weights to close gates fully."""


@pytest.fixture(autouse=True)
def cell_without_numpy(monkeypatch):
    """A cell that TensorFlow has to run."""
    entry = BuiltInCell(keras_cell="minimal_gated_unit:MinimalGatedUnitCell", states=("h",), gates=2)
    monkeypatch.setitem(CELLS, "mgu", entry)


def model(sizes=SIZES, scale=0.6, **section):
    kind, name = (NextStepModel, "next_step") if sizes.per_step else (ClassifierModel, "classifier")
    config = kind.model_validate({"type": name, "units": 4, **section})
    kernel = "fused" if CELLS[config.cell].fused_kernel else "cell"
    made = make_model(config, sizes, config.cell, KernelChoice(kernel, "a test"))
    rng = np.random.default_rng(5)
    made.assign({name: rng.normal(0, scale, a.shape).astype(np.float32) for name, a in made.arrays().items()})
    return made


def stepper(batch=3, **section):
    return Stepper(model(**section), SYMBOLS, batch, "/CPU:0")


def read(steps, inputs):
    return [steps.step(inputs[:, t]) for t in range(inputs.shape[1])]


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn", "mgu"])
@pytest.mark.parametrize("section", [{}, {"layers": 2, "embedding": 3}], ids=["one hot", "stacked"])
def test_steps_equal_the_whole_sequence(cell, section):
    made = model(cell=cell, **section)
    outputs, final = made.unroll(IDS, None)
    steps = Stepper(made, SYMBOLS, 3, "/CPU:0")
    found = read(steps, IDS)
    np.testing.assert_allclose(np.stack([step.outputs for step in found], axis=1), outputs, atol=1e-6)
    np.testing.assert_allclose(np.stack([step.logits for step in found], axis=1), made.output(outputs), atol=1e-5)
    assert steps.state.keys() == final.keys()
    for name, value in final.items():
        np.testing.assert_allclose(steps.state[name], value, atol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
def test_steps_equal_the_keras_layer_even_where_gates_close(cell):
    made = model(NUMBERS, scale=UNBOUNDED, cell=cell)
    inputs = np.random.default_rng(0).normal(size=(3, 5, 3)).astype(np.float32)
    layer = keras_layer(cell)(4, return_sequences=True)
    layer.build((None, None, 3))
    layer.set_weights([array for name, array in made.arrays().items() if name.startswith("rnn_0/")])
    found = [step.outputs for step in read(Stepper(made, None, 3, "/CPU:0"), inputs)]
    np.testing.assert_allclose(np.stack(found, axis=1), layer(keras.ops.convert_to_tensor(inputs)), atol=1e-5)


def test_pooled_outputs_have_no_logits_at_a_step():
    made = model(NUMBERS, pooling="mean")
    assert Stepper(made, None, 1, "/CPU:0").step([[0.1, 0.2, 0.3]]).logits is None


@pytest.mark.parametrize("cell", ["gru", "mgu"])
def test_stored_state_goes_on_to_the_same_bits(cell):
    steps = stepper(cell=cell)
    read(steps, IDS[:, :2])
    stored = steps.state
    ends = read(steps, IDS[:, 2:])
    steps.state = stored
    for one, other in zip(read(steps, IDS[:, 2:]), ends, strict=True):
        np.testing.assert_array_equal(one.outputs, other.outputs)


def test_symbols_and_their_ids_are_the_same_step():
    np.testing.assert_array_equal(stepper().step(["a", "f", "b"]).outputs, stepper().step([0, 5, 1]).outputs)


@pytest.mark.parametrize("rows", [[1], np.array([False, True, False]), slice(1, 2)], ids=["list", "mask", "slice"])
def test_reset_of_some_rows_leaves_the_others(rows):
    steps = stepper(cell="lstm")
    steps.step([0, 1, 2])
    before = steps.state
    steps.reset(rows)
    for name, value in steps.state.items():
        np.testing.assert_array_equal(value[1], 0)
        np.testing.assert_array_equal(value[[0, 2]], before[name][[0, 2]])


def test_reset_and_set_of_some_states_leave_the_others():
    steps = stepper(cell="lstm")
    steps.step([0, 1, 2])
    before = steps.state
    steps.reset(names=["rnn/0/forward/c"])
    steps.set_state({"rnn/0/forward/h": np.ones((1, 4))}, rows=[2])
    assert not steps.state["rnn/0/forward/c"].any()
    np.testing.assert_array_equal(steps.state["rnn/0/forward/h"][2], 1)
    np.testing.assert_array_equal(steps.state["rnn/0/forward/h"][:2], before["rnn/0/forward/h"][:2])


def test_states_and_results_are_copies_or_stay_as_they_were():
    steps = stepper(cell="gru")
    first = steps.step([0, 1, 2]).outputs
    kept = first.copy()
    before = steps.state
    steps.state["rnn/0/forward/h"][:] = 7
    steps.step([0, 1, 2]).outputs[:] = 7
    steps.state = before
    steps.reset([0])
    steps.step([1, 1, 1])
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("inputs", [[0, 1], [[0], [1], [2]], [0.5, 1, 2], "abc", [0, 1, 6], [-1, 0, 0], None])
def test_inputs_that_do_not_fit_are_refused_and_change_nothing(inputs):
    steps = stepper()
    steps.step([0, 1, 2])
    before = steps.state
    with pytest.raises(InputError, match="inputs"):
        steps.step(inputs)
    for name, value in steps.state.items():
        np.testing.assert_array_equal(value, before[name])


def test_unknown_symbols_are_refused():
    with pytest.raises(DataError, match="z"):
        stepper().step(["a", "z", "b"])


@pytest.mark.parametrize("inputs", [[1, 2, 3], [["a", "b", "c"]], [[1, 2]]])
def test_numbers_that_do_not_fit_are_refused(inputs):
    with pytest.raises(InputError, match="inputs"):
        Stepper(model(NUMBERS), None, 1, "/CPU:0").step(inputs)


@pytest.mark.parametrize(
    ("states", "rows"),
    [({"x": np.zeros((3, 4))}, None), ({"rnn/0/forward/h": np.zeros((2, 4))}, None), ({}, [3]), ({}, [True])],
)
def test_states_and_rows_that_do_not_fit_are_refused(states, rows):
    with pytest.raises(InputError):
        stepper().set_state(states, rows)


def test_changed_outputs_change_no_state_and_no_names_reset_none():
    steps = stepper(cell="gru")
    steps.step([0, 1, 2]).outputs[:] = 7
    before = steps.state
    assert np.abs(before["rnn/0/forward/h"]).max() <= 1
    steps.reset(names=[])
    np.testing.assert_array_equal(steps.state["rnn/0/forward/h"], before["rnn/0/forward/h"])


def test_states_that_are_no_arrays_are_refused():
    with pytest.raises(InputError, match="states"):
        stepper().set_state({"rnn/0/forward/h": [[1.0], [1.0, 2.0]]})


def test_bidirectional_layers_and_empty_batches_are_refused():
    with pytest.raises(InputError, match="bidirectional"):
        Stepper(model(dataclasses.replace(SIZES, per_step=False), bidirectional=True), SYMBOLS, 1, "/CPU:0")
    with pytest.raises(InputError, match="batch"):
        stepper(batch=0)
