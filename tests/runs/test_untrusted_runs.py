"""Run directories from somebody else: nothing in them is executed unasked, read outside of them, or waited for."""

import ast
import os
import shutil
import socket
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from rnncli.cli.main import main
from rnncli.config import CustomCell, load_config, parse_config
from rnncli.data.tasks import build_task
from rnncli.data.tasks.image_rows import read_mnist
from rnncli.data.text_files import read_text
from rnncli.errors import InputError, RunDirError
from rnncli.export.exporter import export_into_run
from rnncli.files import MAX_JSON, read_plain
from rnncli.runs.checkpoints import OPTIMIZER, WEIGHTS
from rnncli.runs.directory import RunDir
from rnncli.runs.train_state import TrainState
from rnncli.runs.verification import Verification
from rnncli.runtime import user_code
from rnncli.runtime.run_files import RUN_MARKERS
from rnncli.runtime.user_code import ModuleSearchPath, config_search_path, import_module, run_search_path

ROOT = Path(__file__).parents[2]
CONFIG = "task: {type: nested}\nmodel: {type: classifier, cell: {type: custom, class: 'my_cell:Cell'}}\n"


def rnncli(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def stranger(tmp_path, monkeypatch):
    """A run directory with code in several places, in the current directory."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    for folder in (run, run / "code", run / "code/deep"):
        folder.mkdir()
        (folder / "my_cell.py").write_text(f"raise SystemExit({str(folder)!r})")
        (folder / "config.yaml").write_text(CONFIG)
    (run / "checkpoints").mkdir()
    return run


@pytest.mark.parametrize("inside", ["", "code", "code/deep"])
@pytest.mark.parametrize("config", ["run/config.yaml", "run/code/config.yaml", "elsewhere.yaml"])
def test_modules_are_not_imported_from_folders_in_a_run(stranger, monkeypatch, inside, config):
    config = stranger.parent / config
    (stranger.parent / "elsewhere.yaml").write_text(CONFIG)
    monkeypatch.chdir(stranger / inside)
    for command in (("train", config, "--run-dir", stranger.parent / "new"), ("summary", config)):
        result = rnncli(*command)
        assert "there is no module my_cell" in result.stderr
        assert f"; {config.parent if 'run' in config.parts else stranger / inside}" in result.stderr
        assert result.exit_code == 2


@pytest.mark.parametrize("package", [False, True])
def test_python_dash_m_in_a_run_imports_nothing_from_it(stranger, package):
    name = "config.yaml"
    if package:
        (stranger / "code/own").mkdir()
        shutil.move(stranger / "code/my_cell.py", stranger / "code/own/my_cell.py")
        (stranger / name).write_text(CONFIG.replace("my_cell", "own.my_cell"))
    result = subprocess.run(
        [sys.executable, "-m", "rnncli", "train", f"../{name}", "--run-dir", "../../new"],
        cwd=stranger / "code",
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "there is no module" in result.stderr


@pytest.mark.parametrize("sign", RUN_MARKERS)
def test_each_run_marker_makes_a_run_directory(tmp_path, monkeypatch, sign):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/config.yaml").touch()
    assert config_search_path("folder/config.yaml").after == (tmp_path / "folder", tmp_path)
    (tmp_path / "folder" / sign).touch()
    search_path = config_search_path("folder/config.yaml")
    assert (search_path.after, search_path.refused) == ((tmp_path,), (tmp_path / "folder",))
    (tmp_path / "folder/config.yaml").unlink()
    assert not config_search_path("folder/config.yaml").refused


@pytest.mark.parametrize("inside", ["", "code"])
def test_trust_in_a_run_is_none_in_the_run_of_the_current_directory(stranger, monkeypatch, inside):
    trusted = stranger.parent / "trusted"
    (trusted / "code").mkdir(parents=True)
    assert run_search_path(trusted, "my_cell:Cell", trusted=True).after == (stranger.parent,)
    monkeypatch.chdir(stranger / inside)
    search_path = run_search_path(trusted, "my_cell:Cell", trusted=True)
    assert (search_path.own, search_path.after, search_path.refused) == (trusted / "code", (), (stranger / inside,))
    with pytest.raises(InputError, match="my_cell"):
        import_module("my_cell", search_path)


def test_code_behind_links_is_refused(stranger):
    (stranger / "code/my_cell.py").unlink()
    os.mkfifo(stranger / "code/my_cell.py")
    with pytest.raises(InputError, match=r"code: "):
        user_code.run_search_path(stranger, "my_cell:Cell", True)


@pytest.fixture
def run(tmp_path):
    """A run with a checkpoint, of no interest."""
    run = RunDir.create(tmp_path / "run", parse_config("task: addition\nmodel: encoder_decoder", "c"))
    task = build_task(parse_config("task: addition\nmodel: encoder_decoder", "c"))
    run.write_vocabulary(task.source_vocabulary, task.target_vocabulary)
    run.save_checkpoint(TrainState(step=7), {WEIGHTS: {}, OPTIMIZER: {}}, True)
    return run


def fifo(path):
    os.mkfifo(path)


def link(path):
    path.symlink_to(path.with_name("elsewhere"))


def endless(path):
    path.symlink_to("/dev/zero")


def listening(path):
    before = Path.cwd()
    os.chdir(path.parent)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(path.name)
    os.chdir(before)


EXECUTING = {"pickle", "marshal", "shelve", "dill", "joblib", "tarfile", "subprocess", "runpy", "code"}
RUNS_FIXED_COMMANDS = {  # sysctl; rnncli itself; Python that writes a line
    "runtime/host.py",
    "cli/commands/bench.py",
    "cli/launching.py",
    "sweep/training.py",
    "engines/child.py",
    "runtime/workers.py",
}
LOADS_WHAT_IT_WROTE = {"export/keras_file.py"}  # and nothing else
BUILT_IN = {"eval", "exec", "compile", "__import__"}
METHODS = {"load_model", "system", "popen", "extract", "extractall", "unpack_archive", "full_load", "unsafe_load"}
READERS = {"np.load", "yaml.load", "torch.load"}


@pytest.mark.parametrize("path", sorted((ROOT / "rnncli").rglob("*.py")), ids=lambda path: path.name)
def test_files_of_a_run_are_never_unpickled_or_evaluated(path):
    """Only custom cells are executed, by runtime/user_code.py."""
    executing = (
        EXECUTING - {"subprocess"}
        if path.relative_to(ROOT / "rnncli").as_posix() in RUNS_FIXED_COMMANDS
        else EXECUTING
    )
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            assert not {alias.name for alias in node.names} & executing
            assert getattr(node, "module", None) not in executing
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in BUILT_IN
            given = {each.arg: ast.unparse(each.value) for each in node.keywords}
            assert called not in READERS or (called == "np.load" and given.get("allow_pickle") == "False")
            loads = path.relative_to(ROOT / "rnncli").as_posix() in LOADS_WHAT_IT_WROTE
            assert called.rpartition(".")[2] not in METHODS - ({"load_model"} if loads else set())
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert ast.unparse(node.value) == "False"


STEP = "checkpoints/00000007"
READ = ["config.yaml", "vocabulary.json", "checkpoints/best", f"{STEP}/checkpoint.json", f"{STEP}/{WEIGHTS}"]


@pytest.mark.parametrize("make", [fifo, link, endless, listening])
@pytest.mark.parametrize("name", READ)
def test_special_files_in_a_run_are_refused_by_name(run, name, make):
    path = run.path / name
    path.rename(path.with_name("elsewhere"))
    make(path)
    with pytest.raises(InputError) as refused:
        run.load()
    assert refused.value.message.startswith(f"{path}: not a regular file")


@pytest.mark.parametrize("name", ["checkpoints", STEP])
def test_directory_behind_a_link_is_refused(run, name):
    (run.path / name).rename(run.path / "elsewhere")
    (run.path / name).symlink_to(run.path / "elsewhere")
    with pytest.raises(InputError, match="not a regular file, or behind a link"):
        run.load()


def test_run_directory_may_be_a_link(run):
    link = run.path.with_name("link")
    link.symlink_to(run.path)
    assert RunDir(link).load().weights == {}
    with pytest.raises(InputError, match=r"/run/config\.yaml: "):
        RunDir(run.path / "config.yaml").load()


@pytest.mark.parametrize("name", READ)
def test_load_refuses_files_that_are_too_large(run, name):
    os.truncate(run.path / name, 2**28)  # a hole; of weights more than a model of this config has
    with pytest.raises(InputError, match=r"larger than [0-9,]+ bytes"):
        run.load()


def test_verify_refuses_files_that_are_too_large(run):
    (run.path / "metrics.jsonl").touch()
    os.truncate(run.path / "metrics.jsonl", 2**27)
    (run.path / "manifest.json").touch()
    os.truncate(run.path / "manifest.json", 2**23)
    os.truncate(run.path / STEP / WEIGHTS, 2**28)
    found = {check.name: check.problem for check in Verification(RunDir(run.path)).checks}
    assert "larger than" in found["manifest.json"]
    assert "larger than" in found[STEP]
    assert "larger than" in found["metrics.jsonl"]


def test_size_limits_leave_room_for_every_example_config():
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        config = load_config(str(path))
        if not isinstance(config.model.cell, CustomCell):
            symbols = 100
            least = config.model.min_parameters(symbols, symbols)
            assert 0 < 10 * least < config.model.max_parameters(2 * symbols)


def test_read_plain_reads_up_to_its_limit(tmp_path):
    (tmp_path / "file").write_bytes(b"1234")
    assert read_plain(tmp_path / "file", 4) == b"1234"
    with pytest.raises(InputError, match="larger than 3 bytes"):
        read_plain(tmp_path / "file", 3, tmp_path)
    assert MAX_JSON > 2**20


@pytest.mark.parametrize("read", [read_text, lambda path: read_mnist(path, (28, 28))])
def test_data_files_must_be_plain_files(tmp_path, read):
    os.mkfifo(tmp_path / "fifo")
    for path in (str(tmp_path / "fifo"), "/dev/zero"):
        with pytest.raises(InputError, match=f"{path}: not a regular file"):
            read(path)


def test_data_can_come_from_a_pipe(tmp_path):
    (tmp_path / "text").write_text("abc")
    (tmp_path / "link").symlink_to("text")
    assert read_text(str(tmp_path / "link")) == "abc"
    code = "from rnncli.data.text_files import read_text; print(read_text('/dev/stdin'))"
    env = {"PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", code], input=b"abc", capture_output=True, check=True, env=env)
    assert result.stdout == b"abc\n"


def cell_of(folder, class_="my_cell:Cell"):
    from rnncli.layers import load_cell

    return load_cell(CustomCell.model_validate({"type": "custom", "class": class_}), ModuleSearchPath((folder,)))


def test_error_names_a_file_hidden_by_an_installed_module(runtime, tmp_path):
    (tmp_path / "json.py").write_text("class Cell: pass")
    with pytest.raises(InputError, match="json has no Cell") as refused:
        cell_of(tmp_path, "json:Cell")
    assert f"{tmp_path}/json.py" in refused.value.hint


SOURCE = """
import keras
class Cell(keras.layers.Layer):
    def __init__(self, units):
        super().__init__()
        self.state_size, self.dense = units, keras.layers.Dense(units)
    def call(self, inputs, states):
        self.dense(inputs)
        raise ValueError("it fails")
"""


def test_failing_cell_gives_its_error_without_warnings(runtime, tmp_path):
    from rnncli.layers.custom_recurrent import CellAdapter

    (tmp_path / "my_cell.py").write_text(SOURCE)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with pytest.raises(InputError, match="cannot read a step: ValueError: it fails"):
            CellAdapter(cell_of(tmp_path), 3).build((None, 2))
    assert not shown


def test_custom_cell_works_without_the_private_counters_of_keras(runtime, tmp_path, monkeypatch):
    from rnncli.layers import custom_recurrent

    monkeypatch.setattr(custom_recurrent, "keras_globals", lambda: None)
    (tmp_path / "my_cell.py").write_text(
        SOURCE.replace("self.dense(inputs)\n", "return self.dense(inputs), states\n")
    )
    custom_recurrent.CellAdapter(cell_of(tmp_path), 3).build((None, 2))


@pytest.mark.parametrize("name", ["exports", "exports/onnx"])
def test_no_export_is_written_behind_a_link(tmp_path, name):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "run" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunDirError):
        export_into_run(SimpleNamespace(path=tmp_path / "run"), "onnx")
    assert link.is_symlink()
    assert list((tmp_path / "elsewhere").iterdir()) == []
