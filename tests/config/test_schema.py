"""What a config may say, how overrides change it, and how its errors read."""

import subprocess
import sys

import pytest

from rnncli.config import parse_config
from rnncli.config.optimizers import OPTIMIZERS
from rnncli.config.overrides import apply_overrides
from rnncli.config.yaml_reader import read_yaml
from rnncli.errors import ConfigError

NAMES = ", ".join(OPTIMIZERS)

HEAD = "task: addition\nmodel: encoder_decoder\n"
ALPHABET = "model: next_step\ntask: {type: alphabet, alphabet: ABCDEF, window: 3}\n"


def refusal(text, *overrides):
    with pytest.raises(ConfigError) as caught:
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
    assert refusal(text).splitlines() == [
        f"c.yaml:2: training.optimizer: 'adamm' is not known; did you mean adam? (one of {NAMES})",
        "c.yaml:3: training.epochs: 'three' (text) is not a whole number",
        "c.yaml:4: training.batch_size: -3 is not allowed; must be at least 1",
        "c.yaml:5: colour: unknown key; known here: task, model, training, checkpoint, runtime",
        "c.yaml:6: model.encoder.dropout: 1 is not allowed; must be less than 1",
        "c.yaml:7: task.type: missing; must be one of addition, alphabet, classify, image_rows, nested, pairs, text",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("epocs: 3", "epocs: unknown key; did you mean training.epochs?"),
        ("batch-size: 3", "batch-size: unknown key; did you mean training.batch_size?"),
        ("patience: 3", "patience: unknown key; did you mean training.early_stopping.patience?"),
        ("early_stopping: {often: 3}", "early_stopping.often: unknown key; known here: metric, patience"),
        ("epochs: true", "epochs: true (true or false) is not a whole number"),
        ("epochs:", "epochs: null (no value) is not a whole number"),
        ("epochs: [1]", "epochs: a list is not a whole number"),
        ("epochs: 3.5", "epochs: 3.5 is not a whole number"),
        ("epochs: 1e3", "epochs: 1000.0 is not a whole number; write 1000"),
        ("epochs: '3'", "epochs: '3' (text) is not a whole number; write 3"),
        ("epochs: 50_000", "epochs: '50_000' (text) is not a whole number; write 50000"),
        ("epochs: 1000001", "epochs: 1000001 is not allowed; must be at most 1000000"),
        ("learning_rate: 0", "learning_rate: 0 is not allowed; must be more than 0"),
        ("learning_rate: fast", "learning_rate: 'fast' (text) is not a number"),
        ("learning_rate: .nan", "learning_rate: nan is not a finite number"),
        ("clip_norm: .inf", "clip_norm: inf is not a finite number"),
        ("clip_norm: 1e999", "clip_norm: inf is not a finite number"),
        ("seed: 2147483648", "seed: 2147483648 is not allowed; must be less than 2147483648"),
        ("csv_log: no", "csv_log: 'no' (text) is not true or false; did you mean false?"),
        ("csv_log: 1", "csv_log: 1 is not true or false"),
        ("optimizer: SGD", f"optimizer: 'SGD' is not known; did you mean sgd? (one of {NAMES})"),
        ("optimizer: lion", f"optimizer: 'lion' is not known; must be one of {NAMES}"),
        ("optimizer: 3", f"optimizer: 3 is not allowed; must be one of {NAMES}"),
        ("early_stopping: 3", "early_stopping: 3 is not a section; give some of its keys: metric, patience"),
        ("warmup_steps: 3", "warmup_steps: does nothing with schedule: constant; use schedule: warmup_cosine"),
    ],
)
def test_problems_say_what_would_be_right(line, problem):
    assert training(line) == problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "task: adition\nmodel: next_step",
            "c.yaml:1: task: 'adition' is not known; did you mean addition? (one of addition, alphabet, "
            "classify, image_rows, nested, pairs, text)",
        ),
        (
            "task: addition\nmodel:\n  cell: gru\n  type: 5",
            "c.yaml:4: model.type: 5 is not allowed; must be one of encoder_decoder, repeat_vector, "
            "next_step, classifier",
        ),
        (
            "model: next_step\n",
            "c.yaml:1: task: missing; must be one of addition, alphabet, classify, image_rows, nested, pairs, text",
        ),
        (
            "task: 3\nmodel: next_step",
            "c.yaml:1: task: 3 is not a task; must be one of addition, alphabet, classify, image_rows, nested, "
            "pairs, text, or a section with type",
        ),
        (
            HEAD + "runtime:\n",
            "c.yaml:3: runtime: no keys below it; leave it out or give some of device, kernel, cores, precision",
        ),
        (HEAD + "epochs: 3", "c.yaml:3: epochs: unknown key; did you mean training.epochs?"),
        (
            "task: addition\nmodel:\n  type: encoder_decoder\n  units: 64",
            "c.yaml:4: model.units: unknown key; did you mean model.encoder.units or model.decoder.units?",
        ),
        (
            "model: next_step\ntask:\n  type: alphabet\n  digits: 2",
            "c.yaml:4: task.digits: unknown key for type alphabet; known here: type, alphabet, window",
        ),
        (ALPHABET.replace("ABCDEF", "123"), "c.yaml:2: task.alphabet: 123 is not text; put it in quotes"),
        (
            ALPHABET.replace("ABCDEF", "A"),
            "c.yaml:2: task.alphabet: 'A' (text) is not allowed; must have at least 2 characters",
        ),
        (
            "model: repeat_vector\ntask:\n  type: addition\n  examples: 10\n  held_out: 10",
            "c.yaml:5: task.held_out: must be less than task.examples (10)",
        ),
        (
            "model: repeat_vector\ntask:\n  examples: 10\n  type: addition",
            "c.yaml:2: task.held_out: 5000 by default; must be less than task.examples (10)",
        ),
        (
            "task: addition\nmodel:\n  type: next_step",
            "c.yaml:3: model.type: task addition works with encoder_decoder or repeat_vector or classifier",
        ),
    ],
)
def test_problems_of_sections_and_between_keys(text, problem):
    assert refusal(text) == problem


def test_a_long_value_is_cut_to_one_line():
    assert training('optimizer: "x\\n' + "y" * 999 + '"') == (
        f"optimizer: 'x\\n{'y' * 54}...' is not known; must be one of {NAMES}"
    )


def test_a_screenful_of_problems_is_enough():
    lines = refusal(HEAD + "".join(f"key{i}: 1\n" for i in range(30))).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "... and 10 more problems"


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
        ("training.epocs=3", "--set training.epocs=3: unknown key; did you mean training.epochs?"),
        ("training.epochs=0", "--set training.epochs=0: 0 is not allowed; must be at least 1"),
        ("training.epochs=three", "--set training.epochs=three: 'three' (text) is not a whole number"),
        ("training.csv_log=no", "--set training.csv_log=no: 'no' (text) is not true or false; did you mean false?"),
        (
            "model.encoder={unit: 3}",
            "--set model.encoder={unit: 3}: model.encoder.unit: unknown key; did you mean model.encoder.units?",
        ),
        ("training.epochs", "--set training.epochs: no value"),
        ("training.epochs= ", "--set training.epochs= : no value"),
        ("=3", "--set =3: a key is missing"),
        ("training..epochs=3", "--set training..epochs=3: a key is missing"),
        ("training.seed.x=3", "--set training.seed.x=3: training.seed has no keys below it (c.yaml:3)"),
        ("task.type.x=3", "--set task.type.x=3: task.type has no keys below it (c.yaml:1)"),
        ("training.epochs=*a", "--set training.epochs=*a: alias *a is not allowed"),
        ("training.epochs=!!int 3", "--set training.epochs=!!int 3: tag !!int is not allowed"),
        (
            "training={a: 1, a: 2}",
            "--set training={a: 1, a: 2}: a: given twice, first at --set training={a: 1, a: 2}",
        ),
        (".".join("a" * 21) + "=1", f"--set {'.'.join('a' * 21)}=1: more than 20 keys"),
    ],
)
def test_errors_name_the_override(override, problem):
    assert refusal(HEAD + "training: {seed: 5}", override) == problem


def test_the_file_and_the_overrides_are_checked_together():
    assert refusal(HEAD + "training: {epochs: 0, seed: -1}", "training.epochs=-1").splitlines() == [
        "c.yaml:3: training.seed: -1 is not allowed; must be at least 0",
        "--set training.epochs=-1: -1 is not allowed; must be at least 1",
    ]


def test_what_an_override_replaced_is_forgotten():
    text = "model: repeat_vector\ntask:\n  type: addition\n  held_out: 5\n"
    override = "task={type: addition, examples: 10}"
    problem = "task.held_out: 5000 by default; must be less than task.examples (10)"
    assert refusal(text, override) == f"--set {override}: {problem}"


def test_a_broken_override_is_one_line():
    message = refusal(HEAD, "training.epochs={a:\n1")
    assert message.startswith("--set training.epochs={a:\\n1: not valid YAML: ")
    assert "\n" not in message


def test_reading_a_config_imports_nothing_heavy():
    code = (
        "import sys\nfrom rnncli.config import parse_config\n"
        f"parse_config({HEAD!r}, 'c.yaml')\n"
        "print(*{'tensorflow', 'keras', 'numpy', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
