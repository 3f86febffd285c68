"""The metrics of each epoch: what is read, and what is refused with its line."""

import pytest

from rnncli.errors import RunDirError
from rnncli.runs import metrics_log
from rnncli.runs.directory import MAX_LOG_LINE_BYTES, RunDir
from rnncli.runs.metrics_log import read_metrics


def read(folder, text):
    (folder / "metrics.jsonl").write_text(text)
    return read_metrics(RunDir(folder))


def test_numbers_of_epochs_are_read_but_for_a_line_that_is_being_written(tmp_path):
    assert read_metrics(RunDir(tmp_path)) == []
    found = read(tmp_path, '{"epoch": 1, "loss": NaN, "best": true}\n{"epoch": 3, "loss": 0.5}\n{"epoch": 4, "lo')
    assert found == [{"epoch": 1}, {"epoch": 3, "loss": 0.5}]


@pytest.mark.parametrize(
    ("lines", "number"),
    [
        (["1", "[]"], 2),
        (["1", "2", "2"], 3),
        (["2", "1"], 2),
        (["0"], 1),
        (["1", " " * MAX_LOG_LINE_BYTES + "2", "3"], 2),
        (["1", "2", "3", "4", "5"], 5),
    ],
)
def test_lines_out_of_order_too_long_or_too_many_are_refused(tmp_path, monkeypatch, lines, number):
    monkeypatch.setattr(metrics_log, "MAX_EPOCHS", 4)
    with pytest.raises(RunDirError, match=rf"metrics\.jsonl, line {number}: "):
        read(tmp_path, "".join(f'{{"epoch": {line}}}\n' for line in lines))
