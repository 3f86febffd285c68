"""Quick commands import nothing heavy."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from heavy_imports import run_and_list_heavy

from rnncli import cli

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["train", "--help"], 0),
        (["completion", "bash"], 0),
        (["validate", "configs/addition.yaml"], 0),
        (["validate", "configs/nested_cell.yaml"], 0),
        (["train", "configs/addition.yaml", "--set", "training.epocs=3"], 2),
        (["train", "configs/nested_cell.yaml", "--set", "model.cell.class=not_there:Cell"], 2),
        (["train", "no-such-file.yaml"], 2),
        (["train", "configs/addition.yaml", "--run-dir", "tests"], 2),
        (["predict", "no-such-run", "1+2"], 2),
        (["predict", "no-such-run", "1+2", "--sample", "--beam", "2"], 2),
        (["evaluate", "no-such-run"], 2),
        (["runs", "tests/runs/version_0_1_0"], 0),
        (["compare", "tests/runs/version_0_1_0/addition-w", "tests/runs/version_0_1_0/addition-i", "--recorded"], 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_tensorflow_is_not_imported(arguments, status):
    assert run_and_list_heavy(*arguments) == (status, [])


BOMB = "import sys; sys.stderr.write('executed ' + __file__); sys.exit(1)"
NAMES = ("sitecustomize", "usercustomize", "click", "json", "multiprocessing", "numpy", "yaml", "pydantic")


def test_files_of_the_current_directory_are_no_modules(tmp_path):
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(BOMB)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for start in (["-m", "rnncli"], [Path(sys.executable).with_name("rnncli")]):
        if start[0] != "-m" and not start[0].exists():
            continue  # run without an installation
        command = [sys.executable, *start, "validate", str(ROOT / "configs" / "addition.yaml")]
        ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")


def test_help_does_not_even_import_pydantic():
    code = "import sys; from rnncli.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'pydantic', 'yaml', 'numpy'} & set(sys.modules), 'heavy'"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_computations_have_the_threads_that_they_need_up_to_runtime_cores():
    code = (
        "from rnncli.config import RuntimeConfig\nfrom rnncli.runtime.tensorflow_setup import setup_tensorflow\n"
        "from rnncli.runtime.tensorflow_setup import claim_process\nclaim_process()\n"
        "ready = setup_tensorflow(RuntimeConfig(cores=3, device='cpu'), 2, threads=True)\n"
        "print(ready.shards, ready.threads)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["3", "3"]


UNUSED = {"matplotlib", "sklearn"}  # of what Keras imports for others, what the tests have installed


@pytest.mark.long
def test_what_keras_imports_for_others_is_not_imported_nor_its_settings_read(tmp_path):
    settings = tmp_path / ".keras" / "keras.json"
    settings.parent.mkdir()
    settings.write_text('{"floatx": "int8"}')
    (tmp_path / "IPython.py").write_text("raise SystemError")  # which the tests may not have installed
    code = (
        "import gc, sys\nfrom rnncli.cli.main import run\nsys.argv = ['rnncli', 'summary', 'configs/alphabet.yaml']\n"
        "try: run()\nexcept SystemExit: pass\n"
        f"assert 'tensorflow' in sys.modules\nprint(*sorted({UNUSED} & set(sys.modules)), gc.isenabled(), "
        "gc.get_freeze_count() > 0, file=sys.stderr)\nimport matplotlib, sklearn"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    assert done.stderr.splitlines()[-1].split() == ["True", "True"]


@pytest.mark.long
def test_interrupting_the_first_step_twice_prints_no_traceback(tmp_path):
    command = [sys.executable, "-m", "rnncli", "train", str(ROOT / "configs/addition_small.yaml")]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}  # nothing is compiled yet
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        lines = iter(process.stderr.readline, "")
        said = next(line for line in lines if "fused kernel" in line)  # and then the first step
        for _ in range(4):
            time.sleep(0.4)
            process.send_signal(signal.SIGINT)
        said += "".join(lines)
    assert process.returncode in (130, -signal.SIGINT)
    assert "Traceback" not in said
    assert "ignored" not in said


def test_interrupting_the_import_of_the_command_ends_it_like_any_other(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("rnncli.cli.main.run", interrupted)
    with pytest.raises(SystemExit) as ended:
        cli.run()
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"
