"""The other commands, and what all commands have in common."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnncli._version import __version__
from rnncli.cli.main import COMMANDS, main

ROOT = Path(__file__).parents[2]


def rnncli(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_help_lists_every_command_and_h_is_help():
    result = rnncli("--help")
    assert result.stdout == rnncli("-h").stdout
    for command, entry in COMMANDS.items():
        assert command in result.stdout
        assert entry.help in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    result = rnncli(command, "-h")
    assert result.exit_code == 0
    assert f"Usage: rnncli {command}" in result.stdout
    assert result.stdout == rnncli(command, "--help").stdout


def test_version():
    assert rnncli("--version").stdout == f"rnncli, version {__version__}\n"


def test_a_misspelt_command_gets_a_suggestion():
    result = rnncli("trian")
    assert result.exit_code == 2
    assert "train?" in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell):
    script = rnncli("completion", shell).stdout
    assert f"_RNNCLI_COMPLETE={shell}_complete" in script


def test_completion_completes():
    result = subprocess.run(
        [sys.executable, "-m", "rnncli"],
        env={"_RNNCLI_COMPLETE": "bash_complete", "COMP_WORDS": "rnncli pre", "COMP_CWORD": "1", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == "plain,predict\n"


def test_validate_says_what_a_config_trains():
    result = rnncli("validate", ROOT / "configs/addition.yaml")
    assert result.exit_code == 0
    assert all(word in result.stdout for word in ("encoder_decoder", "lstm", "addition"))


def test_validate_shows_all_problems_together(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("task: addition\nmodel: encoder_decoder\ntraining:\n  epocs: 3\n  batch_size: none\n")
    result = rnncli("validate", path)
    assert result.exit_code == 2
    assert f"{path}:4: training.epocs: " in result.stderr
    assert f"{path}:5: training.batch_size:" in result.stderr
    assert result.stdout == ""


def test_asking_for_more_sums_than_exist_says_how_many_there_are():
    result = rnncli("validate", ROOT / "configs/addition.yaml", "--set", "task.digits=2")
    assert result.exit_code == 2
    assert "5050" in result.stderr


def test_summary_shows_shapes_weights_total_and_kernels():
    lines = rnncli("summary", ROOT / "configs/addition_repeat_vector.yaml").stdout.splitlines()
    row = {line.split()[0]: line for line in lines if line.strip()}
    assert "(None, 7, 12)" in row["source_symbols"]
    assert "LSTM" in row["encoder/0"]
    assert f"{4 * 128 * (12 + 128 + 1):,}" in row["encoder/0"]
    assert f"{4 * 128 * (128 + 128 + 1):,}" in row["decoder/0"]
    assert "TimeDistributed(Dense)" in row["output"]
    assert "(None, 4, 12)" in row["output"]
    assert "total: 205,324 " in row["total:"]
    assert "encoder/0: fused kernel (" in lines[-2] or "cudnn kernel (" in lines[-2]


def test_summary_of_a_bidirectional_encoder_shows_the_bridge():
    more = ["--set", "model.encoder.bidirectional=true", "--set", "model.cell=gru"]
    text = rnncli("summary", ROOT / "configs/addition.yaml", *more).stdout
    assert "Bidirectional(GRU)" in text
    assert "Bridge" in text
    assert "(None, 7, 256)" in text


def test_summary_says_why_a_cell_stepped_through_has_no_cudnn():
    text = rnncli("summary", ROOT / "configs/addition.yaml", "--set", "model.implementation=cell").stdout
    assert "encoder/0: cell kernel (model.implementation: cell" in text
    refused = rnncli(
        "validate",
        ROOT / "configs/addition.yaml",
        "--set",
        "model={type: repeat_vector, implementation: cell}",
        "--set",
        "runtime.kernel=cudnn",
    )
    assert refused.exit_code == 2
    assert "model.implementation" in refused.stderr


@pytest.mark.parametrize(("setting", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)])
def test_colours_are_for_terminals_and_off_where_no_color_is_set(setting, coloured):
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "rnncli", "validate", "missing.yaml"]
    subprocess.run(command, env={**setting, "PATH": "", "TERM": "xterm"}, stderr=its, check=False)
    text = os.read(ours, 4096).decode()
    os.close(its)
    os.close(ours)
    assert "missing.yaml: " in text
    assert ("\x1b[" in text) == coloured


@pytest.mark.parametrize(
    ("arguments", "redirection", "message"),
    [
        ("--version", ">/dev/full", "No space left"),
        ("validate configs/addition.yaml", ">&-", "stdout is closed"),
        ("validate -", "<&-", "stdin"),
        (f"predict {'x' * 300} 1+2", "", "File name too long"),
    ],
)
def test_streams_and_names_that_fail_are_errors_of_one_line(arguments, redirection, message):
    command = f"{sys.executable} -m rnncli {arguments} {redirection}"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert "Exception" not in result.stderr
