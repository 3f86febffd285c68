"""Long texts in windows: how they are cut, and that windows with carried states are one long run."""

import gzip
import json
import re

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from npz_files import read_npz
from safetensors.numpy import load_file

import rnncli
from rnncli.cli.input_lines import read_input
from rnncli.cli.main import main
from rnncli.cli.tables import fit_columns
from rnncli.config import TextTask, load_config, parse_config
from rnncli.data.task import line_of, symbol_characters, text_of
from rnncli.data.tasks import build_task
from rnncli.data.tasks.text import Text, generate
from rnncli.errors import DataError, InputError
from rnncli.training.inputs import TrainingInputs

pytestmark = pytest.mark.usefixtures("runtime")
ROWS, WINDOW, WINDOWS = 3, 8, 16
STILL = "training.learning_rate=1e-12"  # weights that do not move
CONFIG = f"""
task: {{type: text, window: {WINDOW}, windows: {ROWS * WINDOWS}, held_out: 10}}
model: {{type: next_step, cell: lstm, units: 7, layers: 2, stateful: true}}
training: {{epochs: 1, batch_size: {ROWS}}}
"""


def task(**options):
    return Text(TextTask.model_validate(options))


def files(tmp_path, train, validation="abc abc abc"):
    (tmp_path / "train.txt").write_bytes(train.encode())
    (tmp_path / "validation.txt").write_bytes(validation.encode())
    return {"train": str(tmp_path / "train.txt"), "validation": str(tmp_path / "validation.txt")}


def command(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    (folder / "config.yaml").write_text(CONFIG)
    result = command("train", folder / "config.yaml", "--run-dir", folder / "run", "-q", "--set", STILL)
    assert result.exit_code == 0, result.stderr
    return folder / "run"


def stretches(run):
    """The training text as the rows of the batches read it, ids [rows, all steps], and what follows each symbol."""
    text = generate(ROWS * WINDOWS * WINDOW + 1, 0)
    ids = np.array(run._run.task._encode(text))
    return ids[:-1].reshape(ROWS, -1), ids[1:].reshape(ROWS, -1)


def test_text_windows_are_consecutive_and_targets_one_symbol_ahead(tmp_path):
    text = task(window=4, **files(tmp_path, "abcdefghij", "jihgf"))
    train, held_out = text.splits()
    shown = [text.show_source(row) for row in train.source.tolist()]
    assert shown == ["abcd", "efgh"]
    assert [text.show_target(row) for row in train.target.tolist()] == ["bcde", "fghi"]
    assert train.continuing
    assert [text.show_source(row) for row in held_out.source.tolist()] == ["jihg"]


def test_text_shorter_than_a_window_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"task\.validation: .*\b4 .*\b5"):
        task(window=4, **files(tmp_path, "abcdefghij", "abcd")).splits()


def test_text_reads_new_symbols_as_unknown(tmp_path):
    text = task(window=4, **files(tmp_path, "abcab"))
    assert text.show_source(text.read_source("aéb")) == "a\N{REPLACEMENT CHARACTER}b"
    with pytest.raises(DataError, match=r"\b5 .*task\.window"):
        text.read_source("abcab")
    with pytest.raises(DataError, match="no text"):
        text.read_source("")


@given(st.text("ab\n\t\r\\n ", min_size=1, max_size=20))
def test_text_escapes_fit_on_a_line_and_round_trip(written):
    text = Text(TextTask(window=20))
    known = Text.__new__(Text)
    known.__dict__ = text.__dict__ | {
        "source_vocabulary": type(text.source_vocabulary).of("ab\n\t\r\\n ", ["<pad>", "<unk>"])
    }
    ids = known._encode(written)
    assert known.show_source(ids) == written
    assert known.read_source(written) == ids
    line = line_of(known, written)
    assert not set(line) & set("\n\r\t")
    assert text_of(known, line) == written


@pytest.fixture(scope="module")
def verse(tmp_path_factory):
    """A run that has learned lines of a letter each, and their line ends."""
    folder = tmp_path_factory.mktemp("verse")
    named = files(folder, "ab\n" * 41, "ab\n" * 9)
    (folder / "config.yaml").write_text(
        f"task: {{type: text, window: 6, train: {named['train']}, validation: {named['validation']}}}\n"
        "model: {type: next_step, units: 8}\ntraining: {epochs: 40, batch_size: 5, learning_rate: 0.05}\n"
    )
    result = command("train", folder / "config.yaml", "--run-dir", folder / "run")
    assert result.exit_code == 0, result.stderr
    return folder / "run", result.stderr


def test_text_keeps_line_ends_in_python_and_json(verse):
    run, _ = verse
    (found,) = rnncli.load(run).predict(["ab\nab\n"])
    assert found.text == "b\nab\na"
    result = command("predict", run, r"ab\nab\n", "--format", "jsonl")
    found = json.loads(result.stdout)
    assert (found["source"], found["prediction"]) == ("ab\nab\n", "b\nab\na")


def test_text_escapes_line_ends_in_lines_of_output(verse, tmp_path):
    run, said = verse
    for source in (r"ab\nab\n", "ab\nab\n"):  # an argument may hold line ends themselves
        assert command("predict", run, source).stdout == "b\\nab\\na\n"
        assert command("predict", run, source, "--format", "tsv").stdout.split("\t")[:2] == [
            r"ab\nab\n",
            r"b\nab\na",
        ]
    shown = said.partition("best epoch")[2]
    assert "  ab\n  ab\n  ab\n" in shown  # what the model writes, not a table of windows
    assert "wrong" not in shown
    assert command("export-states", run, r"ab\nab\n", "-o", tmp_path / "states.npz").exit_code == 0
    assert read_npz(tmp_path / "states.npz")["predictions"].tolist() == [r"b\nab\na"]


def test_evaluate_reads_a_text_as_training_does(verse, tmp_path):
    run, _ = verse
    held_out = json.loads(command("evaluate", run, "--format", "json").stdout)
    text = run.parent / "validation.txt"
    for result in (
        command("evaluate", run, "--input", text, "--format", "json"),
        CliRunner().invoke(main, ["evaluate", str(run), "--input", "-", "--format", "json"], input=text.read_bytes()),
    ):
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout) == held_out
    for examples in text, text.read_text().splitlines():
        assert rnncli.load(run).evaluate(examples).total.metrics["validation_loss"] == held_out["validation_loss"]
    (tmp_path / "other.txt").write_text("ab\nxb\n" * 30)
    result = command("evaluate", run, "--input", tmp_path / "other.txt", "--format", "json")
    assert json.loads(result.stdout)["validation_loss"] > held_out["validation_loss"]
    assert "'x'" in result.stderr
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "1.txt").write_bytes(text.read_bytes()[:12])
    (folder / "2.txt.gz").write_bytes(gzip.compress(text.read_bytes()[12:]))
    for several in (folder, folder / "*.txt*"):
        result = command("evaluate", run, "--input", several, "--format", "json")
        assert json.loads(result.stdout) == held_out
    refused = command("evaluate", run, "--input", folder / "*", "--errors", folder / "1.txt", "--overwrite")
    assert refused.exit_code == 2
    assert (folder / "1.txt").read_bytes() == text.read_bytes()[:12]
    missing = command("evaluate", run, "--input", tmp_path / "othr.txt")
    assert "did you mean" in missing.stderr
    (tmp_path / "short.txt").write_text("ab")
    result = command("evaluate", run, "--input", tmp_path / "short.txt")
    assert result.exit_code == 2
    assert "short.txt" in result.stderr


def test_a_stateful_model_reads_a_text_in_rows_as_its_held_out_one(path, tmp_path):
    (tmp_path / "text.txt").write_text(generate(10 * WINDOW + 1, 1))  # the held-out text of the config
    found = json.loads(command("evaluate", path, "--input", tmp_path / "text.txt", "--format", "json").stdout)
    assert found == json.loads(command("evaluate", path, "--format", "json").stdout)


def test_runs_of_texts_and_of_lines_are_not_measured_on_one_file(verse, tmp_path):
    run, _ = verse
    text, lines = rnncli.load(run)._run.task, build_task(parse_config("task: alphabet\nmodel: next_step\n", "c"))
    with pytest.raises(InputError, match="some of the runs"):
        read_input([text, lines], str(tmp_path / "any.txt"))


def test_tables_of_long_texts_fit_into_80_columns():
    rows = fit_columns([("source", "target"), ("a" * 60, "b"), ("c", "d" * 200)], 40)
    assert {sum(map(len, row)) + 2 for row in rows} == {40}
    short = fit_columns([("source", "target"), ("a", "b" * 100)], 40)
    assert [cell.rstrip() for cell in short[1]] == ["a", "b" * 29 + "..."]


def test_generated_words_end_with_their_first_letter():
    text = generate(4000, 3)
    for word in text.split("a")[1:-1]:
        rest = "a" + word
        letters = rest.rstrip("ABCDEFGH")
        assert rest[len(letters)] == "ABCDEFGH"[len(letters) // 3 - 1]
    assert generate(4000, 3) == text != generate(4000, 4)


@pytest.mark.long
@pytest.mark.xla
def test_carried_states_over_windows_equal_one_long_sequence(path):
    run = rnncli.load(path)
    ids, _ = stretches(run)
    whole, end = run.unroll(ids)
    state, pieces = None, []
    for window in np.split(ids, WINDOWS, axis=1):
        outputs, state = run.unroll(window, state)
        pieces.append(outputs)
    np.testing.assert_allclose(np.concatenate(pieces, axis=1), whole, atol=1e-5)
    for name, value in end.items():
        np.testing.assert_allclose(state[name], value, atol=1e-5, err_msg=name)


def test_predict_over_windows_ends_in_states_of_one_long_sequence(path, tmp_path):
    run = rnncli.load(path)
    ids, _ = stretches(run)
    lines = [run._run.task.show_source(row) for window in np.split(ids, WINDOWS, axis=1) for row in window.tolist()]
    out = tmp_path / "ended.safetensors"
    result = command("predict", path, *lines, "--state-in", "zeros", "--state-out", out, "-q")
    assert result.exit_code == 0, result.stderr
    assert [len(line) for line in result.stdout.splitlines()] == [WINDOW] * len(lines)
    end = run.unroll(ids)[1]
    ended = load_file(out)
    for name, value in end.items():
        np.testing.assert_allclose(ended[name], value, atol=1e-5)


def test_training_over_windows_has_loss_and_states_of_one_long_sequence(path):
    run = rnncli.load(path)
    ids, following = stretches(run)
    outputs, end = run.unroll(ids)
    weights = run._run.model.arrays()
    logits = outputs @ weights["output/kernel"] + weights["output/bias"]
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(following, logits)
    (line,) = (path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(line)["loss"] == pytest.approx(float(loss), abs=1e-5)
    for name, value in end.items():
        np.testing.assert_allclose(run.carried[name], value, atol=1e-5)


def test_next_step_prediction_is_causal_and_as_long_as_source(path):
    run = rnncli.load(path)
    long, short = run.predict(["abcdefgh", "abc"])
    assert (len(long.text), len(short.text)) == (8, 3)
    assert long.text[:3] == short.text
    assert short.score > long.score


def test_export_states_has_the_steps_of_the_text(path, tmp_path):
    result = command("export-states", path, "abcdefgh", "abc", "-o", tmp_path / "states.npz")
    assert result.exit_code == 0, result.stderr
    states = read_npz(tmp_path / "states.npz")["rnn/1/forward/h"]
    assert states.shape == (2, WINDOW, 7)
    np.testing.assert_allclose(states[1, :3], states[0, :3], atol=1e-6)
    assert not states[1, 3:].any()


@pytest.mark.parametrize("command_name", ["validate", "train"])
def test_stateful_text_refuses_a_batch_size_above_its_windows(tmp_path, command_name):
    (tmp_path / "config.yaml").write_text(CONFIG)
    result = command(command_name, tmp_path / "config.yaml", "--set", "training.batch_size=49")
    assert result.exit_code == 2
    assert re.search(r"training\.batch_size=49: .* 48\b", result.stderr)


def own_text(tmp_path, batch_size):
    """A config for a text with ten windows and a symbol."""
    named = files(tmp_path, "abcd" * 10 + "a")
    (tmp_path / "config.yaml").write_text(
        f"task: {{type: text, window: 4, train: {named['train']}, validation: {named['validation']}}}\n"
        f"model: {{type: next_step, units: 3, stateful: true}}\n"
        f"training: {{epochs: 1, batch_size: {batch_size}}}\n"
    )
    return tmp_path / "config.yaml"


def test_stateful_text_file_refuses_a_batch_size_above_its_windows(tmp_path):
    result = command("train", own_text(tmp_path, 11), "--run-dir", tmp_path / "run")
    assert result.exit_code == 2
    assert re.search(r"training\.batch_size: .* 10\b", result.stderr)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("batch_size", "left_out"), [(4, 2), (3, 1), (5, 0)])
def test_stateful_text_leaves_out_the_last_windows_with_a_note(tmp_path, batch_size, left_out):
    notes = []
    inputs = TrainingInputs.read(load_config(own_text(tmp_path, batch_size)), note=notes.append)
    train, held_out = inputs.splits
    assert len(train) == 10 - left_out
    assert len(held_out) == 2
    np.testing.assert_array_equal(train.source, inputs.task.splits()[0].source[: len(train)])
    assert [note for note in notes if "left out" in note] == list(train.notes)
    assert [re.findall(r"[0-9]+", note) for note in train.notes] == {
        2: [["2", "4"]],
        1: [["3"]],
        0: [],
    }[left_out]


@pytest.mark.long
def test_stateful_text_whose_windows_do_not_fill_a_batch_is_trained_and_resumed(tmp_path):
    assert command("train", own_text(tmp_path, 4), "--run-dir", tmp_path / "run", "-q").exit_code == 0
    result = command("train", "--resume", tmp_path / "run", "-q", "--set", "training.epochs=2")
    assert result.exit_code == 0, result.stderr
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert command("evaluate", tmp_path / "run").exit_code == 0


def test_text_has_one_normal_form_and_counts_unknown_symbols(tmp_path):
    from rnncli.config import TextTask
    from rnncli.data.tasks.text import Text

    train, validation = tmp_path / "train.txt", tmp_path / "validation.txt"
    train.write_text("\u00e9t\u00e9 et \u00e9t\u00e9")
    validation.write_text("e\u0301te\u0301 Q t")
    section = {"train": str(train), "validation": str(validation), "window": 4}
    text = Text(TextTask.model_validate(section))
    _, held_out = text.splits()
    assert held_out.notes == ("task.validation: 1 unknown symbol ('Q' 1)",)
    assert text.read_source("e\u0301te\u0301") == text.read_source("\u00e9t\u00e9")
    text.read_source("QQt")
    assert text.unknown.total == 2
    as_it_is = Text(TextTask.model_validate({**section, "normalize": "none"}))
    assert len(as_it_is.source_vocabulary) == len(text.source_vocabulary)
    assert "3 unknown" in as_it_is.splits()[1].notes[0]


def test_a_directory_and_a_glob_are_read_in_order_and_the_end_is_held_out(tmp_path):
    folder = tmp_path / "books"
    (folder / "more").mkdir(parents=True)
    (folder / "b.txt").write_text("cd" * 5)
    (folder / "a.txt").write_text("ab" * 5)
    (folder / "more" / "c.txt").write_text("efgh" * 5)
    (folder / "notes.md").write_text("zzz")
    text = task(window=3, train=str(folder), split=0.25)
    train, held_out = text.texts()
    assert train + held_out == "ab" * 5 + "\n" + "cd" * 5 + "\n" + "efgh" * 5
    assert len(held_out) == 42 // 4
    assert task(window=3, train=f"{folder}/*.txt").texts()[0].startswith("ab" * 5 + "\ncd")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"\.txt"):
        task(window=3, train=str(tmp_path / "empty"))


@given(st.integers(10, 300), st.floats(0.01, 0.9))
def test_no_place_of_a_text_is_in_both_parts(length, split):
    text = Text.__new__(Text)
    text.config = TextTask(train="t", split=split)
    text._clean, text._tokenizer = str, None
    written = "".join(chr(0x4E00 + number) for number in range(length))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnncli.data.tasks.text.read_texts", lambda _: written)
        train, held_out = text._read_both()
    assert train + held_out == written


@pytest.mark.parametrize(
    ("unit", "symbols", "characters"),
    [
        ("characters", ["K", "ä", "s", "e", ",", " ", "K", "ä", "s", "e"], None),
        ("bytes", ["K", "<0xC3>", "<0xA4>", "s", "e", ",", " ", "K", "<0xC3>", "<0xA4>", "s", "e"], 10),
        ("words", ["Käse", ",", " ", "Käse"], 10),
        ("graphemes", ["K", "ä", "s", "e", ",", " ", "K", "ä", "s", "e"], 10),
    ],
)
def test_symbols_of_a_text_and_their_characters(tmp_path, unit, symbols, characters):
    written = "Käse, Käse"
    (tmp_path / "t.txt").write_text(f"{written}\n" * 9)
    text = task(window=4, tokenize=unit, train=str(tmp_path / "t.txt"))
    ids = text.read_prime(written)
    assert text.source_vocabulary.decode(ids) == symbols
    assert text.show_source(ids) == written
    found = symbol_characters(text)
    assert found is None if characters is None else found[ids].sum() == characters


def test_rare_words_are_unknown(tmp_path):
    (tmp_path / "t.txt").write_text("to be or not to be\n" * 4 + "once " + "to be\n" * 4)
    text = task(window=3, tokenize="words", min_frequency=2, train=str(tmp_path / "t.txt"))
    assert "once" not in text.source_vocabulary.ids
    assert text.show_source(text.read_prime("to once")) == "to \N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("options", [{"split": 0.5}, {"split": 0.5, "train": "a", "validation": "b"}])
def test_split_is_for_a_training_text_alone(options):
    with pytest.raises(ValueError, match="split"):
        TextTask.model_validate(options)


@pytest.mark.long
def test_init_writes_a_config_for_a_text_that_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.txt").write_text("To be, or not to be, that is the question.\n" * 60)
    result = command("init", "book.txt", "--text", "--output", "book.yaml")
    assert result.exit_code == 0, result.stderr
    config = load_config("book.yaml")
    assert (config.task.type, config.model.stateful, config.best_metric) == ("text", True, "validation_loss")
    trained = command(
        "train", "book.yaml", "--run-dir", "run", "--set", "training.epochs=1", "--set", "model.units=4"
    )
    assert trained.exit_code == 0, trained.stderr
    assert "rnncli generate run --prime" in trained.stderr
    assert command("init", "book.txt", "--text", "--columns", "1,2").exit_code == 2
