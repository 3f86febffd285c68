"""Sources by what training has seen of them."""

from pathlib import Path

import pytest
from pair_task import FEATURES, task, write_files

from rnncli.data.task import SEEN


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)


@pytest.mark.parametrize(
    ("source", "group"),
    [
        ("walk\tV;SBJV", "both"),
        ("walk\tPST;V", "both"),
        ("walk\tV", "source only"),
        ("talk\tV;PST", "features only"),
        ("talk\tN", "neither"),
    ],
)
def test_sources_with_features_fall_into_four_groups(source, group):
    Path("train.tsv").write_text("walk\twalked\tV;PST\nsing\tsang\tSBJV; V\n")
    Path("validation.tsv").write_text("talk\ttalked\tV;PST\n")
    pairs = task(**FEATURES, hallucinate=3)
    assert SEEN not in pairs.groups(source)
    pairs.remember_training()
    assert pairs.groups(source)[SEEN] == [group]


@pytest.mark.parametrize(("source", "group"), [("ab", "seen"), ("a", "unseen")])
def test_sources_without_features_fall_into_two_groups(source, group):
    pairs = task()
    pairs.splits()
    pairs.remember_training()
    assert pairs.groups(source)[SEEN] == [group]
