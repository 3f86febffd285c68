"""The task of pairs through the command line: training, lines of any kind, notes, and refusals before TensorFlow."""

import json
import random
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from heavy_imports import run_and_list_heavy
from untrained_run import write_untrained_run

from rnncli.cli.main import main

CONFIG = """
task:
  type: pairs
  train: {train}
  validation: {train}
  test: test.tsv
  max_source_length: 12
  max_target_length: 12
model:
  type: encoder_decoder
  encoder: {{units: 48}}
  decoder: {{units: 48}}
training: {{epochs: 100, batch_size: 8, learning_rate: 1e-2}}
"""


def words(count):
    rng = random.Random(0)
    found = {"".join(rng.choices("abcdé", k=rng.randint(2, 6))) for _ in range(2 * count)}
    return sorted(found)[:count]


def rnncli(*arguments, text=None):
    return CliRunner().invoke(main, [str(a) for a in arguments], input=text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, runtime):
    """A directory with a run in it that knows twenty pairs, in each of which the target is the source backwards."""
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "train.tsv").write_text("".join(f"{word}\t{word[::-1].upper()}\n" for word in words(20)))
    (folder / "test.tsv").write_text(f"{words(20)[0]}\tQ\nax\tA\n")
    (folder / "config.yaml").write_text(CONFIG.format(train="train.tsv"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        trained = rnncli("train", "config.yaml", "--run-dir", "run")
    assert trained.exit_code == 0, trained.stderr
    (folder / "stderr").write_text(trained.stderr)
    return folder


@pytest.fixture(autouse=True)
def _there(folder, monkeypatch):
    monkeypatch.chdir(folder)


def test_twenty_pairs_are_learned_by_heart():
    assert json.loads(rnncli("evaluate", "run", "--format", "json").stdout)["exact_match"] == 1.0
    answers = rnncli("predict", "run", *words(20))
    assert answers.stdout.split() == [word[::-1].upper() for word in words(20)]


def test_what_is_odd_about_the_data_is_said_and_recorded():
    notes = [
        "test.tsv: 2 unknown symbols ('Q' 1, 'x' 1)",
        "test.tsv: 1 of 2 sources are in train.tsv too",
        "train.tsv: 20 of 20 sources are in train.tsv too",
    ]
    assert Path("stderr").read_text().splitlines()[:3] == notes
    assert json.loads(Path("run/manifest.json").read_text())["notes"] == notes


def test_one_line_in_is_one_line_out_whatever_the_line_is():
    known = next(word for word in words(20) if "é" in word)
    right = known[::-1].upper()
    parts = known.replace("é", "e\u0301")
    lines = ["\ufeff" + known, parts + "\r", "", " ", f"{known}\tX", "😀", "a" * 10_000, "\u0301", f"  {known} "]
    result = rnncli("predict", "run", text="\n".join(lines) + "\n")
    answers = result.stdout.split("\n")
    assert answers.pop() == ""
    assert len(answers) == len(lines)
    assert [answers[n] for n in (0, 1, 8)] == [right] * 3
    assert [n for n, answer in enumerate(answers) if not answer][:4] == [2, 3, 4, 6]
    assert result.exit_code == 1
    assert "<stdin>:3: " in result.stderr
    assert "<stdin>:5: " in result.stderr
    assert "<stdin>:7: " in result.stderr
    assert "<stdin>:6: unknown symbol '😀'" in result.stderr
    assert "<stdin>:8: unknown symbol '\u0301'" in result.stderr
    assert "unknown" not in rnncli("predict", "run", "-q", text="😀\n").stderr


def test_a_file_is_measured_in_its_columns():
    measured = rnncli("evaluate", "run", "--test", "--format", "json")
    assert json.loads(measured.stdout)["examples"] == 2
    assert set(json.loads(measured.stdout)["groups"]) == {"length"}
    given = rnncli("evaluate", "run", "--input", "test.tsv", "--format", "json")
    assert given.stdout == measured.stdout
    assert "test.tsv: 2 unknown symbols ('Q' 1, 'x' 1)" in given.stderr
    plotted = rnncli("plot", "confusion", "run", "--input", "test.tsv", "-o", "confusion.svg")
    assert "test.tsv: 2 unknown symbols ('Q' 1, 'x' 1)" in plotted.stderr
    assert "task.test: 1 of 2 sources are in " in measured.stderr
    assert "test.tsv: 1 of 2 sources are in " in given.stderr
    assert rnncli("evaluate", "run", "--test", "--input", "test.tsv").exit_code == 2


def test_runs_with_other_vocabularies_each_show_their_unknown_symbols(tmp_path):
    (tmp_path / "other.tsv").write_text("abx\tABQ\n")
    (tmp_path / "other.yaml").write_text(CONFIG.format(train=tmp_path / "other.tsv"))
    other = write_untrained_run(tmp_path / "other", tmp_path / "other.yaml", ["task.test=null"])
    (tmp_path / "both.tsv").write_text("ax\tAY\n")
    compared = rnncli("compare", "run", other, "--input", tmp_path / "both.tsv")
    assert compared.exit_code == 0, compared.stderr
    counted = [line for line in compared.stderr.splitlines() if "unknown" in line]
    assert [line.partition("both.tsv")[2] for line in counted] == [
        ", with run: 2 unknown symbols ('x' 1, 'Y' 1)",
        f", with {other}: 1 unknown symbol ('Y' 1)",
    ]


def test_scores_by_what_training_has_seen(tmp_path):
    table = rnncli("evaluate", "run", "--test", "--by", "seen").stdout.splitlines()
    assert [line.split()[:2] for line in table[-2:]] == [["seen", "1"], ["unseen", "1"]]
    assert "seen" not in json.loads(rnncli("evaluate", "run", "--test", "--format", "json").stdout)["groups"]
    shutil.copytree("run", tmp_path / "run")
    manifest = json.loads(Path("run/manifest.json").read_text())
    manifest["data"]["train"] = "0" * 64
    (tmp_path / "run/manifest.json").write_text(json.dumps(manifest))
    refused = rnncli("evaluate", tmp_path / "run", "--by", "seen")
    assert (refused.exit_code, "training data has changed" in refused.stderr) == (2, True)


def test_a_file_is_measured_where_the_training_data_is_gone(tmp_path, monkeypatch):
    given = tmp_path / "given.tsv"
    given.write_text("ab\tBA\n")
    run = Path("run").resolve()
    monkeypatch.chdir(tmp_path)
    measured = rnncli("evaluate", run, "--input", given, "--quiet")
    assert measured.exit_code == 0
    assert measured.stderr == ""


def test_states_are_exported_by_the_same_lines(tmp_path):
    result = rnncli("export-states", "run", "--input", "train.tsv", "--teacher-forced", "-o", tmp_path / "s.npz")
    assert result.exit_code == 0, result.stderr


def test_a_damaged_vocabulary_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text(Path("run/config.yaml").read_text())
    text = Path("run/vocabulary.json").read_text()
    (tmp_path / "run/vocabulary.json").write_text(text.replace('"<unk>"', '"unk"'))
    damaged = rnncli("predict", tmp_path / "run", "ab")
    assert (damaged.exit_code, "vocabulary.json" in damaged.stderr) == (2, True)


@pytest.mark.parametrize(
    ("content", "keys", "problem"),
    [
        (b"a\tA\n\xff\tB\n", [], "bad.tsv:2: "),
        (b"a\tA\nb\tB\tC\n", [], "bad.tsv:2: "),
        (b"", [], "bad.tsv: "),
        (b"\n\n", [], "bad.tsv: "),
        (b"a\tA\nb\n", [], "bad.tsv:2: "),
        (b"abcdefghijklm\tA\n", [], "bad.tsv:1: "),
        (b"a\tA\n", ["task.vocabulary=test.tsv"], "test.tsv: not JSON"),
        (b"a\tA\n", ["task.columns.features=3"], "task.columns.features=3: "),
        (b"a\tA\n", ["model=classifier"], "task pairs works with encoder_decoder"),
    ],
)
def test_bad_input_is_refused_in_one_line_before_tensorflow(folder, tmp_path, content, keys, problem):
    bad = tmp_path / "bad.tsv"
    bad.write_bytes(content)
    config = tmp_path / "c.yaml"
    config.write_text(CONFIG.format(train=bad).replace("test.tsv", f"{folder}/test.tsv"))
    keys = [part.replace("=test", f"={folder}/test") for key in keys for part in ("--set", key)]
    run = tmp_path / "run"
    assert run_and_list_heavy("train", config, "--run-dir", run, *keys) == (2, [])
    refused = rnncli("train", config, "--run-dir", run, *keys)
    assert problem in refused.stderr
    assert sum(line.startswith("error: ") for line in refused.stderr.splitlines()) == 1
    assert len(refused.stderr.splitlines()) <= 2, "the problem, and what to do"
    assert not run.exists()


def test_no_other_file_is_read_by_a_runs_config(folder, tmp_path):
    shutil.copytree("run", tmp_path / "run")
    (tmp_path / "secret").write_text("password:\thunter2\n")
    config = tmp_path / "run" / "config.yaml"
    text = config.read_text().replace(
        f"validation:\n    file: {folder}/train.tsv", f"validation:\n    file: {tmp_path}/secret"
    )
    config.write_text(text.replace(f"{folder}/test.tsv", f"{tmp_path}/secret"))
    for option, split in ((), "held out"), (("--test",), "test"):
        result = rnncli("evaluate", tmp_path / "run", *option)
        assert result.exit_code == 2
        assert result.stderr.startswith("error: ")
        assert f"{split} data" in result.stderr
        assert "--input" in result.stderr


def test_a_pipe_is_not_waited_for_a_second_time(folder, tmp_path):
    shutil.copytree("run", tmp_path / "run")
    config = tmp_path / "run" / "config.yaml"
    config.write_text(config.read_text().replace(f"file: {folder}/train.tsv", "file: /dev/stdin"))
    result = rnncli("evaluate", tmp_path / "run")
    assert result.exit_code == 2
    assert "/dev/stdin" in result.stderr
    assert rnncli("evaluate", tmp_path / "run", "--input", "test.tsv").exit_code == 0


def test_a_manifest_without_digests_leaves_files_that_are_given(tmp_path):
    shutil.copytree("run", tmp_path / "run")
    manifest = tmp_path / "run" / "manifest.json"
    manifest.write_text(
        json.dumps({key: value for key, value in json.loads(manifest.read_text()).items() if key != "data"})
    )
    assert "manifest.json" in rnncli("evaluate", tmp_path / "run").stderr
    assert rnncli("evaluate", tmp_path / "run", "--input", "test.tsv").exit_code == 0


def test_lines_that_are_no_utf_8_are_bad_lines(tmp_path):
    (tmp_path / "latin.tsv").write_bytes(b"ab\tBA\na\xe4b\tBA\n")
    (tmp_path / "latin.txt").write_bytes(b"a\xe4b\nba\n\xc3\xa9\x00\n")
    measured = rnncli("evaluate", "run", "--input", tmp_path / "latin.tsv")
    assert (measured.exit_code, measured.stdout) == (2, "")
    assert "latin.tsv:2: not UTF-8 text: byte 0xe4 at byte 2 of the line\n  hint: save it as UTF-8" in measured.stderr
    answered = rnncli("predict", "run", "--input", tmp_path / "latin.txt")
    assert answered.exit_code == 1
    assert [bool(line) for line in answered.stdout.splitlines()] == [False, True, False]
    assert "latin.txt:1: not UTF-8 text: byte 0xe4 at byte 2 of the line" in answered.stderr
    assert "latin.txt:3: a NUL character" in answered.stderr
    assert rnncli("predict", "run", "--strict", "--input", tmp_path / "latin.txt").stdout == ""


def test_wrong_answers_are_listed_as_they_stand_in_the_file(tmp_path):
    (tmp_path / "given.tsv").write_text("\nzäb\tBÄZ\n\nqq\tXX\n")
    assert rnncli("evaluate", "run", "--input", tmp_path / "given.tsv", "--errors", tmp_path / "e.tsv").exit_code == 0
    rows = [line.split("\t") for line in (tmp_path / "e.tsv").read_text().splitlines()[1:]]
    assert [(row[0], row[1], row[3]) for row in rows] == [("2", "zäb", "BÄZ"), ("4", "qq", "XX")]
    assert rows[0][5].count("<unk>→") == 2  # Ä and Z, which training did not have


def test_what_was_too_long_is_counted(tmp_path):
    given = tmp_path / "given.tsv"
    given.write_text(f"ab\tBA\n{13 * 'a'}\tA\n")
    shutil.copytree("run", tmp_path / "run")
    for path in (tmp_path / "run" / "config.yaml", tmp_path / "run" / "manifest.json"):
        path.write_text(path.read_text().replace("too_long: error", "too_long: skip"))
    measured = rnncli("evaluate", tmp_path / "run", "--input", given)
    assert "1 example, " in measured.stdout
    assert "too long" in measured.stdout
    assert (
        json.loads(rnncli("evaluate", tmp_path / "run", "--input", given, "--format", "json").stdout)["left_out"] == 1
    )


def test_symbols_that_are_not_those_of_the_training_are_refused(tmp_path):
    shutil.copytree("run", tmp_path / "run")
    vocabulary = tmp_path / "run" / "vocabulary.json"
    vocabulary.write_text(vocabulary.read_text().replace('"a"', '"x"'))
    result = rnncli("predict", tmp_path / "run", "ab")
    assert result.exit_code == 2
    assert "vocabulary.json: " in result.stderr
