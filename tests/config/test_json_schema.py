"""The JSON schema accepts what rnncli accepts, and refuses wrong keys and values."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from rnncli.config import dump_config, load_config, parse_config
from rnncli.config.json_schema import json_schema
from rnncli.config.yaml_reader import read_file, read_yaml
from rnncli.errors import ConfigError

ROOT = Path(__file__).parents[2]
CHECK = Draft202012Validator(json_schema())

SHORT = """
task: {type: pairs, train: words.tsv, validation: {source: a, target: b}, tokenize: bytes}
model: encoder_decoder
training: {epochs: 3, clip_norm: 1, scheduled_sampling: 0.25, class_weight: null}
"""
BAD = {
    "unknown section": "{task: addition, model: encoder_decoder, trainig: {}}",
    "unknown key": "{task: addition, model: encoder_decoder, training: {epoch: 3}}",
    "unknown task": "{task: additions, model: encoder_decoder}",
    "no model": "{task: addition}",
    "no type": "{task: {digits: 2}, model: encoder_decoder}",
    "key of another task": "{task: {type: addition, train: a.tsv}, model: encoder_decoder}",
    "text for a number": "{task: addition, model: encoder_decoder, training: {epochs: many}}",
    "too small": "{task: addition, model: encoder_decoder, training: {epochs: 0}}",
    "unknown cell": "{task: addition, model: {type: encoder_decoder, cell: lstn}}",
    "no probability": "{task: addition, model: encoder_decoder, training: {scheduled_sampling: 1.5}}",
    "unknown tokenizer": "{task: {type: pairs, train: a, validation: b, tokenize: letters}, model: encoder_decoder}",
}


def data(text):
    return read_yaml(text, "config.yaml").data


def test_schema_is_a_schema():
    Draft202012Validator.check_schema(json_schema())


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_example_configs_and_their_resolved_forms_are_accepted(path):
    CHECK.validate(read_yaml(*read_file(path)).data)
    CHECK.validate(data(dump_config(load_config(path))))


def test_short_forms_are_accepted():
    parse_config(SHORT, "config.yaml")
    CHECK.validate(data(SHORT))


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_mistakes_are_refused_by_schema_and_rnncli(text):
    assert not CHECK.is_valid(data(text))
    with pytest.raises(ConfigError):
        parse_config(text, "config.yaml")
