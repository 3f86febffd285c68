"""The words of config errors, as `tests/config/golden/errors.txt` holds them.

    RNNCLI_UPDATE_GOLDEN=1 python -m pytest -n0 tests/config/test_error_words.py

writes the file anew. Other tests assert keys, files and lines.
"""

import os
from pathlib import Path

import pytest

from rnncli.config import parse_config
from rnncli.errors import ConfigError, words_of_the_command_line

GOLDEN = Path(__file__).parent / "golden" / "errors.txt"
HEAD = "task: addition\nmodel: encoder_decoder\n"
LINES_OF_TRAINING = """\
epocs: 3
batch-size: 3
patience: 3
early_stopping: {often: 3}
early_stopping: 3
epochs: true
epochs:
epochs: [1]
epochs: 3.5
epochs: 1e3
epochs: '3'
epochs: 50_000
epochs: 1000001
learning_rate: 0
learning_rate: fast
learning_rate: .nan
clip_norm: 1e999
csv_log: no
csv_log: 1
optimizer: SGD
optimizer: lion
optimizer: 3
warmup_steps: 3
scheduled_sampling: half
scheduled_sampling: 1.5
scheduled_sampling: {ramp_epochs: 3}
""".splitlines()
TEXTS = [
    "",
    "- a",
    "a: 1\nb: !x 1",
    "a: &x 1",
    "a: *x",
    "a:\n  <<: {b: 1}",
    "a: 1\na: 1",
    "1: a",
    "a: 1\n---\nb: 1",
    "a: [1, 2",
    "a:\n\tb: 1",
    "task: adition\nmodel: next_step",
    "task: addition\nmodel: {type: 5}",
    "model: next_step",
    "task: 3\nmodel: next_step",
    "task: {type: alphabet, digits: 2}\nmodel: next_step",
    "task: {type: alphabet, alphabet: 123}\nmodel: next_step",
    "task: {type: alphabet, alphabet: A}\nmodel: next_step",
    "task: {examples: 10}\nmodel: repeat_vector",
    "task: {type: addition, examples: 10}\nmodel: repeat_vector",
    "task: addition\nmodel: next_step",
    "task: {type: text, data: mapped}\nmodel: next_step",
    f"{HEAD}epochs: 3",
    f"{HEAD}runtime:",
    f"{HEAD}runtime: {{device: cpu, kernel: cudnn}}",
    f"{HEAD}runtime: {{device: cpu, precision: mixed_float16}}",
    f"{HEAD}checkpoint: {{every: 20}}",
    f"{HEAD}checkpoint: {{every: 2 hours}}",
    "task: addition\nmodel: {type: encoder_decoder, units: 64}",
    "task: addition\nmodel: {type: encoder_decoder, cell: lstn}",
    "task: addition\nmodel: {type: encoder_decoder, cell: custom}",
    "task: addition\nmodel: {type: encoder_decoder, cell: {type: gru}}",
    "task: addition\nmodel: {type: encoder_decoder, cell: {type: custom, class: a.b}}",
]
OVERRIDES = [
    "training.epocs=3",
    "epochs=3",
    "training.epochs=0",
    "training.epochs",
    "training.epochs=",
    "=3",
    "training.seed.x=3",
    "training.epochs=*a",
    "checkpoint.every=20",
    "task={type: alphabet, alphabet: 123}",
    "model.encoder={unit: 3}",
    "model.copying=pointer_generator",
]


def refusal(text, *overrides):
    with pytest.raises(ConfigError) as caught, words_of_the_command_line():
        parse_config(text, "c.yaml", overrides)
    hint = f"\n  hint: {caught.value.hint}" if caught.value.hint else ""
    return f"{caught.value.message}{hint}"


def test_words_of_config_errors():
    cases = {f"training:\n  {line}": refusal(f"{HEAD}training:\n  {line}") for line in LINES_OF_TRAINING}
    cases |= {text: refusal(text) for text in TEXTS}
    cases |= {f"--set {override}": refusal(HEAD, override) for override in OVERRIDES}
    found = "\n".join(f"{text}\n=> {message}\n" for text, message in cases.items())
    if os.environ.get("RNNCLI_UPDATE_GOLDEN"):
        GOLDEN.write_text(found)
    assert found == GOLDEN.read_text(), "RNNCLI_UPDATE_GOLDEN=1 writes the file anew"
