"""The keys of a config, overrides of them, and the errors."""

import subprocess
import sys

import pytest

from rnncli.config import parse_config
from rnncli.config.optimizers import OPTIMIZERS
from rnncli.config.overrides import apply_overrides
from rnncli.config.yaml_reader import read_yaml
from rnncli.errors import ConfigError, words_of_the_command_line

NAMES = ", ".join(OPTIMIZERS)

HEAD = "task: addition\nmodel: encoder_decoder\n"
ALPHABET = "model: next_step\ntask: {type: alphabet, alphabet: ABCDEF, window: 3}\n"


def refusal(text, *overrides):
    with pytest.raises(ConfigError) as caught, words_of_the_command_line():
        parse_config(text, "c.yaml", overrides)
    return caught.value.message


def training(text):
    """The problem with one line below `training:`, which is the file's fourth."""
    message = refusal(f"{HEAD}training:\n  {text}\n")
    return message.removeprefix("c.yaml:4: training.")


def test_a_short_config_is_whole():
    config = parse_config(HEAD, "c.yaml")
    assert config.task.digits == 3
    assert config.model.encoder.units == 128
    assert config.training.learning_rate == 1e-3


def test_all_problems_are_shown_together_in_the_order_of_the_file():
    text = """\
training:
  optimizer: adamm
  epochs: three
  batch_size: -3
colour: red
model: {type: encoder_decoder, encoder: {dropout: 1}}
task:
  digits: 3
"""
    places = [": ".join(line.split(": ")[:2]) for line in refusal(text).splitlines()]
    assert places == [
        "c.yaml:2: training.optimizer",
        "c.yaml:3: training.epochs",
        "c.yaml:4: training.batch_size",
        "c.yaml:5: colour",
        "c.yaml:6: model.encoder.dropout",
        "c.yaml:7: task.type",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("epocs: 3", "epocs: "),
        ("batch-size: 3", "batch-size: "),
        ("patience: 3", "patience: "),
        ("early_stopping: {often: 3}", "early_stopping.often: "),
        ("epochs: true", "epochs: "),
        ("epochs:", "epochs: "),
        ("epochs: [1]", "epochs: "),
        ("epochs: 3.5", "epochs: "),
        ("epochs: 1e3", "epochs: "),
        ("epochs: '3'", "epochs: "),
        ("epochs: 50_000", "epochs: "),
        ("epochs: 1000001", "epochs: "),
        ("learning_rate: 0", "learning_rate: "),
        ("learning_rate: fast", "learning_rate: "),
        ("learning_rate: .nan", "learning_rate: "),
        ("clip_norm: .inf", "clip_norm: "),
        ("clip_norm: 1e999", "clip_norm: "),
        ("seed: 2147483648", "seed: "),
        ("csv_log: no", "csv_log: "),
        ("csv_log: 1", "csv_log: "),
        ("optimizer: SGD", "optimizer: "),
        ("optimizer: lion", "optimizer: "),
        ("optimizer: 3", "optimizer: "),
        ("early_stopping: 3", "early_stopping: "),
        ("warmup_steps: 3", "warmup_steps: "),
    ],
)
def test_problems_say_what_would_be_right(line, problem):
    assert training(line).startswith(problem)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "task: adition\nmodel: next_step",
            "c.yaml:1: task: ",
        ),
        (
            "task: addition\nmodel:\n  cell: gru\n  type: 5",
            "c.yaml:4: model.type: ",
        ),
        (
            "model: next_step\n",
            "c.yaml:1: task: ",
        ),
        (
            "task: 3\nmodel: next_step",
            "c.yaml:1: task: ",
        ),
        (
            HEAD + "runtime:\n",
            "c.yaml:3: runtime: ",
        ),
        (HEAD + "epochs: 3", "c.yaml:3: epochs: "),
        (
            "task: addition\nmodel:\n  type: encoder_decoder\n  units: 64",
            "c.yaml:4: model.units: ",
        ),
        (
            "model: next_step\ntask:\n  type: alphabet\n  digits: 2",
            "c.yaml:4: task.digits: ",
        ),
        (ALPHABET.replace("ABCDEF", "123"), "c.yaml:2: task.alphabet: "),
        (
            ALPHABET.replace("ABCDEF", "A"),
            "c.yaml:2: task.alphabet: ",
        ),
        (
            "model: repeat_vector\ntask:\n  type: addition\n  examples: 10\n  held_out: 10",
            "c.yaml:5: task.held_out: ",
        ),
        (
            "model: repeat_vector\ntask:\n  examples: 10\n  type: addition",
            "c.yaml:2: task.held_out: ",
        ),
        (
            "task: addition\nmodel:\n  type: next_step",
            "c.yaml:3: model.type: ",
        ),
    ],
)
def test_problems_of_sections_and_between_keys(text, problem):
    assert refusal(text).startswith(problem)


def test_a_long_value_is_cut_to_one_line():
    message = training('optimizer: "x\\n' + "y" * 999 + '"')
    assert f"'x\\n{'y' * 54}...'" in message
    assert "\n" not in message


def test_a_screenful_of_problems_is_enough():
    lines = refusal(HEAD + "".join(f"key{i}: 1\n" for i in range(30))).splitlines()
    assert len(lines) == 21
    assert "10" in lines[-1]


def test_overrides_are_typed_like_yaml():
    config = parse_config(
        HEAD + "training: {clip_norm: 1.0, seed: 5}\n",
        "c.yaml",
        [
            "training.epochs=3",
            "training.learning_rate=8e-3",
            "training.clip_norm=null",
            "training.csv_log=true",
            "model.encoder={units: 64, layers: 2}",
            "training.early_stopping.patience=7",
            "task.digits=5",
            "training.epochs=4",
        ],
    )
    assert config.training.epochs == 4
    assert config.training.learning_rate == 8e-3
    assert config.training.clip_norm is None
    assert config.training.csv_log is True
    assert config.training.seed == 5
    assert (config.model.encoder.units, config.model.encoder.layers) == (64, 2)
    assert config.training.early_stopping.patience == 7
    assert config.task.digits == 5


def test_an_override_replaces_a_section_by_its_name():
    config = parse_config(
        HEAD, "c.yaml", ["task=alphabet", "model=next_step", 'task.alphabet="0123"', "task.window=1"]
    )
    assert (config.task.type, config.task.alphabet, config.model.type) == ("alphabet", "0123", "next_step")


def test_overrides_leave_the_document_alone():
    document = read_yaml(HEAD + "training: {early_stopping: {patience: 3}}", "c.yaml")
    data, places = repr(document.data), dict(document.places)
    changed = apply_overrides(document, ["training.early_stopping.patience=4", "task.digits=2", "runtime={cores: 2}"])
    assert changed.data["training"] == {"early_stopping": {"patience": 4}}
    assert (repr(document.data), document.places) == (data, places)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("training.epocs=3", "--set training.epocs=3: "),
        ("training.epochs=0", "--set training.epochs=0: "),
        ("training.epochs=three", "--set training.epochs=three: "),
        ("training.csv_log=no", "--set training.csv_log=no: "),
        (
            "model.encoder={unit: 3}",
            "--set model.encoder={unit: ",
        ),
        ("training.epochs", "--set training.epochs: "),
        ("training.epochs= ", "--set training.epochs= : "),
        ("=3", "--set =3: "),
        ("training..epochs=3", "--set training..epochs=3: "),
        ("training.seed.x=3", "--set training.seed.x=3: "),
        ("task.type.x=3", "--set task.type.x=3: "),
        ("training.epochs=*a", "--set training.epochs=*a: "),
        ("training.epochs=!!int 3", "--set training.epochs=!!int 3: "),
        (
            "training={a: 1, a: 2}",
            "--set training={a: ",
        ),
        (".".join("a" * 21) + "=1", f"--set {'.'.join('a' * 21)}=1: more than 20 keys"),
    ],
)
def test_errors_name_the_override(override, problem):
    assert refusal(HEAD + "training: {seed: 5}", override).startswith(problem)


def test_the_file_and_the_overrides_are_checked_together():
    lines = refusal(HEAD + "training: {epochs: 0, seed: -1}", "training.epochs=-1").splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("c.yaml:3: training.seed: -1 ")
    assert lines[1].startswith("--set training.epochs=-1: -1 ")


def test_what_an_override_replaced_is_forgotten():
    text = "model: repeat_vector\ntask:\n  type: addition\n  held_out: 5\n"
    override = "task={type: addition, examples: 10}"
    assert refusal(text, override).startswith(f"--set {override}: task.held_out: 5000 ")


def test_a_broken_override_is_one_line():
    message = refusal(HEAD, "training.epochs={a:\n1")
    assert message.startswith("--set training.epochs={a:\\n1: ")
    assert "\n" not in message


def test_reading_a_config_imports_nothing_heavy():
    code = (
        "import sys\nfrom rnncli.config import parse_config\n"
        f"parse_config({HEAD!r}, 'c.yaml')\n"
        "print(*{'tensorflow', 'keras', 'numpy', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
