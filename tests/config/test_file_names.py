"""Relative file names in configs, and the example configs of the package."""

import re
from pathlib import Path

import pytest

from rnncli.config import dump_config, load_config, parse_config
from rnncli.config.shipped import (
    config_text,
    describe_config,
    files_needed,
    find_config,
    shipped_configs,
    shipped_files,
)
from rnncli.errors import ConfigError, RnncliWarning

PAIRS = """task:
  type: pairs
  train: {train}
  validation: {{source: dev.src, target: dev.tgt}}
model: encoder_decoder
"""


@pytest.fixture
def config_file(tmp_path, monkeypatch):
    """A config in `conf/`, with its data beside it; the current directory is the one above."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "conf"
    folder.mkdir()
    for name in ("train.tsv", "dev.src", "dev.tgt"):
        (folder / name).touch()
    (folder / "c.yaml").write_text(PAIRS.format(train="train.tsv"))
    return Path("conf/c.yaml")


def test_relative_names_start_from_the_configs_directory(config_file):
    task = load_config(config_file).task
    assert task.train.file == "conf/train.tsv"
    assert (task.validation.source, task.validation.target) == ("conf/dev.src", "conf/dev.tgt")


def test_names_of_a_config_in_the_current_directory_stay_as_they_are(config_file, monkeypatch):
    monkeypatch.chdir("conf")
    assert load_config("c.yaml").task.train.file == "train.tsv"


def test_absolute_names_stay_as_they_are(config_file):
    config_file.write_text(PAIRS.format(train="/data/train.tsv"))
    assert load_config(config_file).task.train.file == "/data/train.tsv"


def test_names_of_overrides_start_from_the_current_directory(config_file):
    config = load_config(config_file, ["task.train=other.tsv", "task.validation={file: dev.tsv}"])
    assert (config.task.train.file, config.task.validation.file) == ("other.tsv", "dev.tsv")


@pytest.mark.parametrize("pattern", ["old.tsv", "ol*.tsv"])
def test_names_found_only_below_the_current_directory_are_used_with_a_warning(config_file, pattern):
    Path("old.tsv").touch()
    config_file.write_text(PAIRS.format(train=pattern))
    with pytest.warns(RnncliWarning, match=r"conf/c.yaml:3: task.train: ol"):
        assert load_config(config_file).task.train.file == pattern


def test_globs_start_from_the_configs_directory(config_file):
    config_file.write_text(PAIRS.format(train="tr*.tsv"))
    assert load_config(config_file).task.train.file == "conf/tr*.tsv"


def test_names_that_exist_nowhere_are_expected_beside_the_config(config_file):
    config_file.write_text(PAIRS.format(train="none.tsv"))
    assert load_config(config_file).task.train.file == "conf/none.tsv"


@pytest.mark.parametrize(
    ("task", "key"),
    [
        ("{type: classify, train: a, validation: b}", "train"),
        ("{type: text, train: a, validation: b}", "train"),
        ("{type: image_rows, path: a}", "path"),
        ("{type: pairs, train: t, validation: v, vocabulary: a}", "vocabulary"),
    ],
)
def test_every_file_name_of_a_task_is_resolved(tmp_path, task, key):
    model = (
        "classifier"
        if "classify" in task or "image" in task
        else "next_step"
        if "text" in task
        else "encoder_decoder"
    )
    (tmp_path / "c.yaml").write_text(f"task: {task}\nmodel: {model}\n")
    assert getattr(load_config(tmp_path / "c.yaml").task, key) == str(tmp_path / "a")


def test_a_dumped_config_holds_absolute_names(config_file, monkeypatch):
    text = dump_config(load_config(config_file))
    here = Path.cwd()
    monkeypatch.chdir("/")
    assert parse_config(text, "run").task.train.file == str(here / "conf/train.tsv")


def test_example_configs_are_found_by_name_unless_a_file_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config("addition") == str(shipped_configs()["addition"])
    assert find_config("nothing") == "nothing"
    Path("addition").mkdir()  # as a run directory
    assert find_config("addition") == str(shipped_configs()["addition"])
    Path("addition").rmdir()
    Path("addition").touch()
    assert find_config("addition") == "addition"


@pytest.mark.parametrize("path", shipped_configs().values(), ids=lambda p: p.stem)
def test_example_configs_begin_with_one_line_that_fits_a_terminal(path):
    text = describe_config(path)
    assert text.endswith(".")
    assert len(text) <= 80


@pytest.mark.parametrize("name", ["dates", "kana", "number_words"])
def test_a_copied_example_config_finds_its_data_beside_itself(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = shipped_configs()[name]
    assert files_needed(path) == [name]
    Path("data").mkdir()
    for file in shipped_files()[name]:
        Path(file).touch()
    Path("copy.yaml").write_text(config_text(path))
    task = load_config("copy.yaml").task
    assert all(Path(files.file).is_file() for files in (task.train, task.validation, task.test))
    shipped = load_config(path).task
    assert all(Path(files.file).is_file() for files in (shipped.train, shipped.validation, shipped.test))


def test_files_that_are_not_there_are_listed_with_other_mistakes(config_file):
    text = PAIRS.format(train="none.tsv").replace("encoder_decoder", "{type: encoder_decoder, cell: lstmm}")
    config_file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_config(config_file, files_exist=True)
    assert re.search(r"c\.yaml:5: model\.cell: (.|\n)*c\.yaml:3: task\.train: no such file", str(refused.value))
    with pytest.raises(ConfigError, match=r"c\.yaml:5: ") as refused:
        load_config(config_file)
    assert "no such file" not in str(refused.value)
