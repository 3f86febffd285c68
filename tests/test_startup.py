"""What must be quick imports nothing heavy."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("tensorflow", "keras")
ROOT = Path(__file__).parent.parent


def run_and_list_heavy(*arguments):
    """Run rnncli in a process of its own; returns its exit status and which heavy modules it imported."""
    code = (
        "import sys\nfrom rnncli.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as end:\n"
        f"    print('status', end.code, *[m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    _, status, *heavy = result.stderr.strip().splitlines()[-1].split()
    return int(status), heavy


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
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_tensorflow_is_not_imported(arguments, status):
    assert run_and_list_heavy(*arguments) == (status, [])


def test_help_does_not_even_import_pydantic():
    code = "import sys; from rnncli.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += "assert not {'pydantic', 'yaml', 'numpy'} & set(sys.modules), 'heavy'"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_computations_have_the_threads_that_they_need_up_to_runtime_cores():
    code = (
        "from rnncli.config import Runtime\nfrom rnncli.runtime import start\n"
        "ready = start(Runtime(cores=3, device='cpu'), 64, threads=True)\nprint(ready.parts, ready.threads)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["3", "3"]


@pytest.mark.parametrize("own", [True, False])
def test_what_keras_imports_for_others_is_left_out_of_the_commands_own_process_alone(own):
    code = (
        "import gc, sys\nfrom rnncli import runtime\nfrom rnncli.config import Runtime\n"
        f"runtime.own_process = {own}\nruntime.start(Runtime(device='cpu'))\n"
        "print(*sorted({'matplotlib', 'sklearn'} & set(sys.modules)), gc.isenabled(), gc.get_freeze_count() > 0)\n"
        "import matplotlib, sklearn"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == [*([] if own else ["matplotlib", "sklearn"]), "True", str(own)]
