"""A cell added from outside, by one entry in the table of cells and one file, works everywhere."""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from minimal_gated_unit import MinimalGatedUnitCell
from npz_files import read_npz

from rnncli import load
from rnncli.cli.main import main
from rnncli.config import CELLS, BuiltInCell, Stack, parse_config
from rnncli.data.examples import Examples, Sizes
from rnncli.errors import ConfigError
from rnncli.layers import BuiltInRecurrent, KernelChoice, RecurrentStack, choose_kernel
from rnncli.runtime.flops import needed_flop

pytestmark = pytest.mark.usefixtures("runtime")

CONFIG = """
task: {type: addition, digits: 1, examples: 55, held_out: 5}
model: {type: encoder_decoder, cell: mgu, attention: general, encoder: {units: 8, bidirectional: true},
  decoder: {units: 16}}
training: {epochs: 2, batch_size: 10, learning_rate: 1e-2}
"""


@pytest.fixture(autouse=True)
def mgu(monkeypatch):
    """The entry: all that has to be added besides the file of the cell."""
    entry = BuiltInCell(keras_cell="minimal_gated_unit:MinimalGatedUnitCell", states=("h",), gates=2)
    monkeypatch.setitem(CELLS, "mgu", entry)


def rnncli(*arguments):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.mark.long
def test_new_cell_trains_predicts_and_exports_states(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG)
    rnncli("train", "c.yaml", "--run-dir", "run", "--quiet")
    losses = [json.loads(line)["loss"] for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]
    kernels = json.loads(Path("run/manifest.json").read_text())["kernels"]
    assert {name: kernel["kernel"] for name, kernel in kernels.items()} == {
        "encoder/0": "generic",
        "decoder/0": "generic",
    }
    assert "mgu" in kernels["encoder/0"]["reason"]
    assert "encoder/0" in rnncli("summary", "c.yaml")

    run = load("run")
    (prediction,) = run.predict(["1+2"])
    Path("in.txt").write_text("1+2\n")
    rnncli("export-states", "run", "--input", "in.txt", "--output", "states.npz")
    states = read_npz("states.npz")
    name = next(name for name in states if name.endswith("encoder/0/forward/h"))
    assert states[name].shape == (1, 3, 8)
    assert rnncli("predict", "run", "1+2").strip() == prediction.text


def test_init_template_offers_the_new_cell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("words.tsv").write_text("ab\tA B\nba\tB A\nc\tC\n")
    rnncli("init", "words.tsv", "--validation", "words.tsv", "--output", "c.yaml")
    assert "mgu" in next(line for line in Path("c.yaml").read_text().splitlines() if "cell:" in line)


def test_flop_of_a_new_cell_are_counted_by_its_gates():
    lengths = np.array([7])
    examples = Examples(np.zeros((1, 7)), lengths, np.zeros((1, 4)), np.array([4]))
    model = parse_config("task: addition\nmodel: {type: encoder_decoder, cell: mgu}", "c").model
    wanted = 6 * (10 * 128 * 2 * 128 + 4 * 128 * 12)  # 6 recurrent products of the encoder and 4 of the decoder
    assert needed_flop(model, Sizes(12, 7, 12, 4), examples) == wanted


def test_automatic_kernel_of_a_cell_without_a_fused_one_is_generic():
    for on_gpu in (False, True):
        choice = choose_kernel("mgu", "auto", on_gpu)
        assert choice.kernel == "generic"
        assert "mgu has no fused kernel" in choice.reason


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("runtime: {kernel: fused}\nmodel: {type: encoder_decoder, cell: mgu}", r"c:2: runtime\.kernel: .*mgu"),
        (
            "model: {type: encoder_decoder, cell: mgu, encoder: {recurrent_dropout: 0.1}}",
            r"c:2: model\.encoder\.recurrent_dropout: .*mgu",
        ),
        ("model: {type: encoder_decoder, cell: mgv}", r"c:2: model\.cell: .*did you mean mgu"),
    ],
)
def test_config_knows_the_new_cell_and_its_limits(text, place):
    with pytest.raises(ConfigError, match=place):
        parse_config(f"task: addition\n{text}", "c")


@pytest.mark.parametrize("kernel", ["generic", "cell"])
def test_traced_states_of_a_new_cell_are_those_of_its_steps(kernel):
    stack = RecurrentStack("rnn", "mgu", Stack(units=3, layers=2), KernelChoice(kernel, "a test"))
    x = tf.random.stateless_normal([2, 4, 5], [1, 2])
    lengths = tf.constant([4, 2])
    _, final, arrays = stack.trace(x, lengths)
    assert [layer.kind for layer in stack.layers] == ["RNN(MinimalGatedUnitCell)"] * 2
    for t in range(4):
        _, state = stack(x[:, : t + 1], tf.minimum(lengths, t + 1))
        for name, value in state.items():
            np.testing.assert_allclose(arrays[name][:, t], value, atol=1e-6)
    np.testing.assert_array_equal(final["rnn/1/forward/h"], arrays["rnn/1/forward/h"][:, 3])


def test_outputs_of_a_new_cell_are_those_of_the_cell_stepped_by_hand():
    layer = BuiltInRecurrent("mgu", 3, KernelChoice("generic", "a test"), "rnn/0")
    x = tf.random.stateless_normal([2, 4, 5], [1, 2])
    output, _ = layer(x)
    cell = MinimalGatedUnitCell(3)
    cell.build((None, 5))
    cell.set_weights(layer.get_weights())
    states = [tf.zeros([2, 3])]
    for t in range(4):
        h, states = cell(x[:, t], states)
        np.testing.assert_allclose(output[:, t], h, atol=1e-6)
    assert layer.weights[0].path == "rnn_0/forward/mgu_cell/kernel"
