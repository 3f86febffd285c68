"""Turn pydantic's errors into lines that name the place, the key, the problem and its solution."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from rnncli.config.base import EACH, ONE, Section
from rnncli.config.keys import all_keys, choices_of, fields_of, key_paths, section_of, sections_of, type_of
from rnncli.config.schema import Config
from rnncli.config.yaml_reader import Document, KeyPath, dotted
from rnncli.config.yaml_scalars import scalar
from rnncli.errors import ConfigError, is_override, override_words
from rnncli.text import shorten

MAX_SHOWN = 20
"""Problems that a message lists: of a file that is no config, the first lines say so."""

_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_LENGTHS = {
    **dict.fromkeys(("string_too_short", "too_short"), ("min_length", "at least")),
    **dict.fromkeys(("string_too_long", "too_long"), ("max_length", "at most")),
}
_KINDS = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
}
YAML_1_1_BOOLS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


@dataclass(frozen=True)
class _Problem:
    """One of pydantic's errors, with its key and its document."""

    error: ErrorDetails
    path: KeyPath
    document: Document

    @property
    def value(self) -> object:
        return self.error["input"]

    @property
    def context(self) -> dict[str, Any]:
        return self.error.get("ctx", {})

    @property
    def owner(self) -> type[Section]:
        """Return the section of the last key."""
        section: type[Section] = Config
        data = self.document.data
        for key in map(str, self.path[:-1]):
            data = data.get(key) if isinstance(data, dict) else None
            below = section_of(fields_of(section)[key], data)
            assert below is not None, "pydantic looks into known sections only"
            section = below
        return section

    @property
    def field(self) -> FieldInfo:
        return fields_of(self.owner)[str(self.path[-1])]


def explain(error: ValidationError, document: Document) -> ConfigError:
    """Return one error that lists every problem, in the order of the file, then of the overrides."""
    problems = [_problem(details, document) for details in error.errors(include_url=False)]
    order = {path: number for number, path in enumerate(document.places)}
    problems.sort(key=lambda problem: order[document.nearest(problem.path)])
    lines = [_line(problem) for problem in problems[:MAX_SHOWN]]
    if len(problems) > MAX_SHOWN:
        lines.append(f"... and {len(problems) - MAX_SHOWN} more problems")
    return ConfigError("\n".join(lines))


def shown(value: object) -> str:
    """Return a value in a few words on one line."""
    if isinstance(value, str):
        return f"'{shorten(value)}' (text)"
    if isinstance(value, bool):
        return f"{value} (true or false)".lower()
    if isinstance(value, dict):
        return "a mapping of keys"
    if isinstance(value, list):
        return "a list"
    return "null (no value)" if value is None else shorten(str(value))


def _problem(error: ErrorDetails, document: Document) -> _Problem:
    path: KeyPath = error["loc"]
    # pydantic puts the type of a model behind its key, and the kind of cell likewise
    if path and (field := Config.model_fields.get(str(path[0]))) and field.discriminator:
        path = (path[0], *path[2:])
    if path[:2] == ("model", "cell"):
        path = (*path[:2], *(part for part in path[3:] if isinstance(part, str)))
    if ONE in path or EACH in path:  # with the number of an item of a list
        path = tuple(part for part in path if isinstance(part, str) and part not in (ONE, EACH))
    if error["type"] == "conflict":
        path = (*path, *error["ctx"]["key"].split("."))
    if error["type"] == "union_tag_not_found" or (
        error["type"] == "union_tag_invalid" and (*path, "type") in document.places
    ):
        path = (*path, "type")
    return _Problem(error, path, document)


def _line(problem: _Problem) -> str:
    kind = problem.error["type"]
    wording = _WORDINGS.get(kind)
    text = wording(problem) if wording else shorten(problem.error["msg"], 200)
    place = problem.document.places[problem.document.nearest(problem.path)]
    path = dotted(problem.path)
    # an override names its key already, unless its value is a mapping
    return f"{place}: {text}" if is_override(place, path) else f"{place}: {path}: {text}"


def _unknown_key(problem: _Problem) -> str:
    above, key = problem.path[:-1], str(problem.path[-1])
    owner = problem.owner
    if close := _closest(key, fields_of(owner)):
        return f"unknown key; did you mean {dotted((*above, close))}?"
    paths = list(key_paths(Config, (), problem.document.data))
    known = any(name.rpartition(".")[2] == key for name in all_keys())  # if not here, then for another type
    wanted = key if known else _closest(key, {path[-1] for path in paths})
    same = [path for path in paths if path[-1] == wanted]
    if same := [path for path in same if path[: len(above)] == above] or same:
        return f"unknown key; did you mean {' or '.join(dotted(path) for path in same)}?"
    of_type = f" for type {type_of(owner)}" if type_of(owner) else ""
    return f"unknown key{of_type}; known here: {', '.join(fields_of(owner))}"


def _missing(problem: _Problem) -> str:
    if problem.path[-1] == "class":
        return "missing; must be module:Class"
    names = choices_of(problem.field)
    return f"missing; must be one of {', '.join(names)}" if names and all(names) else "missing"


def _unknown_type(problem: _Problem) -> str:
    key, value = str(problem.error["loc"][0]), problem.value
    names = list(sections_of(Config.model_fields[key]))
    if not isinstance(value, dict) or "type" not in value:
        return f"missing; must be one of {', '.join(names)}"
    return _choice(value["type"], names)


def _not_in_choices(problem: _Problem) -> str:
    return _choice(problem.value, choices_of(problem.field))


def _choice(value: object, names: list[str]) -> str:
    if not isinstance(value, str):
        return f"{shown(value)} is not allowed; must be one of {', '.join(names)}"
    if close := _closest(value, names):
        return f"'{shorten(value)}' is not known; did you mean {close}? (one of {', '.join(names)})"
    return f"'{shorten(value)}' is not known; must be one of {', '.join(names)}"


def _closest(word: str, names: Iterable[str]) -> str | None:
    # nothing so long is a typing error, and difflib takes quadratic time
    if len(word) > 60:
        return None
    near = difflib.get_close_matches(word.lower().replace("-", "_").replace(" ", "_"), names, n=1)
    return near[0] if near else None


def _no_match(problem: _Problem) -> str:
    wanted = "module:Class"
    if problem.path[-1] == "feature_separator":
        wanted = "one character, no bracket, tab or line break"
    return f"{shown(problem.value)} is not allowed; must be {wanted}"


def _no_section(problem: _Problem) -> str:
    sections = sections_of(problem.field)
    if "" in sections:
        keys = ", ".join(sections[""].model_fields)
        if problem.value is None:
            return f"no keys below it; leave it out or give some of {keys}"
        short = sections[""].short_form or {}
        number = (
            f", or a number from {short['minimum']} to {short['maximum']}" if short.get("type") == "number" else ""
        )
        return f"{shown(problem.value)} is not a section; give some of its keys: {keys}{number}"
    names = ", ".join(sections)
    return f"{shown(problem.value)} is not a {problem.path[-1]}; must be one of {names}, or a section with type"


def _wrong_kind(problem: _Problem) -> str:
    kind, value = _KINDS[problem.error["type"]], problem.value
    text = f"{shown(value)} is not {kind}"
    if kind == "text" and isinstance(value, bool | int | float):
        return f"{text}; {_how_to_quote(problem)}"
    if kind == "a whole number" and isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f"{text}; write {value:.0f}"
    if not isinstance(value, str):
        return text
    if kind == "true or false" and value.lower() in YAML_1_1_BOOLS:
        return f"{text}; did you mean {YAML_1_1_BOOLS[value.lower()]}?"
    if kind in ("a whole number", "a number") and (number := _meant_number(value)):
        return f"{text}; write {number}"
    return text


def _how_to_quote(problem: _Problem) -> str:
    """Return how to write a number as text; of an override the shell takes the outer quotes away."""
    if is_override(problem.document.places[problem.document.nearest(problem.path)]):
        quoted = f"'{dotted(problem.path)}=\"{str(problem.value).lower()}\"'"
        return f"write {override_words(quoted)}"
    return "put it in quotes"


def _meant_number(text: str) -> str:
    """Return the number in text such as `"3"` or `50_000`, as YAML writes it; empty where there is none."""
    digits = text.strip().replace("_", "")
    is_number = 0 < len(digits) <= 20 and isinstance(scalar(digits), int | float)
    return digits if is_number and digits.isascii() and digits[-1].isdigit() else ""


def _out_of_bounds(problem: _Problem) -> str:
    key, words = _BOUNDS[problem.error["type"]]
    bound = problem.context[key]
    return f"{shown(problem.value)} is not allowed; must be {words} {bound:.15g}"


def _length(problem: _Problem) -> str:
    key, words = _LENGTHS[problem.error["type"]]
    what = "values" if isinstance(problem.value, list) else "characters"
    return f"{shown(problem.value)} is not allowed; must have {words} {problem.context[key]} {what}"


def _not_finite(problem: _Problem) -> str:
    return f"{shown(problem.value)} is not a finite number"


def _conflict(problem: _Problem) -> str:
    reason = str(problem.context["reason"])
    if problem.path in problem.document.places:  # may be an argument of a custom cell, which is no field
        return reason
    default = problem.field.default
    if problem.field.is_required() or default is None or isinstance(default, Section):
        return reason
    # who never wrote the key must see where its value comes from
    return f"{default} by default; {reason}"


_WORDINGS: dict[str, Callable[[_Problem], str]] = {
    "extra_forbidden": _unknown_key,
    "missing": _missing,
    "union_tag_not_found": _unknown_type,
    "union_tag_invalid": _unknown_type,
    "literal_error": _not_in_choices,
    "model_type": _no_section,
    "model_attributes_type": _no_section,
    "finite_number": _not_finite,
    "string_pattern_mismatch": _no_match,
    "conflict": _conflict,
    **dict.fromkeys(_BOUNDS, _out_of_bounds),
    **dict.fromkeys(_LENGTHS, _length),
    **dict.fromkeys(_KINDS, _wrong_kind),
}
