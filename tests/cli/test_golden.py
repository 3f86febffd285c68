"""The words of every command: help, and a few errors and outputs, as `tests/cli/golden/COMMAND.txt` holds them.

    RNNCLI_UPDATE_GOLDEN=1 python -m pytest -n0 tests/cli/test_golden.py

writes the files anew; look at the difference before you commit it. Other tests assert exit statuses, keys, files and
lines, so that a change of words changes these files alone.
"""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnncli.cli.main import COMMANDS, main
from rnncli.cli.plots import PLOTS

GOLDEN = Path(__file__).parent / "golden"
PAIRS = "ab\tba\nabc\tcba\nbc\tcb\nca\tac\n"
CASES = {
    "rnncli": ["", "--help", "--version", "trian", "--epochs 3"],
    "train": [
        "train",
        "train addition --epochs 3",
        "train addition --units=64",
        "train addition training.epochs=3",
        "train addition --set training.epocs=3 --set checkpoint.every=20",
        "train nothing.yaml",
        "train addition --run-dir RUN",
        "train --resume RUN --set model.cell=gru",
    ],
    "config": [
        "config alphabet --changed",
        "config alphabet --diff alphabet_stateful",
        "config alphabet --changed --diff x",
    ],
    "serve": [
        "serve",
        "serve RUN --run a",
        "serve RUN --run run=RUN",
        "serve nothing",
    ],
    "average": [
        "average RUN",
        "average RUN --last 3",
        "average RUN --last 3",
        "average RUN --checkpoints 18,,best",
        "average RUN --checkpoints 1,best",
        "average nothing --last 2",
    ],
    "explore": ["explore", "explore RUN --checkpoint 999"],
    "schema": ["schema --output c.yaml --overwrites"],
    "sweep": [
        "sweep",
        "sweep tiny.yaml",
        "sweep tiny.yaml --set model.cell=lstm,grU",
        "sweep tiny.yaml --set model.cell=lstm,gru --sampler best",
        "sweep RUN",
        "sweep show nothing",
    ],
    "predict": [
        "predict RUN -1+2",
        "predict RUN --beam 600",
        "predict RUN --format csv 1+2",
        "predict RUN --sample --beam 2 1+2",
        "predict RUN one 1+x",
        "predict RUN/checkpoints 1+2",
        "predict nothing 1+2",
    ],
    "export": [
        "export nothing",
        "export RUN --format tensorrt",
        "export RUN -o model.onnx",
        "export RUN --checkpoint last",
    ],
    "evaluate": ["evaluate RUN", "evaluate RUN --by color", "evaluate RUN --test", "evaluate RUN --errors -"],
    "runs": ["runs", "runs nothing", "runs --where cell", "runs . --where cel=lstm"],
    "compare": ["compare RUN", "compare RUN run", "compare RUN nothing", "compare RUN RUN --recorded --errors x"],
    "export-states": [
        "export-states RUN 1+2",
        "export-states RUN 1+2 -o states.npz",
        "export-states RUN 1+2 -o states.npz",
        "export-states RUN 1+2 -o states.xyz",
        "export-states RUN --carried -o carried.safetensors",
    ],
    "report": [
        "report RUN",
        "report RUN -o a.txt",
        "report RUN RUN -o a.html",
        "report nothing -o a.html",
        "report RUN -o drawn.svg",
    ],
    "plot": [
        "plot",
        "plot curvs RUN",
        *(f"plot {name} --help" for name in PLOTS),
        "plot curves RUN",
        "plot curves RUN -o a.jpg",
        "plot curves RUN --metric exact_mach -o a.png",
        "plot states nothing.npz -o a.png",
        "plot states states.npz -o drawn.svg",
        "plot attention states.npz -o a.png --row 1 --source 1",
        "plot-states nothing.npz -o a.png",
    ],
    "init": [
        "init",
        "init pairs.tsv --split 2",
        "init pairs.tsv --validation pairs.tsv",
        "init pairs.tsv --validation pairs.tsv",
        "init nothing.tsv --split 0.5",
    ],
    "generate": ["generate", "generate RUN", "generate RUN --prime A --input B", "generate RUN --temperature -1"],
    "score": ["score", "score RUN --prime A", "score nothing"],
    "configs": ["configs nothing"],
    "validate": [
        "validate",
        "validate addition",
        "validate addition --set model.units=3",
        "validate bad.yaml",
        "validate lost.yaml",
    ],
    "verify": ["verify", "verify RUN", "verify RUN --steps 3", "verify nothing"],
    "summary": ["summary tiny.yaml --device cpu", "summary tiny.yaml --device tpu"],
    "bench": ["bench", "bench addition --compare fast", "bench addition --seconds 0"],
    "devices": ["devices --format xml"],
    "completion": ["completion", "completion ksh"],
    "help": ["help nothing"],
}
BAD = "task: addition\nmodel: {type: encoder_decoder, attention: luong}\ntraining: {epochs: three, batch_size: 0}\n"
LOST = "task:\n  type: pairs\n  train: lost.tsv\n  validation: pairs.tsv\nmodel: encoder_decoder\n"
TINY = "task: addition\nmodel: {type: encoder_decoder, encoder: {units: 8}, decoder: {units: 8}}\n"


def transcript(command):
    """Run the cases of a command, and return what a terminal shows."""
    lines = [] if command == "rnncli" else run(f"{command} --help")
    for case in CASES[command]:
        lines += ["", *run(case)]
    return "\n".join(lines).strip() + "\n"


def run(case):
    result = CliRunner(env={"COLUMNS": "80", "NO_COLOR": None}).invoke(main, shlex.split(case.replace("RUN", "run")))
    shown = [f"$ rnncli {case}".rstrip(), *result.stdout.splitlines(), *result.stderr.splitlines()]
    return [line.rstrip() for line in shown if line.strip() or "--help" in case] + [f"[{result.exit_code}]"]


def without_figures(text):
    """Return text without what depends on the machine: its paths, and the numbers of a trained model."""
    text = re.sub(r"\S*/configs/", "configs/", text)
    text = re.sub(r" +\d+\.\d+%", " N%", text)
    text = re.sub(r" +\d+\.\d{4}\b", " N", text)
    return re.sub(r"^(AMD|Intel).*$", "CPU", text)


@pytest.mark.parametrize("command", CASES)
def test_words_of_a_command(command, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(whole, "run")
    Path("pairs.tsv").write_text(PAIRS)
    Path("drawn.svg").write_text("")
    Path("bad.yaml").write_text(BAD)
    Path("lost.yaml").write_text(LOST)
    Path("tiny.yaml").write_text(TINY)
    found = without_figures(transcript(command))
    path = GOLDEN / f"{command}.txt"
    if os.environ.get("RNNCLI_UPDATE_GOLDEN"):
        path.write_text(found)
    assert found == path.read_text(), "RNNCLI_UPDATE_GOLDEN=1 writes the file anew"


def test_every_command_has_a_golden_file():
    assert set(CASES) == {"rnncli", *COMMANDS}
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)
