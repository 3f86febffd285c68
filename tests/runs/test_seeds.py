"""Runs of several seeds are one group."""

from run_files import write_run

from rnncli.runs.listing import describe_run
from rnncli.runs.seeds import group_by_settings


def infos(tmp_path):
    settings = {"a": ["training.seed=1"], "b": ["training.seed=2"], "c": ["model.cell=gru"]}
    return [describe_run(write_run(tmp_path / name, overrides=each)) for name, each in settings.items()]


def test_seeds_are_taken_together(tmp_path):
    groups = group_by_settings(infos(tmp_path))
    assert [[info.name for info in members] for members in groups.values()] == [["a", "b"], ["c"]]
    assert list(groups) == ["cell=lstm (2 seeds)", "cell=gru"]


def test_each_run_alone_has_a_name(tmp_path):
    groups = group_by_settings(infos(tmp_path), by_seed=False)
    assert list(groups) == ["a", "b", "c"]
    assert [len(members) for members in groups.values()] == [1, 1, 1]
