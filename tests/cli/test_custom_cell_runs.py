"""Runs of custom cells through the command line: asked, their states out and in, and their code trusted or not."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cell_config import CONFIG, ROOT, rnncli

import rnncli as api
from rnncli.errors import InputError, RunDirError
from rnncli.states.reader import read_states

ROWS = ["1,2,3,4,5,6", "1 2 3 4 5 6 0.5 0.5 -1 -1 2 2", "0,0,0,0,0,1"]
MARKER = "\nfrom pathlib import Path\nPath('executed').touch()\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run, trained where the config and the cell are."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "nested.yaml").write_text(CONFIG)
    (folder / "my_cell.py").write_text((ROOT / "configs/nested_cell.py").read_text() + MARKER)
    result = rnncli("train", folder / "nested.yaml", "--run-dir", folder / "run", "-q")
    assert result.exit_code == 0, result.stderr
    Path("executed").unlink()
    return folder / "run"


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A copy of the run elsewhere, as somebody else would get it, in the current directory."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, tmp_path / "run")
    return Path("run")


def ask(run, *more):
    result = rnncli("predict", run, *ROWS, "--trust-code", "--format", "jsonl", *more)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line)["probabilities"] for line in result.stdout.splitlines()]


def test_the_run_keeps_the_source_of_its_cell_and_answers_with_it(trained, run):
    assert (run / "code/my_cell.py").read_text() == (trained.parent / "my_cell.py").read_text()
    before = sorted(run.rglob("*"))
    assert len(ask(run)) == 3
    assert Path("executed").exists()
    assert sorted(run.rglob("*")) == before


def test_evaluating_gives_what_training_measured(run):
    result = rnncli("evaluate", run, "--trust-code", "--format", "json")
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert json.loads(result.stdout)["exact_match"] == max(epoch["exact_match"] for epoch in epochs)


@pytest.mark.long
def test_states_of_every_shape_are_exported_under_their_names(run):
    for file in ("s.npz", "s.h5", "s.safetensors"):
        result = rnncli("export-states", run, *ROWS, "--trust-code", "-o", file)
        assert result.exit_code == 0, result.stderr
        states = read_states(file)
        assert states.shapes == {
            f"rnn/0/{direction}/{name}": shape
            for direction in ("backward", "forward")
            for name, shape in [
                ("final/matrix", (2, 3)),
                ("final/vector", (3,)),
                ("matrix", (2, 2, 3)),
                ("vector", (2, 3)),
            ]
        }
        assert states.final["rnn/0/forward/matrix"].shape == (3, 2, 3)
        steps = states.arrays["rnn/0/forward/matrix"]
        np.testing.assert_allclose(steps[1, 1], states.final["rnn/0/forward/matrix"][1], atol=1e-6)
        assert not steps[0, 1:].any()
        assert steps[0, 0].any()


@pytest.mark.long
def test_other_formats_lay_each_state_out_as_a_vector(run):
    rnncli("export-states", run, *ROWS, "--trust-code", "-o", "s.npz")
    matrix = read_states("s.npz").arrays["rnn/0/forward/matrix"]
    which = ("--which", "matrix,final", "--layers", "rnn/0")
    for form, output in (("projector", "p"), ("lstmvis", "l"), ("neurox", "n.hdf5")):
        result = rnncli("export-states", run, *ROWS, "--trust-code", "-o", output, "--format", form, *which)
        assert result.exit_code == 0, result.stderr
    import h5py

    shown = json.loads(Path("p/manifest.json").read_text())["files"]
    assert len(shown) == 4  # all that were chosen
    for name, file in shown.items():
        np.testing.assert_allclose(np.loadtxt(f"p/{file}"), read_states("s.npz").arrays[name].reshape(3, -1))
    with h5py.File("l/states.hdf5") as file:
        np.testing.assert_allclose(file["rnn_0_forward_matrix"][1:3], matrix[1, :2].reshape(2, 6))
    with h5py.File("n.hdf5") as file:
        assert file["1"].shape == (2, 2, 6)


@pytest.mark.long
def test_states_go_out_and_in_again(run):
    plain = ask(run)
    assert ask(run, "--state-out", "out.safetensors") == plain
    file = read_states("out.safetensors")
    assert {name: value.shape for name, value in file.final.items()} == {
        f"rnn/0/{direction}/{name}": (3, *shape)
        for direction in ("forward", "backward")
        for name, shape in (("vector", (3,)), ("matrix", (2, 3)))
    }
    assert file.manifest["cell"] == "my_cell:NestedCell"
    assert ask(run, "--state-in", "zeros") == plain
    assert ask(run, "--state-in", "out.safetensors") != plain
    first = ask(run, "--state-in", "out.safetensors", "--state-row", "0")[0]
    assert first == ask(run, "--state-in", "out.safetensors")[0]


def test_states_of_any_shape_are_drawn(run):
    rnncli("export-states", run, *ROWS, "--trust-code", "-o", "s.npz")
    for more in (["--array", "rnn/0/forward/matrix"], ["--kind", "pca", "--array", "rnn/0/forward/final/matrix"], []):
        result = rnncli("plot-states", "s.npz", "-o", "figure.png", "--overwrite", *more)
        assert result.exit_code == 0, result.stderr
    result = rnncli("plot-states", "s.npz", "-o", "f.png", "--array", "rnn/0/forward/matrix", "--units", "6")
    assert "rnn/0/forward/matrix has units 0 to 5" in result.stderr


def test_a_state_that_the_model_has_not_is_refused_with_those_that_it_has(run):
    result = rnncli("export-states", run, ROWS[0], "--trust-code", "-o", "s.npz", "--which", "h")
    assert result.exit_code == 2
    assert "error: --which h: " in result.stderr
    assert "vector, matrix, output, final" in result.stderr


@pytest.mark.parametrize("command", [("predict", "1"), ("evaluate",), ("export-states", "1", "-o", "s.npz")])
def test_without_trust_nothing_is_executed_or_even_imported(run, command):
    code = (
        "import sys\nfrom rnncli.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert not {'tensorflow', 'keras'} & set(sys.modules)\n    raise\n"
    )
    name, *more = command
    shutil.copy(run / "code/my_cell.py", "my_cell.py")  # nor from the current directory
    result = subprocess.run(
        [sys.executable, "-c", code, name, "run", *more],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(Path.cwd())},
    )
    assert result.returncode == 2, result.stderr
    assert re.match("error: run: .*my_cell:NestedCell", result.stderr)
    assert "--trust-code" in result.stderr
    assert not Path("executed").exists()


def test_a_run_directory_is_no_place_for_the_modules_of_a_config(run):
    shutil.copy(run / "code/my_cell.py", run / "my_cell.py")
    for command in ("train", "summary"):
        result = rnncli(command, run / "config.yaml")
        assert result.exit_code == 2
        assert re.search(r"model\.cell\.class: .*my_cell", result.stderr)
    assert rnncli("validate", run / "config.yaml").exit_code == 0
    assert not Path("executed").exists()


def test_the_config_of_a_trusted_run_trains_anew_with_its_code(run):
    start = ("--set", "training.init_from=run", "--set", "training.epochs=1")
    result = rnncli("train", run / "config.yaml", *start, "--trust-code", "--run-dir", "new", "-q")
    assert result.exit_code == 0, result.stderr
    assert Path("new/code/my_cell.py").read_text() == (run / "code/my_cell.py").read_text()
    assert json.loads(Path("new/manifest.json").read_text())["init_from"]["new"] == {}


def test_code_is_trusted_of_a_run_only(run):
    shutil.copy(run / "config.yaml", "c.yaml")
    result = rnncli("train", "c.yaml", "--trust-code")
    assert (result.exit_code, "c.yaml: not the config of a run" in result.stderr) == (2, True)
    with pytest.raises(InputError, match=r"c\.yaml: not the config of a run"):
        api.train("c.yaml", trust_code=True)
    assert not Path("executed").exists()


@pytest.mark.parametrize("link", ["code", "code/my_cell.py"])
def test_code_behind_a_link_is_refused(run, link):
    (run / link).rename("elsewhere")
    (run / link).symlink_to(Path("elsewhere").resolve())
    result = rnncli("predict", run, ROWS[0], "--trust-code")
    assert result.exit_code == 2
    assert "code: " in result.stderr
    assert not Path("executed").exists()


def test_the_code_of_the_run_comes_before_that_of_the_current_directory(run):
    Path("my_cell.py").write_text("raise SystemError('this one is wrong')")
    ask(run)
    shutil.rmtree(run / "code")
    result = rnncli("predict", run, ROWS[0], "--trust-code")
    assert result.exit_code == 2
    assert "my_cell" in result.stderr
    assert "SystemError: this one is wrong" in result.stderr
    Path("my_cell.py").unlink()
    result = rnncli("predict", run, ROWS[0], "--trust-code")
    assert result.exit_code == 2
    assert "my_cell" in result.stderr


def test_from_python(run):
    with pytest.raises(RunDirError, match="my_cell"):
        api.load(run)
    loaded = api.load(run, trust_code=True)
    state = loaded.encode(ROWS)
    assert state["rnn/0/backward/matrix"].shape == (3, 2, 3)
    assert len(loaded.predict(ROWS, initial_state=state)) == 3
    inputs = np.random.default_rng(0).normal(size=(2, 3, 6))
    outputs, last = loaded.unroll(inputs)
    assert outputs.shape == (2, 3, 2 * (3 + 6))
    assert loaded.unroll(inputs, last)[1].keys() == last.keys()


@pytest.mark.long
def test_writing_states_does_not_change_what_an_encoder_decoder_starts_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(
        "task: {type: addition, digits: 1, examples: 55, held_out: 5}\n"
        "model: {type: encoder_decoder, cell: {type: custom, class: 'own:Start'}, "
        "encoder: {units: 4}, decoder: {units: 4}}\ntraining: {epochs: 1}\n"
    )
    Path("own.py").write_text("from custom_cells import Matrix as Start")
    assert rnncli("train", "c.yaml", "--run-dir", "run", "-q").exit_code == 0
    asked = ("predict", "run", "1+2", "9+9", "--trust-code", "--format", "tsv")
    assert rnncli(*asked).stdout == rnncli(*asked, "--state-out", "out.safetensors").stdout
    assert rnncli(*asked).stdout != rnncli(*asked, "--state-in", "zeros").stdout


@pytest.mark.long
def test_a_stateful_model_carries_the_states_of_a_custom_cell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cell = "model.cell={type: custom, class: 'custom_cells:Matrix', rows: 3}"
    config = ROOT / "configs/alphabet_stateful.yaml"
    result = rnncli("train", config, "--run-dir", "run", "--set", cell, "--set", "training.epochs=2", "-q")
    assert result.exit_code == 0, result.stderr
    result = rnncli("export-states", "run", "--carried", "-o", "c.safetensors", "--trust-code")
    assert result.exit_code == 0, result.stderr
    rows, units = read_states("c.safetensors").final["rnn/0/forward/vector"].shape
    assert read_states("c.safetensors").final["rnn/0/forward/matrix"].shape == (rows, 3, units)
    asked = ("predict", "run", *["ABC"] * rows, "--trust-code", "--format", "tsv", "--quiet")
    answers = rnncli(*asked, "--state-in", "carried")
    assert answers.exit_code == 0, answers.stderr
    assert answers.stdout == rnncli(*asked, "--state-in", "c.safetensors").stdout
