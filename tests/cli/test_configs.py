"""`rnncli configs`, and example configs by name."""

from pathlib import Path

import pytest
from interrupted_training import rnncli

from rnncli.config.shipped import shipped_configs, shipped_data


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
    assert result.stdout.split() == [f"data/{file.name}" for file in shipped_data()["kana"]]
    assert Path("data/kana_test.tsv").read_bytes() == shipped_data()["kana"][0].read_bytes()
    assert rnncli("configs", "--data", "kana").exit_code == 2
    assert rnncli("configs", "--data", "kana", "--overwrite").exit_code == 0


def test_a_copied_config_and_its_data_are_valid_together():
    copied = rnncli("configs", "dates")
    assert "rnncli configs --data dates" in copied.stderr
    Path("dates.yaml").write_text(copied.stdout)
    rnncli("configs", "--data", "dates")
    assert rnncli("validate", "dates.yaml").exit_code == 0


@pytest.mark.parametrize("arguments", [["addition2"], ["--data", "addition"]])
def test_configs_refuses_unknown_names_and_lists_the_known_ones(arguments):
    result = rnncli("configs", *arguments)
    assert result.exit_code == 2
    assert "kana" in result.stderr


@pytest.mark.parametrize("command", ["validate", "summary"])
@pytest.mark.parametrize("name", ["alphabet", "nested_cell"])
def test_commands_take_an_example_by_name(command, name):
    assert rnncli(command, name).exit_code == 0


def test_train_takes_an_example_by_name_and_the_run_finds_its_data_from_anywhere(monkeypatch):
    small = (
        "--set training.epochs=1 --set training.buckets=1 --set task.max_source_length=10 --set task.too_long=skip"
    )
    units = "--set model.encoder.units=8 --set model.decoder.units=8 --run-dir run"
    assert rnncli("train", "kana", *small.split(), *units.split()).exit_code == 0
    run = Path("run").absolute()
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert rnncli("evaluate", run).exit_code == 0
