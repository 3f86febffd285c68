"""Mutants of sound files: bytes and lines of them changed, or, of YAML and JSON, what stands in them."""

import copy
import json
import math
from functools import reduce
from operator import getitem

import yaml
from hypothesis import strategies as st

TOKENS = [
    *(b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1b[2J", b"\t", b"\r", b"\n", b"\r\n", b" ", b"\x85"),
    *("\u2028".encode(), "\u0301".encode(), "😀".encode(), b": ", b"- ", b"? ", b", ", b"{", b"}", b"[", b"]"),
    *(b"&a ", b"*a", b"!!python/object/apply:os.abort []", b"!x ", b"<<: ", b"---\n", b"...\n", b"%TAG ! x\n---\n"),
    *(
        b"| ",
        b"> ",
        b"'",
        b'"',
        b"#",
        b"\\u0000",
        b'"\\e[2J"',
        b"@",
        b"`",
        b"=",
        b";",
        b"+",
        b"\x1f\x8b",
        b"PK\x05\x06",
    ),
    *(b".nan", b"-.inf", b"1e999", b"9" * 200, b"-1", b"0", b"0x10", b"null", b"true", b"no", b"~", b"{}", b"[]"),
    *(b"../../x", b"/dev/zero", b"/", b".", b"*", b"x" * 5000, b"[" * 60, b"{a: " * 60, b"a\tb\n" * 40),
]
VALUES = [
    *(None, True, False, 0, 1, -1, 3, 2**31, 2**63, -(2**70), 10**99, 0.5, -0.0, 1e-320, 1e308, math.nan, math.inf),
    *("", " ", "no", "3", "lstm", "gru", "auto", "é😀", "\0", "\x1b[2J", "\ud800", "x" * 5000, "a\nb", ".", "/", "*"),
    *(
        [],
        [None],
        [1, 2],
        [[[]]],
        ["a"] * 200,
        {},
        {"type": "custom"},
        {"type": "custom", "class": "a:B", "x": 1e400},
    ),
    *(
        {"type": []},
        {"file": "a", "source": "b"},
        {"a": {"b": {"c": {}}}},
        {"": 1},
        {"type": "addition"},
        "classifier",
    ),
]

place = st.floats(0, 1, exclude_max=True)


def below(values):
    """Numbers of values; hypothesis shows what it draws, and these are long."""
    return st.integers(0, len(values) - 1)


def insert(data, at, _, token):
    return data[:at] + token + data[at:]


def overwrite(data, at, _, token):
    return data[:at] + token + data[at + len(token) :]


def flip(data, at, size, _):
    return data[:at] + bytes(byte ^ (1 << size % 8) for byte in data[at : at + 1]) + data[at + 1 :]


def delete(data, at, size, _):
    return data[:at] + data[at + size :]


def double(data, at, size, _):
    return data[: at + size] + data[at:]


def repeat(data, at, size, _):
    return data[:at] + data[at : at + size] * 100 + data[at:]


def cut(data, at, *_):
    return data[:at]


def drop_start(data, at, *_):
    return data[at:]


def value_of_line(data, at, _, token):
    """Puts the token in the place of what follows the first colon or tab behind a place."""
    end = data.find(b"\n", at)
    end = len(data) if end < 0 else end
    start = max(data.find(b":", at, end), data.find(b"\t", at, end))
    return data[: start + 1] + b" " * (data[start : start + 1] == b":") + token + data[end:] if start >= 0 else data


def indent_line(data, at, size, _):
    start = data.rfind(b"\n", 0, at) + 1
    return data[:start] + b" " * (size % 9) + data[start:]


def double_line(data, at, *_):
    start, end = data.rfind(b"\n", 0, at) + 1, data.find(b"\n", at) + 1
    return data[:end] + data[start:end] + data[end:] if end else data


EDITS = [insert, overwrite, flip, delete, double, repeat, cut, drop_start, value_of_line, indent_line, double_line]
edits = st.tuples(
    below(EDITS), place, st.integers(1, 40), below(TOKENS) | below(TOKENS) | st.binary(min_size=1, max_size=8)
)
LARGEST = 2**20
"""Of a mutant, in bytes; what is larger is refused by its size alone, which other tests see to."""


def changed(data, changes):
    """The data after some edits."""
    for edit, where, size, token in changes:
        token = TOKENS[token] if isinstance(token, int) else token
        data = EDITS[edit](data, int(where * (len(data) + 1)), size, token)[:LARGEST]
    return data


def paths_in(tree, path=()):
    """The paths of all values, those of mappings and lists included."""
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in below:
        yield (*path, key)
        yield from paths_in(value, (*path, key))


def with_change(tree, where, kind, value):
    """The tree with one value replaced, removed, renamed, moved, wrapped or joined by another."""
    paths = list(paths_in(tree))
    if not paths:
        return value
    *above, last = paths[int(where * len(paths))]
    holder = reduce(getitem, above, tree)
    change(kind, tree, holder, last, value)
    return tree


def change(kind, tree, holder, last, value):
    """Does it to the value at `last` in a mapping or a list of the tree."""
    old = holder[last]
    match kind:
        case "replace":
            holder[last] = value
        case "remove":
            del holder[last]
        case "wrap":
            holder[last] = [old, value]
        case "move" if isinstance(tree, dict):
            tree[str(last)] = old
        case "rename" if isinstance(holder, dict):
            holder[f"{last}s"] = holder.pop(last)
        case "join" if isinstance(old, dict):
            old[str(value)[:40]] = copy.deepcopy(value)
        case "join" if isinstance(old, list):
            old.append(value)
        case "nudge" if isinstance(old, int | float) and not isinstance(old, bool):
            holder[last] = -old if value is None else old * 10 if value else old + 0.5


KINDS = ["replace", "remove", "wrap", "move", "rename", "join", "nudge"]
changes_of_trees = st.tuples(place, st.sampled_from(KINDS), below(VALUES))


def as_yaml(tree):
    try:
        return yaml.dump(tree, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True).encode()
    except UnicodeEncodeError:  # half of a character, which JSON, a part of YAML, has an escape for
        return json.dumps(tree).encode()


def as_json(tree):
    return json.dumps(tree).encode()


READ_AND_WRITTEN = {"yaml": (yaml.safe_load, as_yaml), "json": (json.loads, as_json)}


def mutants(seeds, form=None):
    """A strategy of mutants of some bytes, which are YAML or JSON where `form` says so."""
    few = st.lists(edits, min_size=1, max_size=5)
    plain = st.builds(lambda number, changes: changed(seeds[number], changes), below(seeds), few)
    if form is None:
        return plain
    read, write = READ_AND_WRITTEN[form]
    trees = [read(seed) for seed in seeds]

    def grown(number, changes, more):
        tree = copy.deepcopy(trees[number])
        for where, kind, value in changes:
            tree = with_change(tree, where, kind, copy.deepcopy(VALUES[value]))
        return changed(write(tree), more)

    of_trees = st.lists(changes_of_trees, min_size=1, max_size=4)
    return plain | st.builds(grown, below(trees), of_trees, st.just([]) | few)
