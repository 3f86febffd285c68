"""Convert scalars of YAML to data, and data to YAML.

The scalars are those of YAML 1.2's core schema (https://yaml.org/spec/1.2.2/#103-core-schema): `1e-3` is a number,
`010` is ten, `no` and `12:30` are text.
"""

from __future__ import annotations

import re
import sys
from typing import Any

import yaml

Scalar = str | int | float | bool | None

MAX_DIGITS = 100

_NULL = re.compile(r"(null|Null|NULL|~|)")
_BOOL = re.compile(r"(true|True|TRUE|false|False|FALSE)")
_INT = re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"([-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))")
_YAML_1_1_LINE_ENDS = frozenset("\x85\u2028\u2029")
"""Characters that end a line of text in YAML 1.1, where only double quotes keep them."""
_BASES = {"0o": 8, "0x": 16}


def scalar(text: str) -> Scalar:
    """Return the value of an unquoted scalar.

    Raises:
        ValueError: It is a whole number of more than 100 digits.
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        # Python takes quadratic time for long numbers
        if len(text) > MAX_DIGITS:
            raise ValueError(f"a whole number of {len(text)} digits; at most {MAX_DIGITS} are read")
        base = _BASES.get(text[:2], 10)
        return int(text, base)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.lower().replace(".", ""))
    return text


def write_yaml(data: dict[str, Any]) -> str:
    """Return block YAML that `read_yaml` reads back as the same data."""
    return yaml.dump(
        data, Dumper=_Writer, sort_keys=False, default_flow_style=False, allow_unicode=True, width=sys.maxsize
    )


def write_flow(value: Any) -> str:
    """Return a value as YAML on one line, which `read_yaml` reads back as the same value."""
    text: str = yaml.dump(value, Dumper=_Writer, default_flow_style=True, allow_unicode=True, width=sys.maxsize)
    return text.removesuffix("\n").removesuffix("\n...")


class _Writer(yaml.SafeDumper):
    """Writer that quotes text which YAML 1.1 or 1.2 would read as something else."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        patterns = (_NULL, _BOOL, _INT, _FLOAT, _NOT_FINITE)
        quoted = any(pattern.fullmatch(text) for pattern in patterns) or not _YAML_1_1_LINE_ENDS.isdisjoint(text)
        style = '"' if quoted else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Writer.add_representer(str, _Writer.represent_text)
