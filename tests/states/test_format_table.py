"""The table of state formats: every entry can be used, and a format from outside needs one entry and one file."""

from pathlib import Path

import json_states
import numpy as np
import pytest
from click.testing import CliRunner
from small_states import batch, export, path_of

from rnncli.cli.main import main
from rnncli.config.named_objects import import_named
from rnncli.errors import InputError
from rnncli.states.formats import FORMATS, readable_formats
from rnncli.states.reader import read_states
from rnncli.states.reader_base import StateSource
from rnncli.states.writer import StateWriter

CONFIG = """
task: {type: addition, digits: 1, examples: 40, held_out: 8}
model: {type: encoder_decoder, encoder: {units: 4}, decoder: {units: 4}}
training: {epochs: 1, batch_size: 16}
"""


def run_command(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture
def json_format(monkeypatch):
    """The table with one more entry."""
    monkeypatch.setitem(FORMATS, "json", json_states.FORMAT)


@pytest.mark.parametrize("name", FORMATS)
def test_format_entry_names_existing_classes(name):
    form = FORMATS[name]
    assert issubclass(import_named(form.writer), StateWriter)
    if form.reader:
        assert issubclass(import_named(form.reader), StateSource)


@pytest.mark.parametrize("name", readable_formats())
def test_exactly_one_readable_format_recognizes_an_export(tmp_path, name):
    start = export(path_of(tmp_path, name), name).read_bytes()[:64]
    assert [other for other, form in FORMATS.items() if form.matches(start)] == [name]


@pytest.mark.usefixtures("json_format")
def test_added_format_is_told_by_its_extension_and_read_back(tmp_path):
    file = read_states(export(tmp_path / "states.json"))
    assert file.rows == 2
    assert file.manifest["format"] == "json"
    assert file.read().source_tokens == batch().source_tokens
    np.testing.assert_array_equal(file.arrays["encoder/0/forward/final/h"], np.full((2, 2), 0.5))


def test_reader_refuses_a_format_that_is_not_in_the_table(tmp_path):
    (tmp_path / "states.json").write_text('{"states": {}}')
    with pytest.raises(InputError, match=r"states\.json"):
        read_states(tmp_path / "states.json")


@pytest.mark.long
@pytest.mark.usefixtures("json_format", "runtime")
def test_added_format_is_exported_and_plotted_through_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG)
    assert run_command("train", "c.yaml", "--run-dir", "run").exit_code == 0
    result = run_command("export-states", "run", "1+2", "3+4", "--format", "json", "--output", "states.json")
    assert result.exit_code == 0, result.stderr
    assert read_states("states.json").read().sources == ["1+2", "3+4"]
    pytest.importorskip("matplotlib")
    result = run_command("plot-states", "states.json", "--row", "1", "--output", "states.svg")
    assert result.exit_code == 0, result.stderr


def test_format_option_refuses_a_name_that_is_not_in_the_table(tmp_path):
    result = run_command("export-states", tmp_path, "--format", "json", "--output", tmp_path / "states.json")
    assert result.exit_code == 2
    assert all(name in result.stderr for name in FORMATS)
