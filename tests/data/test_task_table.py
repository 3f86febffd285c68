"""The table of tasks: every entry can be used, and a task from outside needs one entry and one file."""

import json
from importlib import import_module
from pathlib import Path

import pytest
import reversal_task
from click.testing import CliRunner
from config_reference import table

from rnncli.cli.main import main
from rnncli.config import parse_config
from rnncli.config.tasks import TASKS
from rnncli.errors import ConfigError

CONFIG = """
task: {type: reversal, length: 3, examples: 40}
model: {type: encoder_decoder, encoder: {units: 8}, decoder: {units: 8}}
training: {epochs: 2, batch_size: 16}
"""


@pytest.fixture
def reversal(monkeypatch):
    """The table with one more entry."""
    monkeypatch.setitem(TASKS, "reversal", reversal_task.ENTRY)


@pytest.mark.parametrize("name", TASKS)
def test_task_entry_names_its_section_and_existing_classes(name):
    entry = TASKS[name]
    assert entry.section.model_fields["type"].default == name
    for path in entry.classes.values():
        module, _, class_name = path.partition(":")
        assert isinstance(getattr(import_module(module), class_name), type)


def test_added_task_is_a_choice_of_the_config(reversal):
    assert parse_config(CONFIG, "c").task == reversal_task.ReversalTask(length=3, examples=40)
    assert parse_config("task: reversal\nmodel: encoder_decoder", "c").task.length == 4
    assert "`task.length` (reversal)" in table()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("task: reversl\nmodel: encoder_decoder", "did you mean reversal"),
        ("task: {type: reversal, lenght: 3}\nmodel: encoder_decoder", r"task\.lenght: .* task\.length"),
        ("task: {type: reversal, length: 0}\nmodel: encoder_decoder", r"task\.length: .* 1$"),
        ("task: reversal\nmodel: classifier", r"model\.type: .* encoder_decoder"),
    ],
)
def test_added_task_has_config_errors_like_every_other(reversal, text, key):
    with pytest.raises(ConfigError, match=key):
        parse_config(text, "c")


def test_config_does_not_know_a_task_that_is_not_in_the_table():
    with pytest.raises(ConfigError, match=r"task\.type: 'reversal'"):
        parse_config(CONFIG, "c")


@pytest.mark.long
@pytest.mark.usefixtures("reversal", "runtime")
def test_added_task_trains_and_predicts_through_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG)
    result = CliRunner().invoke(main, ["train", "c.yaml", "--run-dir", "run"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    result = CliRunner().invoke(main, ["predict", "run", "abc", "xyz", "--format", "jsonl"], catch_exceptions=False)
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer.get("error") is None for answer in answers] == [True, False]
