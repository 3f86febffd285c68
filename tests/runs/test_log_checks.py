"""Logs that anyone may have written: whatever is in them, the answer is an error of one line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnncli.errors import RunDirError
from rnncli.runs.checkpoints import CheckpointRecord
from rnncli.runs.log_checks import check_against_checkpoints, check_csv, check_metrics

EPOCHS = [{"epoch": n, "step": 5 * n, "loss": 1 / n, "exact_match": 0.25} for n in (1, 2, 3)]
ROWS = "epoch,step,loss,exact_match\n" + "".join(f"{n},{5 * n},{1 / n},0.25\n" for n in (1, 2, 3))


def written(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(check):
    try:
        check()
    except RunDirError:
        return True
    return False


def test_sound_logs_are_accepted(tmp_path):
    lines = "".join(f"{json.dumps(values)}\n" for values in EPOCHS)
    assert check_metrics(written(tmp_path / "m", lines), tmp_path) == EPOCHS
    check_csv(written(tmp_path / "c", ROWS), tmp_path, EPOCHS)
    check_against_checkpoints(EPOCHS, [CheckpointRecord(step=10, epoch=2, metrics=EPOCHS[1], best=EPOCHS[0])])
    with pytest.raises(RunDirError):
        check_against_checkpoints(EPOCHS, [CheckpointRecord(step=10, epoch=2, best={**EPOCHS[1], "loss": 0.75})])
    assert check_metrics(tmp_path / "none", tmp_path) == []


@pytest.mark.parametrize(
    "value", ["1e999", "1" * 400, "1" * 5000, "true", '"1"', "null", "[" * 9000, "-Infinity", "{}", ""]
)
@pytest.mark.parametrize("key", ["epoch", "step", "loss", "exact_match"])
def test_odd_values_of_metrics_are_refused(tmp_path, key, value):
    cells = {name: json.dumps(number) for name, number in EPOCHS[0].items()} | {key: value}
    line = ", ".join(f'"{name}": {cell}' for name, cell in cells.items())
    path = written(tmp_path / "m", f"{{{line}}}\n")
    finite = key != "exact_match" or value not in ("1e999", "-Infinity")
    assert refused(lambda: check_metrics(path, tmp_path)) == finite


@pytest.mark.parametrize(
    ("old", "new"), [("0.25", "0.5"), ("0.25", "high"), ("2,10", "2,11"), ("2,10", "2"), ("3,15", "2,15")]
)
def test_rows_with_other_values_than_metrics_are_refused(tmp_path, old, new):
    path = written(tmp_path / "c", ROWS.replace(old, new))
    assert refused(lambda: check_csv(path, tmp_path, EPOCHS))


@given(st.integers(0, len(ROWS)), st.integers(0, 5), st.binary(max_size=5) | st.just(b"9" * 5000))
def test_nothing_in_a_csv_is_more_than_an_error_of_one_line(tmp_path_factory, place, cut, new):
    text = ROWS.encode()[:place] + new + ROWS.encode()[place + cut :]
    folder = tmp_path_factory.getbasetemp()
    assert refused(lambda: check_csv(written(folder / "c", text), folder, EPOCHS)) in (True, False)
