"""`rnncli configs`, and example configs by name."""

import re
from pathlib import Path

import pytest
from interrupted_training import rnncli

from rnncli.config import load_config
from rnncli.config.example_data import keys_without_data
from rnncli.config.shipped import find_config, shipped_configs, shipped_files
from rnncli.runtime.user_code import config_search_path
from rnncli.training.inputs import TrainingInputs


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_configs_lists_every_example_in_one_line():
    lines = rnncli("configs").stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(shipped_configs())


def test_configs_prints_an_example():
    result = rnncli("configs", "addition")
    assert result.stdout == shipped_configs()["addition"].read_text()
    assert result.stderr == ""


def test_configs_writes_a_data_set_once():
    result = rnncli("configs", "--data", "kana")
    files = shipped_files()["kana"]
    assert result.stdout.split() == list(files)
    assert all(Path(target).read_bytes() == source.read_bytes() for target, source in files.items())
    assert rnncli("configs", "--data", "kana").exit_code == 2
    assert rnncli("configs", "--data", "kana", "--overwrite").exit_code == 0


def small(name):
    """Settings with few examples, where the config says how many."""
    kind = load_config(shipped_configs()[name]).task.type
    return {"addition": ["task.examples=600", "task.held_out=100"]}.get(kind, [])


@pytest.mark.parametrize("name", shipped_configs())
def test_every_example_is_ready_to_train_by_name_and_as_a_copy(name):
    tags = "\tN;SG" if "features" in shipped_configs()[name].read_text() else ""
    Path("words.tsv").write_text(f"aba\ta b a{tags}\ncab\tc a b{tags}\n")
    mine = [f"{key}=words.tsv" for key in keys_without_data(shipped_configs()[name])] + small(name)
    TrainingInputs.read(load_config(find_config(name), mine), config_search_path(find_config(name)))
    copied = rnncli("configs", name)
    Path("copy.yaml").write_text(copied.stdout)
    for needed in re.findall(r"rnncli configs --data (\w+)", copied.stderr):
        assert rnncli("configs", "--data", needed).exit_code == 0
    settings = [word for each in mine for word in ("--set", each)]
    assert rnncli("validate", "copy.yaml", *settings).exit_code == 0
    TrainingInputs.read(load_config("copy.yaml", mine), config_search_path("copy.yaml"))


def test_an_example_without_data_names_the_keys_for_files_of_ones_own():
    keys = ["task.train", "task.validation"]
    assert keys_without_data(shipped_configs()["g2p"]) == keys
    for text in (rnncli("configs", "g2p").stderr, rnncli("train", "g2p").stderr):
        assert re.findall(r"task\.\w+", text) == keys


def test_the_class_of_a_copied_example_is_written_beside_it():
    copied = rnncli("configs", "nested_cell")
    Path("copy.yaml").write_text(copied.stdout)
    assert "nested_cell.py" in rnncli("configs", "--data", "nested_cell").stdout
    assert rnncli("summary", "copy.yaml").exit_code == 0


def test_an_unknown_example_is_answered_by_a_similar_one():
    for command in ("train", "validate"):
        result = rnncli(command, "adition")
        assert result.exit_code == 2
        assert "addition" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["addition2"], ["--data", "nothing"]])
def test_configs_refuses_unknown_names_and_lists_the_known_ones(arguments):
    result = rnncli("configs", *arguments)
    assert result.exit_code == 2
    assert "kana" in result.stderr


@pytest.mark.parametrize("command", ["validate", "summary"])
@pytest.mark.parametrize("name", ["alphabet", "nested_cell"])
def test_commands_take_an_example_by_name(command, name):
    assert rnncli(command, name).exit_code == 0


@pytest.mark.long
def test_train_takes_an_example_by_name_and_the_run_finds_its_data_from_anywhere(monkeypatch):
    small = "--set training.epochs=1 --set training.buckets=1 --set task.max_source_length=2 --set task.too_long=skip"
    units = "--set model.encoder.units=8 --set model.decoder.units=8 --run-dir run"
    assert rnncli("train", "kana", *small.split(), *units.split()).exit_code == 0
    run = Path("run").absolute()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert rnncli("evaluate", run).exit_code == 0


@pytest.mark.parametrize(
    ("name", "works"),
    [
        ("addition", "rnncli train addition"),
        ("g2p", "--set task.train=FILE --set task.validation=FILE"),
        ("adition", "addition"),
    ],
)
def test_files_of_an_example_that_has_none_are_refused_with_what_works(name, works):
    result = rnncli("configs", "--data", name)
    assert result.exit_code == 2
    assert works in result.stderr
    assert not list(Path().iterdir())
