"""`docs/extending.md`: one member of every family, added from outside the package, and all of them used together."""

import json
import re
import sys
from pathlib import Path

import json_states
import last_symbol_error
import pytest
import reversal_task
from click.testing import CliRunner

import rnncli.cli.commands
from rnncli.cli.main import COMMANDS, INSPECT, Entry, main
from rnncli.config import CELLS, BuiltInCell
from rnncli.config.optimizers import OPTIMIZERS
from rnncli.config.tasks import TASKS
from rnncli.metrics import METRICS
from rnncli.states.formats import FORMATS
from rnncli.states.reader import read_states

SUPPORT = Path(__file__).parent / "support"
PAGE = Path(__file__).parents[1] / "docs/extending.md"
CONFIG = """
task: {type: reversal, length: 3, examples: 60}
model: {type: encoder_decoder, cell: mgu, encoder: {units: 8}, decoder: {units: 8}}
training: {epochs: 2, batch_size: 16, optimizer: adagrad, early_stopping: {metric: last_symbol_error}}
"""

pytestmark = pytest.mark.usefixtures("runtime")


@pytest.fixture
def fresh_commands():
    """Import the modules of commands anew, and later as before: their options are made from the tables."""
    prefix = f"{rnncli.cli.commands.__name__}."
    before = {name: module for name, module in sys.modules.items() if name.startswith(prefix)}
    for name in before:
        del sys.modules[name]
    yield
    for name in [name for name in sys.modules if name.startswith(prefix)]:
        del sys.modules[name]
    sys.modules.update(before)


@pytest.fixture
def entries(monkeypatch, tmp_path, fresh_commands):
    """One entry more in every table, and a command's module where commands are looked for."""
    monkeypatch.setitem(CELLS, "mgu", BuiltInCell("minimal_gated_unit:MinimalGatedUnitCell", states=("h",), gates=2))
    monkeypatch.setitem(TASKS, "reversal", reversal_task.ENTRY)
    monkeypatch.setitem(METRICS, "last_symbol_error", last_symbol_error.LAST_SYMBOL_ERROR)
    monkeypatch.setitem(FORMATS, "json", json_states.FORMAT)
    monkeypatch.setitem(OPTIMIZERS, "adagrad", "keras.optimizers:Adagrad")
    monkeypatch.setitem(COMMANDS, "parameters", Entry(INSPECT, "Count the parameters of a run."))
    (tmp_path / "commands").mkdir()
    source = (SUPPORT / "parameters_command.py").read_text()
    (tmp_path / "commands/parameters.py").write_text(source)
    monkeypatch.setattr(rnncli.cli.commands, "__path__", [*rnncli.cli.commands.__path__, str(tmp_path / "commands")])


def run_command(*arguments):
    result = CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_one_entry_and_one_file_add_a_member_of_every_family(entries, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG)
    run_command("train", "c.yaml", "--run-dir", "run", "--quiet")
    first, last = (json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines())
    assert last["loss"] < first["loss"]
    assert 0 <= last["last_symbol_error"] <= 1
    run_command("export-states", "run", "abc", "--output", "states.json")
    assert read_states("states.json").arrays["encoder/0/forward/h"].shape == (1, 3, 8)
    counted = int(run_command("parameters", "run"))
    assert counted == json.loads(Path("run/manifest.json").read_text())["parameters"]
    assert "parameters" in run_command("--help")
    assert "rnncli parameters RUN" in run_command("parameters", "--help")


@pytest.mark.long
def test_optimizer_added_from_outside_resumes_exactly(entries, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG)
    for run, epochs in (("whole", 2), ("parts", 1)):
        run_command("train", "c.yaml", "--run-dir", run, "--quiet", "--set", f"training.epochs={epochs}")
    run_command("train", "--resume", "parts", "--quiet", "--set", "training.epochs=2")
    digests = {
        run: json.loads(next(Path(run, "checkpoints").glob("00000006/checkpoint.json")).read_text())["weights_digest"]
        for run in ("whole", "parts")
    }
    assert digests["whole"] == digests["parts"]


@pytest.mark.parametrize("family", ["CELLS", "TASKS", "METRICS", "FORMATS", "OPTIMIZERS", "COMMANDS"])
def test_page_shows_the_entry_of_every_family(family):
    assert re.search(rf"^{family}\[", PAGE.read_text(), re.M)


@pytest.mark.parametrize("path", re.findall(r"literalinclude\} \.\./(\S+)", PAGE.read_text()))
def test_page_includes_files_of_this_test(path):
    assert (PAGE.parents[1] / path).parent == SUPPORT
    assert (PAGE.parents[1] / path).is_file()
