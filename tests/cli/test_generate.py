"""`rnncli generate`: texts, parts of texts, and what is refused."""

import json

import pytest
from click.testing import CliRunner
from untrained_run import write_untrained_run

import rnncli
from rnncli.cli.main import main
from rnncli.errors import InputError, words_of_the_command_line
from rnncli.inference.generation_options import GenerationOptions

pytestmark = pytest.mark.usefixtures("runtime")
CONFIG = "task: {type: text, window: 8, train: t.txt}\nmodel: {type: next_step, units: 6%s}\ntraining: {epochs: 1}\n"
TEXT = "KING: to be, or not to be.\nQUEEN: words, words, words!\n" * 6


def generate(*arguments, text=None):
    return CliRunner().invoke(main, ["generate", *map(str, arguments)], input=text)


def output(*arguments, text=None):
    result = generate(*arguments, "-q", text=text)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module", params=["", ", stateful: true"], ids=["stateless", "stateful"])
def run(tmp_path_factory, request):
    folder = tmp_path_factory.mktemp("run")
    (folder / "t.txt").write_text(TEXT)
    (folder / "c.yaml").write_text(CONFIG % request.param)
    if not request.param:
        return write_untrained_run(folder / "run", folder / "c.yaml")
    options = ["--run-dir", str(folder / "run"), "-q", "--set", "training.batch_size=4"]
    result = CliRunner().invoke(main, ["train", str(folder / "c.yaml"), *options])
    assert result.exit_code == 0, result.stderr
    return folder / "run"


def test_the_prime_and_the_text_go_to_stdout(run):
    found = output(run, "--prime", "KING:", "--length", "30")
    assert found.startswith("KING:")
    assert len(found.removesuffix("\n")) in (34, 35)
    assert found == output(run, "--prime", "KING:", "--length", "30")
    assert found != output(run, "--prime", "KING:", "--length", "30", "--seed", "1")


def test_a_text_in_parts_is_the_text_at_once(run, tmp_path):
    whole = output(run, "--prime", "KING:", "--length", "90", "--format", "jsonl")
    first = output(run, "--prime", "KING:", "--length", "50", "--state-out", tmp_path / "s.npz", "--format", "jsonl")
    rest = output(run, "--state-in", tmp_path / "s.npz", "--length", "40", "--format", "jsonl")
    assert json.loads(first)["text"] + json.loads(rest)["text"] == json.loads(whole)["text"]


def test_several_texts_are_separated_and_each_prime_has_its_own(run):
    found = output(run, "--input", "-", "--n", "2", "--length", "5", text="KING:\nQ\\nK\n")
    texts = found.split("----\n")
    assert [text[:3] for text in texts] == ["KIN", "KIN", "Q\nK", "Q\nK", ""]
    lines = [json.loads(each) for each in output(run, "--n", "3", "--length", "9", "--format", "jsonl").splitlines()]
    assert [line["prime"] for line in lines] == ["\n"] * 3
    assert {len(line["text"]) for line in lines} == {9}
    assert len({line["text"] for line in lines}) > 1


def test_python_writes_what_the_command_writes(run):
    expected = json.loads(output(run, "--prime", "KING:", "--length", "80", "--format", "jsonl"))["text"]
    loaded = rnncli.load(run)
    text = loaded.generate("KING:", 80)
    pieces = list(text)
    assert "".join(pieces) == text.text == expected
    assert len(pieces) > 1
    first = loaded.generate("KING:", 30)
    assert list(loaded.generate("", 50, initial_state=_end(first), position=30))
    assert first.text + "".join(loaded.generate("", 50, initial_state=first.state, position=30)) == expected
    both = loaded.generate(["KING:", "QUEEN:"], 20, temperature=0)
    assert [len(piece) for piece in next(both)] == [8, 8]


def _end(text):
    for _ in text:
        pass
    return text.state


def test_states_of_predict_are_gone_on_from(run, tmp_path):
    result = CliRunner().invoke(main, ["predict", str(run), "KING:", "--state-out", str(tmp_path / "p.npz"), "-q"])
    assert result.exit_code == 0, result.stderr
    states = ["--state-in", tmp_path / "p.npz", "--state-row", "0", "--length", "20", "--temperature", "0"]
    assert output(run, *states) == output(run, "--prime", "KING:", "--length", "20", "--temperature", "0")[5:]


@pytest.mark.parametrize("options", [(), ("--n", "3")])
def test_unknown_symbols_of_the_prime_are_counted_once(run, options):
    assert ": 1 unknown symbol (" in generate(run, "--prime", "ÖUEEN:", "--length", "3", *options).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prime", ""], "--prime"),
        (["--prime", "A", "--input", "-"], "--input"),
        (["--state-row", "0"], "--state-in"),
        (["--temperature", "0", "--top-k", "3"], "top-k"),
        (["--state-in", "nothing.npz"], "nothing.npz"),
        (["--state-out", "states.txt"], "states.txt"),
    ],
)
def test_what_cannot_be_written_is_refused(run, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    result = generate(run, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


def test_a_model_of_another_task_is_refused_before_tensorflow(tmp_path):
    (tmp_path / "c.yaml").write_text("task: alphabet\nmodel: {type: next_step, units: 3}\ntraining: {epochs: 1}\n")
    write_untrained_run(tmp_path / "run", tmp_path / "c.yaml")
    result = generate(tmp_path / "run")
    assert result.exit_code == 2
    assert "task: text" in result.stderr


@pytest.mark.long
def test_controls_are_escaped_and_line_ends_stay(tmp_path):
    controls = "\x1b]0;\x7f\x9b\u2028\r"
    (tmp_path / "t.txt").write_text(f"ab\n\t{controls}" * 30, newline="")
    (tmp_path / "c.yaml").write_text(CONFIG % "")
    write_untrained_run(tmp_path / "run", tmp_path / "c.yaml")
    run, options = tmp_path / "run", ["--prime", f"ab{controls[:-1]}\\n", "--length", "60", "--temperature", "2"]
    raw = output(run, *options, "--raw")
    assert controls[:-1] in raw
    safe = output(run, *options)
    assert r"\x1b]0;\x7f\x9b\u2028" in safe
    assert safe.count("\n") == raw.count("\n") > 1  # those that the model wrote stay
    assert all(character.isprintable() or character in "\n\t" for character in safe)
    assert all(each.isprintable() or each in "\n\t" for each in output(run, *options, "--n", "2"))
    line = output(run, *options, "--format", "jsonl")
    assert line.removesuffix("\n").isprintable()
    assert json.loads(line)["prime"] == f"ab{controls[:-1]}\n"
    assert generate(run, "--raw", "--format", "jsonl").exit_code == 2
    scored = CliRunner().invoke(main, ["score", str(run), f"b{controls[:-1]}", "--format", "tsv", "--symbols", "-q"])
    assert scored.exit_code == 0, scored.stderr
    assert scored.stdout.replace("\t", " ").removesuffix("\n").isprintable()
    line = CliRunner().invoke(main, ["score", str(run), controls[:-1], "--format", "jsonl", "--symbols", "-q"]).stdout
    assert line.removesuffix("\n").isprintable()
    assert json.loads(line)["target"] == controls[:-1]
    raw = CliRunner().invoke(main, ["score", str(run), controls[:-1], "--format", "tsv", "--raw", "-q"]).stdout
    assert controls[:-1] in raw


def test_line_ends_of_prime_and_stop_are_escaped(run):
    found = json.loads(output(run, "--prime", r"KING:\n", "--stop", r"\n", "--length", "300", "--format", "jsonl"))
    assert found["prime"] == "KING:\n"
    assert found["text"].endswith("\n")
    assert found["text"].count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value"), [("top_k", 0), ("seed", -1), ("length", 0), ("temperature", -1.0), ("stop", "")]
)
def test_messages_name_options_as_they_are_written(name, value):
    with pytest.raises(InputError) as caught:
        GenerationOptions(**{name: value})
    assert caught.value.message.startswith(f"{name} ")
    with words_of_the_command_line(), pytest.raises(InputError) as caught:
        GenerationOptions(**{name: value})
    assert caught.value.message.startswith(f"--{name.replace('_', '-')} ")
