"""`rnncli export-states`, through the command line."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from untrained_run import write_untrained_run

from rnncli.cli.main import main

pytestmark = pytest.mark.usefixtures("runtime")

TINY = """
task: {type: addition, digits: 2, examples: 300, held_out: 20}
model: {type: MODEL, cell: CELL, encoder: {units: 6, layers: LAYERS, bidirectional: true}, decoder: {units: 5}}
training: {epochs: 1, batch_size: 70}
"""
SUMS = ["12+34", "7+8", "99+1"]


def rnncli(*arguments, stdin=None):
    return CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)


def write_run(folder, model, cell, layers=1):
    config = TINY.replace("MODEL", model).replace("CELL", cell).replace("LAYERS", str(layers))
    (folder / "tiny.yaml").write_text(config)
    return write_untrained_run(folder / "run", folder / "tiny.yaml")


@pytest.fixture(scope="module")
def run(tmp_path_factory, runtime):
    return write_run(tmp_path_factory.mktemp("run"), "encoder_decoder", "lstm", layers=2)


@pytest.fixture(scope="module")
def exported(run):
    path = run / "../all.npz"
    result = rnncli("export-states", run, *SUMS, "-o", path, "--which", "h,c,output,final")
    assert result.exit_code == 0, result.stderr
    return load(path)


def load(path):
    with np.load(path) as file:
        return dict(file)


def weights(run):
    from safetensors.numpy import load_file

    name = (run / "checkpoints/best").read_text().strip()
    return load_file(run / "checkpoints" / name / "weights.safetensors")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, kernel, recurrent, bias, h, c):
    """i, f, o = sigmoid; c = f * c + i * tanh; h = o * tanh(c)."""
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru(x, kernel, recurrent, bias, h):
    """With reset_after: the reset gate acts on the recurrent product, which has its own bias."""
    x_z, x_r, x_h = np.split(x @ kernel + bias[0], 3)
    h_z, h_r, h_h = np.split(h @ recurrent + bias[1], 3)
    z = sigmoid(x_z + h_z)
    return (z * h + (1 - z) * np.tanh(x_h + sigmoid(x_r + h_r) * h_h),)


def simple_rnn(x, kernel, recurrent, bias, h):
    return (np.tanh(x @ kernel + h @ recurrent + bias),)


BY_HAND = {"lstm": (lstm, "hc"), "gru": (gru, "h"), "simple_rnn": (simple_rnn, "h")}


def check_encoder(exported, arrays, cell):
    """The states of the lowest encoder layer are those of the equations, step by step, in both directions."""
    step, names = BY_HAND[cell]
    symbols = ["<pad>", "+", *"0123456789"]
    for row in range(len(SUMS)):
        length = int(exported["source_lengths"][row])
        inputs = np.eye(12)[[symbols.index(token) for token in exported["source_tokens"][row][:length]]]
        for direction in ("forward", "backward"):
            path = f"encoder_0/{direction}/{cell}_cell"
            values = [arrays[f"{path}/{name}"] for name in ("kernel", "recurrent_kernel", "bias")]
            states, steps = (np.zeros(6),) * len(names), []
            for x in inputs[::-1] if direction == "backward" else inputs:
                states = step(x, *values, *states)
                steps.append(states)
            for number, state in enumerate(names):
                expected = np.array([step[number] for step in steps])
                name = f"encoder/0/{direction}"
                found = exported[f"{name}/{state}"][row][:length]
                np.testing.assert_allclose(found, expected[::-1] if direction == "backward" else expected, atol=1e-5)
                np.testing.assert_allclose(exported[f"{name}/final/{state}"][row], expected[-1], atol=1e-5)


def test_names_and_shapes_are_those_of_the_state_dictionary(exported):
    for layer in ("encoder/0", "encoder/1"):
        for direction in ("forward", "backward"):
            for state in "hc":
                assert exported[f"{layer}/{direction}/{state}"].shape == (3, 5, 6)
                assert exported[f"{layer}/{direction}/final/{state}"].shape == (3, 6)
        assert exported[f"{layer}/output"].shape == (3, 5, 12)
    assert exported["decoder/0/forward/h"].shape == (3, 4, 5)
    assert exported["decoder/0/forward/final/c"].shape == (3, 5)


def test_states_are_those_of_an_lstm_by_hand_in_both_directions(run, exported):
    check_encoder(exported, weights(run), "lstm")


def test_the_decoder_goes_on_from_the_bridge_and_final_is_the_state_after_the_last_symbol(exported):
    for row in range(3):
        length = int(exported["target_lengths"][row])
        steps = exported["decoder/0/forward/h"][row]
        np.testing.assert_array_equal(exported["decoder/0/forward/final/h"][row], steps[length - 1])


def test_padding_is_zero_and_output_is_both_directions(exported):
    for row in range(3):
        length = int(exported["source_lengths"][row])
        for name in ("encoder/0/forward/h", "encoder/1/backward/c", "encoder/1/output"):
            assert not exported[name][row][length:].any()
        both = np.concatenate([exported["encoder/1/forward/h"][row], exported["encoder/1/backward/h"][row]], axis=-1)
        np.testing.assert_array_equal(exported["encoder/1/output"][row], both)


def test_predictions_are_those_of_predict(run, exported):
    assert exported["predictions"].tolist() == rnncli("predict", run, *SUMS).stdout.splitlines()
    assert exported["sources"].tolist() == SUMS


def test_the_manifest_says_where_the_states_come_from(run, exported):
    manifest = json.loads(str(exported["manifest"]))
    assert manifest["decoding"] == "free-running"
    assert manifest["cell"] == "lstm"
    assert manifest["config"]["model"]["encoder"]["layers"] == 2
    assert set(manifest["kernels"]) == {"encoder/0", "encoder/1", "decoder/0"}
    name = (run / "checkpoints/best").read_text().strip()
    checkpoint = json.loads((run / "checkpoints" / name / "checkpoint.json").read_text())
    assert manifest["weights_digest"] == checkpoint["weights_digest"]


def test_teacher_forcing_reads_the_given_target(run, tmp_path):
    lines = "12+34\t46\n12+34\t99\n"
    path = tmp_path / "forced.npz"
    result = rnncli("export-states", run, "--teacher-forced", "-o", path, "--layers", "decoder/0", stdin=lines)
    assert result.exit_code == 0, result.stderr
    states = load(path)
    h = states["decoder/0/forward/h"]
    assert states["target_tokens"].tolist() == [["4", "6", "<eos>"], ["9", "9", "<eos>"]]
    np.testing.assert_array_equal(h[0, 0], h[1, 0])  # the first step has read the begin symbol only
    assert (h[0, 1] != h[1, 1]).any()
    assert not [name for name in states if name.startswith("encoder/")]


@pytest.mark.long
def test_many_lines_come_in_order_whatever_the_batch(run, exported, tmp_path):
    (tmp_path / "many.txt").write_text("\n".join(SUMS * 200) + "\n")
    result = rnncli("export-states", run, "--input", tmp_path / "many.txt", "-o", tmp_path / "many.h5", "--quiet")
    assert result.exit_code == 0, result.stderr
    import h5py

    with h5py.File(tmp_path / "many.h5") as file:
        h = file["encoder/1/backward/h"][:]
    np.testing.assert_array_equal(h, np.tile(exported["encoder/1/backward/h"], (200, 1, 1)))


@pytest.mark.parametrize("cell", [pytest.param("gru", marks=pytest.mark.long), "simple_rnn"])
def test_other_cells_have_h_alone_and_it_is_that_of_the_equations(tmp_path, cell):
    run = write_run(tmp_path, "repeat_vector", cell)
    assert rnncli("export-states", run, *SUMS, "-o", tmp_path / "s.npz").exit_code == 0
    states = load(tmp_path / "s.npz")
    assert states["decoder/0/forward/h"].shape == (3, 3, 5)
    assert not [name for name in states if name.endswith("/c")]
    check_encoder(states, weights(run), cell)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layers", "encoder/7"], "--layers encoder/7: "),
        (["--which", "z"], "h, c, output, final"),
        (["--format", "npz", "--input", "missing.txt"], "missing.txt: "),
    ],
)
def test_what_cannot_be_exported_is_refused_and_nothing_is_written(run, tmp_path, arguments, message):
    sources = [] if "--input" in arguments else SUMS
    result = rnncli("export-states", run, *sources, "-o", tmp_path / "s.npz", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_bad_line_is_an_error_and_leaves_nothing(run, tmp_path):
    result = rnncli("export-states", run, "1+2", "x", "-o", tmp_path / "s.npz")
    assert result.exit_code == 2
    assert "argument:2: " in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_export_is_not_overwritten(run, tmp_path):
    (tmp_path / "s.npz").write_text("mine")
    result = rnncli("export-states", run, "1+2", "-o", tmp_path / "s.npz")
    assert result.exit_code == 2
    assert (tmp_path / "s.npz").read_text() == "mine"


@pytest.mark.parametrize(
    "command",
    [
        ("export-states", "-o"),
        ("predict", "--attention"),
        ("predict", "--state-out"),
        ("generate", "--state-out"),
    ],
)
def test_the_input_is_never_replaced_by_states(run, tmp_path, command):
    name, *options = command
    words = tmp_path / "words.npz"
    words.write_text("1+2\n")
    result = rnncli(name, run, "--input", words, *options, words, "--overwrite")
    assert (result.exit_code, words.read_text()) == (2, "1+2\n")
    assert "is an input" in result.stderr


def test_a_directory_with_the_input_is_never_replaced(run, tmp_path):
    folder = tmp_path / "projector"
    assert rnncli("export-states", run, "1+2", "-o", folder, "--format", "projector").exit_code == 0
    (folder / "words.txt").write_text("1+2\n")
    options = ["--input", folder / "words.txt", "-o", folder, "--format", "projector", "--overwrite"]
    result = rnncli("export-states", run, *options)
    assert (result.exit_code, (folder / "words.txt").read_text()) == (2, "1+2\n")
    assert "holds an input" in result.stderr


def test_a_plot_never_replaces_the_file_it_draws(run, tmp_path):
    drawn = tmp_path / "states.svg"
    assert rnncli("export-states", run, "1+2", "-o", drawn, "--format", "npz").exit_code == 0
    before = drawn.read_bytes()
    result = rnncli("plot", "states", drawn, "-o", drawn, "--overwrite")
    assert (result.exit_code, drawn.read_bytes()) == (2, before)
    assert "is an input" in result.stderr


@pytest.mark.parametrize("name", ["nothing.txt", "x" * 300])
def test_an_input_that_cannot_be_read_is_the_users(run, tmp_path, name):
    result = rnncli("export-states", run, "--input", tmp_path / name, "-o", tmp_path / "s.npz")
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])


@pytest.mark.parametrize("option", ["--attention", "--state-out"])
def test_an_existing_file_is_refused_with_the_name_of_its_option(run, tmp_path, option):
    (tmp_path / "s.npz").write_text("mine")
    result = rnncli("predict", run, "1+2", option, tmp_path / "s.npz")
    assert (result.exit_code, (tmp_path / "s.npz").read_text()) == (2, "mine")
    assert option in result.stderr
    assert "--output" not in result.stderr
