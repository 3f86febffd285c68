"""`rnncli config` and `rnncli schema`."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from rnncli.cli.main import main
from rnncli.config import load_config, parse_config

TEXT = """task: addition
model:
  type: encoder_decoder
  cell: gru
training: {epochs: 3, batch_size: 128}
"""


def run(*arguments, status=0):
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == status, result.stderr
    return result.stdout


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(TEXT)
    return Path("c.yaml")


def shown(*arguments):
    return {key: (each["value"], each["origin"]) for key, each in json.loads(run("config", *arguments)).items()}


def test_values_have_their_origins(config):
    found = shown(config, "--set", "training.epochs=7", "--format", "json")
    assert found["task.type"] == ("addition", "c.yaml:1")
    assert found["task.digits"] == (3, "default")
    assert found["model.cell"] == ("gru", "c.yaml:4")
    assert found["training.batch_size"] == (128, "c.yaml:5")
    assert found["training.seed"] == (0, "default")
    assert found["training.epochs"] == (7, "--set training.epochs=7")


def test_short_forms_are_the_origin_of_what_they_stand_for(config):
    config.write_text(
        "task: {type: pairs, train: a.tsv, validation: b.tsv, tokenize: bytes}\nmodel: encoder_decoder\n"
    )
    found = shown(config, "--format", "json")
    assert found["task.train.file"] == (str(Path("a.tsv").resolve()), "c.yaml:1")
    assert found["task.train.source"] == (None, "default")
    assert found["task.tokenize.target"] == ("bytes", "c.yaml:1")
    assert found["model.type"] == ("encoder_decoder", "c.yaml:2")


@pytest.mark.parametrize("overrides", [[], ["model.cell={type: custom, class: 'a:B', depth: 2, name: 'no'}"]])
@pytest.mark.parametrize("changed", [[], ["--changed"]])
def test_output_is_the_same_config(config, overrides, changed):
    sets = [part for each in overrides for part in ("--set", each)]
    text = run("config", config, *sets, *changed)
    assert parse_config(text, "again") == load_config(config, overrides)


def test_changed_leaves_out_defaults_though_given(config):
    assert "batch_size" not in run("config", config, "--changed")


def test_difference_has_both_values(config):
    Path("other.yaml").write_text(
        TEXT.replace("gru", "lstm").replace("addition", "{type: addition, digits: 4, examples: 9000}")
    )
    found = json.loads(run("config", config, "--diff", "other.yaml", "--format", "json"))
    assert found == {"task.digits": [3, 4], "task.examples": [50_000, 9000], "model.cell": ["gru", "lstm"]}
    text = run("config", config, "--diff", "other.yaml")
    assert {"model.cell:", "task.digits:"} <= set(text.splitlines())


def test_config_does_not_differ_from_itself(config):
    assert run("config", config, "--diff", config) == ""


def test_keys_that_one_config_lacks_are_named(config):
    Path("other.yaml").write_text("task: alphabet\nmodel: next_step\n")
    found = json.loads(run("config", config, "--diff", "other.yaml", "--format", "json"))
    assert found["model.encoder.units"] == [128, None]


def test_schema_goes_to_a_file_or_stdout_and_over_no_file(config):
    run("schema", "--output", "s.json")
    assert json.loads(Path("s.json").read_text()) == json.loads(run("schema"))
    run("schema", "--output", "s.json", status=2)
    run("schema", "--output", "s.json", "--overwrite")
