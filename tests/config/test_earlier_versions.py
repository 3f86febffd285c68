"""Configs of runs that are older than some keys."""

import pytest

from rnncli.config import dump_config, load_config, parse_config

TEXT = "{task: {type: addition}, model: repeat_vector}"


@pytest.mark.parametrize("task", ["addition", "{type: addition}"])
def test_a_key_that_a_run_lacks_has_its_earlier_value(task):
    text = f"{{task: {task}, model: repeat_vector}}"
    assert parse_config(text, "c").task.short_sums == "repeated"
    assert parse_config(text, "c", recorded=True).task.short_sums == "once"


def test_a_resolved_config_has_the_key():
    new = parse_config(TEXT, "c")
    assert parse_config(dump_config(new), "c", recorded=True) == new


def test_an_override_wins():
    assert parse_config(TEXT, "c", ["task.short_sums=repeated"], recorded=True).task.short_sums == "repeated"


@pytest.mark.parametrize("recorded", [True, False])
def test_a_config_to_resume_with_is_completed_from_the_run(tmp_path, recorded):
    (tmp_path / "c.yaml").write_text(TEXT)
    run = parse_config(TEXT, "run", recorded=recorded)
    assert load_config(tmp_path / "c.yaml", run=run) == run
