"""The YAML that a config may be written in: what scalars mean, and what is refused at which place."""

import io
import math
import sys

import pytest

from rnncli.config import load_config, parse_config
from rnncli.config.yaml_reader import MAX_BYTES, MAX_DEPTH, MAX_NODES, read_yaml
from rnncli.errors import ConfigError

VALID = "task: addition\nmodel: encoder_decoder\n"


def refusal(text):
    with pytest.raises(ConfigError) as caught:
        read_yaml(text, "c.yaml")
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("+3", 3),
        ("-3", -3),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", -math.inf),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("12:30:45", "12:30:45"),
        ("2024-01-31", "2024-01-31"),
        ("1_000", "1_000"),
        ("0b1", "0b1"),
        ("=", "="),
        ("e3", "e3"),
        (".", "."),
        ('"3"', "3"),
        ("'null'", "null"),
        ("|\n  3\n", "3\n"),
        ("[1, a, {b: 2}]", [1, "a", {"b": 2}]),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    read = read_yaml(f"a: {text}", "c.yaml").data["a"]
    assert read == value
    assert type(read) is type(value)


def test_nan_is_a_number():
    assert math.isnan(read_yaml("a: .nan", "c.yaml").data["a"])


def test_every_key_has_the_line_it_stands_on():
    document = read_yaml("# first\na:\n  b: 1\n\n  c:\n    [x,\n     y]\nd: 2\n", "c.yaml")
    assert document.places == {
        (): "c.yaml:2",
        ("a",): "c.yaml:2",
        ("a", "b"): "c.yaml:3",
        ("a", "c"): "c.yaml:5",
        ("a", "c", 0): "c.yaml:6",
        ("a", "c", 1): "c.yaml:7",
        ("d",): "c.yaml:8",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: !x 1", "c.yaml:2: b: "),
        (
            "a: !!python/object/apply:os.system [ls]",
            "c.yaml:1: a: ",
        ),
        ("a: !!str 1", "c.yaml:1: a: "),
        ("!!map {a: 1}", "c.yaml:1: "),
        ("a: ! 1", "c.yaml:1: a: "),
        ("%TAG ! tag:x,1:\n---\na: 1", "c.yaml:1: "),
        ("a:\n  b: &x 1", "c.yaml:2: a.b: "),
        ("&x a: 1", "c.yaml:1: "),
        ("a:\n- *x", "c.yaml:2: a.0: "),
        ("a:\n  <<: {b: 1}", "c.yaml:2: a: "),
        ("a:\n  b: 1\n  c: 2\n  b: 1", "c.yaml:4: a.b: "),
        ("1: a", "c.yaml:1: "),
        ("a:\n  true: 1", "c.yaml:2: a: "),
        ("?\n: 1", "c.yaml:1: "),
        ("? [a]\n: 1", "c.yaml:1: "),
        ("a: 1\n---\nb: 1", "c.yaml:2: "),
        ("", "c.yaml:1: "),
        ("# only this\n", "c.yaml:1: "),
        ("\n---\n", "c.yaml:3: "),
        ("null", "c.yaml:1: "),
        ("\n- a", "c.yaml:2: "),
        ("a:1", "c.yaml:1: "),
        ("a: 1\nb: \x00", "c.yaml:2: "),
        ("a: \x1b[0m", "c.yaml:1: "),
        ("a: \ud800", "c.yaml:1: "),
        (b"a: 1\nb: \xff\xfe", "c.yaml:2: "),
        ("a: " + "1" * 101, "c.yaml:1: a: "),
    ],
)
def test_what_surprises_or_attacks_is_refused_with_its_place(text, message):
    assert refusal(text).startswith(message)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1, 2", "c.yaml:1"),
        ("a: 1\nb: {c: 1", "c.yaml:2"),
        ("a: 1\nb: c: d", "c.yaml:2"),
        ("a: 1\n\nb: 'x", "c.yaml:3"),
        ("a:\n\tb: 1", "c.yaml:2"),
        ("a: 1\n  b: 2", "c.yaml:2"),
        ("a: @x", "c.yaml:1"),
        ("a: 1\n...\nb", "c.yaml:3"),
    ],
)
def test_malformed_yaml_is_refused_in_one_line_with_its_place(text, place):
    message = refusal(text)
    assert message.startswith(f"{place}: ")
    assert "\n" not in message


def test_a_tab_as_indentation_is_pointed_out():
    with pytest.raises(ConfigError) as caught:
        read_yaml("a:\n\tb: 1", "c.yaml")
    assert "spaces" in caught.value.hint


def test_depth_is_limited():
    def nested(depth):
        return "".join(f"{' ' * level}a:\n" for level in range(depth))

    assert read_yaml(nested(MAX_DEPTH), "c.yaml").data
    assert refusal(nested(MAX_DEPTH + 1)) == f"c.yaml:{MAX_DEPTH + 1}: more than {MAX_DEPTH} levels deep"


def test_the_number_of_values_is_limited():
    def listing(values):
        return f"a: [{'1,' * values}]"

    # Beside the items there are the mapping, its key and the list.
    assert read_yaml(listing(MAX_NODES - 3), "c.yaml").data
    assert refusal(listing(MAX_NODES - 2)) == f"c.yaml:1: more than {MAX_NODES} values"


def test_the_size_is_limited():
    assert read_yaml("a: " + "x" * (MAX_BYTES - 3), "c.yaml").data
    assert refusal("a: " + "x" * (MAX_BYTES - 2)) == "c.yaml:1: larger than 1 MiB"
    assert refusal(b"\xff" * (MAX_BYTES + 1)) == "c.yaml:1: larger than 1 MiB"


@pytest.mark.parametrize(
    "bomb",
    [
        "a: &a [x]\n" + "".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}' if i else '*a'] * 9)}]\n" for i in range(12)),
        "a: &a {x: 1}\n" + "".join(f"b{i}: &b{i} {{<<: [{', '.join(['*a'] * 9)}]}}\n" for i in range(12)),
        "[" * MAX_BYTES,
        "a: " + "{a: " * (MAX_BYTES // 4 - 1),
        "- " * (MAX_BYTES // 2),
        "? " * (MAX_BYTES // 2),
        "a: [" + "[]," * (MAX_BYTES // 3 - 2) + "]",
        "a: " + "9" * (MAX_BYTES - 3),
        "%YAML 1.2\n" * (MAX_BYTES // 10),
        "".join(f"%TAG !{i}! b\n" for i in range(60_000)),
        "---\n" * (MAX_BYTES // 4),
        b"\0" * MAX_BYTES,
    ],
    ids=lambda bomb: repr(bomb[:12]),
)
def test_bombs_are_refused(bomb):
    message = refusal(bomb)
    assert message.startswith("c.yaml:")
    assert len(message) < 300


@pytest.mark.parametrize(
    "text",
    [
        VALID + "".join(f"{'k' * 190}{i}: 1\n" for i in range(4000)),
        VALID + "training: {optimizer: " + "x" * 1_000_000 + "}",
        VALID + '"' + "\\n" * 400 + '": 1',
        "task: {type: [" + "1," * 9000 + "]}\nmodel: " + "x" * 1_000_000,
    ],
    ids=["unknown keys", "value", "key", "types"],
)
def test_messages_stay_short_whatever_the_file_holds(text):
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "c.yaml")
    lines = caught.value.message.splitlines()
    assert len(lines) <= 21
    assert max(map(len, lines)) < 300


def test_a_byte_order_mark_is_accepted():
    assert parse_config(("\ufeff" + VALID).encode(), "c.yaml") == parse_config(VALID, "c.yaml")


def test_windows_line_ends_are_accepted(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_bytes(VALID.replace("\n", "\r\n").encode())
    assert load_config(path) == parse_config(VALID, "c.yaml")


def test_a_dash_is_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(VALID.encode() + b"x: 1")))
    with pytest.raises(ConfigError, match=r"^<stdin>:3: x: unknown key"):
        load_config("-")


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "big.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    loop = tmp_path / "loop.yaml"
    loop.symlink_to(loop)
    messages = []
    for name in ("", "none.yaml", "big.yaml", "loop.yaml", "a\0b"):
        with pytest.raises(ConfigError) as caught:
            load_config(tmp_path / name)
        messages.append(caught.value.message.replace(str(tmp_path), "DIR"))
    names = ["DIR: ", "DIR/none.yaml: ", "DIR/big.yaml:1: ", "DIR/loop.yaml: ", "DIR/a\\x00b: "]
    assert all(message.startswith(name) for message, name in zip(messages, names, strict=True))
