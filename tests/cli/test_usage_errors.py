"""Errors of the command line have the form of all others, and their hints work."""

import re
import shlex

import click
import pytest
from click.testing import CliRunner

from rnncli.cli.input_lines import open_lines
from rnncli.cli.main import COMMANDS, main
from rnncli.config.keys import all_keys


def rnncli(*arguments):
    return CliRunner().invoke(main, list(arguments))


def options_of(command):
    return main.get_command(click.Context(main), command).params


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("wrong", [["--no-such-option"], ["--help=3"], ["a", "b", "c", "d"]], ids=" ".join)
def test_usage_errors_have_one_form(command, wrong):
    if len(wrong) > 1 and any(parameter.nargs == -1 for parameter in options_of(command)):
        wrong = ["--no-such-option"]
    result = rnncli(command, *wrong)
    assert (result.exit_code, result.stdout) == (2, "")
    error, *hints = result.stderr.splitlines()
    assert error.startswith("error: ")
    assert len(hints) <= 1
    assert all(hint.startswith("  hint: ") for hint in hints)
    assert "Usage:" not in result.stderr


@pytest.mark.parametrize("command", ["predict", "evaluate", "export-states", "validate", "summary", "bench"])
def test_missing_arguments_are_named(command):
    result = rnncli(command)
    assert result.exit_code == 2
    assert re.search(r"error: missing (argument|option) \S+\n  hint: ", result.stderr)


@pytest.mark.parametrize("key", all_keys())
def test_an_option_that_is_a_key_is_answered_by_its_set(key):
    option = key.rpartition(".")[2].replace("_", "-")
    if any(f"--{option}" in parameter.opts for parameter in options_of("validate")):
        return
    result = rnncli("validate", f"--{option}", "3")
    assert result.exit_code == 2
    assert "--set" in result.stderr
    assert key in result.stderr or ", ..." in result.stderr


@pytest.mark.parametrize(
    "arguments",
    ["--epochs 3", "--epochs=3", "--batch-size 16", "--learning_rate 0.01", "--cell gru", "--epoch 3", "--digits 2"],
)
def test_the_set_of_a_hint_works(arguments):
    refused = rnncli("validate", "addition", *arguments.split())
    hint = re.search(r"hint: use (--set .*)", refused.stderr)[1]
    more = ["--set", "task.examples=100", "--set", "task.held_out=10"]
    assert rnncli("validate", "addition", *shlex.split(hint), *more).exit_code == 0


def test_candidates_of_an_ambiguous_key_are_those_of_the_config():
    refused = rnncli("validate", "addition", "--units", "64")
    assert "model.encoder.units, model.decoder.units\n" in refused.stderr


def test_a_key_without_its_option_is_a_set():
    assert "use --set training.epochs=3" in rnncli("train", "addition", "training.epochs=3").stderr


def test_a_source_that_begins_with_a_dash_goes_behind_two():
    refused = rnncli("predict", "run", "-1+2")
    assert (refused.exit_code, "-- -1+2" in refused.stderr) == (2, True)
    assert "no such run" in rnncli("predict", "run", "--", "-1+2").stderr


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["predict", "run", "--format", "jsn"], ["--format", "jsonl"]),
        (["predict", "run", "--beam", "0"], ["--beam", "1", "512"]),
        (["predict", "run", "--beam"], ["--beam N"]),
        (["predict", "run", "--quiet=1"], ["--quiet"]),
        (["predict", "run", "--scors"], ["--scores"]),
        (["train", "addition", "--workers", "0"], ["--workers", "slurm", "1", "4096"]),
        (["devices", "--workers", "two"], ["--workers", "slurm", "1", "4096"]),
        (["export-states", "run", "1"], ["--output"]),
    ],
)
def test_bad_values_name_the_option_and_what_is_right(arguments, shown):
    result = rnncli(*arguments)
    assert result.exit_code == 2
    assert all(word in result.stderr for word in shown)


def test_a_file_that_no_argument_takes_is_answered_by_input(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.txt").write_text("1+1\n")
    assert "use --input lines.txt" in rnncli("evaluate", "RUN", "lines.txt").stderr
    assert "add > out.txt" in rnncli("predict", "RUN", "1+1", "--output", "out.txt").stderr
    with open_lines(None, ["lines.txt"]) as (_, lines):
        assert list(lines) == ["lines.txt"]
    assert "lines.txt is read as it stands" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "right"),
    [
        (["predict", "lines.txt", "run", "--scores"], ["predict", "run", "--input", "lines.txt", "--scores"]),
        (["predict", "--scores", "1+1", "run"], ["predict", "--scores", "run", "1+1"]),
        (["score", "lines.txt", "run"], ["score", "run", "--input", "lines.txt"]),
        (["export-states", "lines.txt", "run", "-os"], ["export-states", "run", "--input", "lines.txt", "-os"]),
        (["evaluate", "lines.txt", "run"], ["evaluate", "run", "--input", "lines.txt"]),
    ],
)
def test_a_run_behind_its_input_is_answered_by_the_right_order(tmp_path, monkeypatch, given, right):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lines.txt").write_text("1+1\n")
    (tmp_path / "run").mkdir()
    for name in ("config.yaml", "manifest.json"):
        (tmp_path / "run" / name).touch()
    refused = rnncli(*given)
    assert refused.exit_code == 2
    assert f"write RUN first: rnncli {' '.join(right)}\n" in refused.stderr
    assert "write RUN first" not in rnncli(*right).stderr


def test_a_second_run_is_refused_by_commands_of_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        for name in ("config.yaml", "manifest.json"):
            (tmp_path / run / name).touch()
    refused = rnncli("average", "one", "two", "--last", "3")
    assert refused.exit_code == 2
    assert "takes one RUN" in refused.stderr
    assert "hint" not in refused.stderr


def test_a_run_in_place_of_a_config_is_answered_by_its_config(tmp_path):
    (tmp_path / "config.yaml").touch()
    for command in ("train", "summary", "config", "validate"):
        refused = rnncli(command, str(tmp_path)).stderr
        assert f"write {tmp_path}/config.yaml" in refused
        assert f"rnncli train --resume {tmp_path}" in refused


@pytest.mark.parametrize("command", ["predict", "score", "export-states"])
def test_a_text_that_begins_with_a_dash_is_answered_with_two_dashes(command):
    refused = rnncli(command, "RUN", "-walk")
    assert f"rnncli {command} RUN -- -walk" in refused.stderr
