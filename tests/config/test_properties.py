"""Properties of every config: its dump loads back, it never changes; and of every text: nothing else is raised."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from rnncli.config import Config, dump_config, parse_config
from rnncli.config.file_names import absolute_file_names
from rnncli.config.keys import all_keys
from rnncli.config.yaml_reader import read_yaml
from rnncli.config.yaml_scalars import write_flow, write_yaml
from rnncli.errors import ConfigError

HEAD = "task: addition\nmodel: encoder_decoder\n"


def test_the_dump_is_readable_and_in_the_order_of_the_schema():
    config = parse_config("model: next_step\ntask: {alphabet: '0123', window: 2, type: alphabet}\n", "c.yaml")
    text = dump_config(config)
    assert text.startswith('task:\n  type: alphabet\n  alphabet: "0123"\n  window: 2\nmodel:\n  type: next_step\n')
    assert "  learning_rate: 0.001\n" in text
    assert "  clip_norm: null\n" in text


@pytest.mark.parametrize(
    "letters", ["no", "1e3", "010", "0x1f", "~~", "null", ".inf", "1_0", "<<", "!a", "&a", "é😀", "---"]
)
def test_text_that_looks_like_something_else_survives_the_dump(letters):
    task = {"type": "alphabet", "alphabet": letters, "window": 1}
    config = Config.model_validate({"task": task, "model": "next_step"})
    assert parse_config(dump_config(config), "dump") == config


@pytest.mark.parametrize("text", ["a\x85b", "\x85", "\u2028", "a\nb\n"])
def test_line_ends_of_other_kinds_survive_yaml(text):
    assert read_yaml(write_yaml({"key": text}), "dump").data == {"key": text}
    assert read_yaml(f"key: {write_flow(text)}\n", "dump").data == {"key": text}


plain = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
options = st.dictionaries(
    st.text(min_size=1, max_size=9).filter(str.isidentifier) | st.sampled_from(["a", "fade"]),
    st.recursive(plain | st.text(max_size=9), st.lists, max_leaves=5),
    max_size=3,
)
custom = options.map(lambda keys: {**keys, "type": "custom", "class": "own.cells:Cell"}).filter(
    lambda c: "units" not in c
)
cells = st.sampled_from(["lstm", "gru", "simple_rnn"]) | custom
rates = st.floats(0, 1, exclude_max=True)
widths = st.integers(1, 16384)
embeddings = st.none() | widths
stacks = {"units": widths, "layers": st.integers(1, 32), "dropout": rates}
encoders = st.fixed_dictionaries({}, optional={**stacks, "bidirectional": st.booleans(), "embedding": embeddings})
letters = st.characters(codec="utf-8").filter(lambda letter: letter.isprintable() and not letter.isspace())
additions = st.fixed_dictionaries(
    {"type": st.just("addition"), "digits": st.integers(4, 9), "held_out": st.integers(1, 99)},
    optional={
        "examples": st.integers(100, 9999),
        "reverse": st.booleans(),
        "reverse_answer": st.booleans(),
        "seed": st.integers(0, 2**31 - 1),
    },
)
alphabets = st.fixed_dictionaries(
    {"type": st.just("alphabet"), "alphabet": st.text(letters, min_size=2, max_size=40), "window": st.just(1)}
)
stacked_models = st.fixed_dictionaries(
    {"type": st.sampled_from(["encoder_decoder", "repeat_vector"])},
    optional={"cell": cells, "encoder": encoders, "decoder": st.fixed_dictionaries(stacks)},
)
next_steps = st.fixed_dictionaries({"type": st.just("next_step")}, optional={**stacks, "embedding": embeddings})
trainings = st.fixed_dictionaries(
    {},
    optional={
        "epochs": st.integers(1, 10**6),
        "learning_rate": st.floats(0, 1000, exclude_min=True),
        "clip_norm": st.none() | st.floats(0, exclude_min=True, allow_infinity=False),
        "early_stopping": st.none() | st.fixed_dictionaries({"patience": st.integers(1)}),
        "tensorboard": st.booleans(),
    },
)
merges = st.sampled_from(["concat", "sum", "mul", "ave"])
poolings = st.sampled_from(["last", "mean", "max"])
classifiers = st.fixed_dictionaries(
    {"type": st.just("classifier"), "bidirectional": st.just(True)},
    optional={**stacks, "merge": merges, "pooling": poolings},
)
paths = st.text(letters, min_size=1, max_size=40)
files = st.fixed_dictionaries({"type": st.just("classify"), "train": paths, "validation": paths})
images = st.fixed_dictionaries({"type": st.just("image_rows")}, optional={"path": st.none() | paths})
pairs = (
    st.tuples(additions, stacked_models | classifiers)
    | st.tuples(alphabets, next_steps)
    | st.tuples(files | images, classifiers)
)
configs = st.builds(
    lambda pair, rest: Config.model_validate({"task": pair[0], "model": pair[1], "training": rest}), pairs, trainings
)


@given(configs)
def test_a_dump_loads_back_equal(config):
    assert parse_config(dump_config(config), "dump") == absolute_file_names(config)


@given(configs, st.data())
def test_a_config_never_changes(config, data):
    section = data.draw(st.sampled_from([config, config.task, config.model, config.training]))
    key = data.draw(st.sampled_from(sorted(type(section).model_fields)))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(section, key, None)


yaml_like = st.text(st.sampled_from("ab:1.-?[]{},&*!%<>|'\"#@~ \t\n\\ue\0é\u2028\ufeff"))
values = yaml_like | st.sampled_from(
    ["3", "-1", "null", "[]", "{}", "{type: addition}", "addition", "next_step", ".nan"]
)
keys = st.sampled_from(["task", "model", "training", "runtime", "type", "units", "epochs", "encoder", "digits", "x"])
lines = st.builds("{}{}: {}".format, st.sampled_from(["", "  ", "    "]), keys, values)
fields = st.sampled_from(["epochs", "learning_rate", "clip_norm", "optimizer", "early_stopping", "seed", "csv_log"])
sections = st.dictionaries(fields, values | st.sampled_from(["1", "0.5", "true", "sgd", "{patience: 2}"]), max_size=3)
trained = sections.map(lambda keys: HEAD + "training:" + "".join(f"\n  {key}: {keys[key]}" for key in keys))
documents = st.text() | yaml_like | st.binary() | st.lists(lines).map("\n".join).map(HEAD.__add__) | trained
overrides_of_keys = st.builds("{}={}".format, st.lists(keys, max_size=4).map(".".join), values)


@settings(max_examples=500)
@given(documents, st.lists(overrides_of_keys | st.text(), max_size=2))
def test_any_text_is_a_config_or_a_config_error(text, overrides):
    try:
        result = parse_config(text, "c.yaml", overrides)
    except ConfigError as error:
        result = error.message
    if not isinstance(result, Config):
        assert all(line.startswith(("c.yaml:", "override ", "... and ")) for line in result.split("\n"))


@pytest.mark.parametrize(
    "head",
    [
        HEAD,
        "task: {type: pairs, train: a.tsv, validation: a.tsv}\nmodel: encoder_decoder\n",
        "task: {type: classify, train: a.tsv}\nmodel: classifier\n",
        "task: {type: text, train: a.txt}\nmodel: next_step\n",
    ],
)
def test_every_key_takes_or_refuses_a_value_of_any_kind(head):
    for key in all_keys():
        for value in ("maybe", "3", "-0.5", "true", "null", "[1]", "{a: b}"):
            with contextlib.suppress(ConfigError):
                parse_config(head, "c.yaml", [f"{key}={value}"])
