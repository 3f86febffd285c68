"""The origin of each value of a config: a line of the file, an override, or the default."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo

from rnncli.config.base import Section
from rnncli.config.cells import CustomCell
from rnncli.config.keys import fields_of
from rnncli.config.schema import Config
from rnncli.config.yaml_reader import Document, KeyPath

DEFAULT = "default"


class Leaf(NamedTuple):
    """A value of a config.

    Attributes:
        path: Its keys, from the outermost.
        value: As JSON holds it: text, a number, a truth value, null, a list or a mapping of these.
        is_default: True if it is the default, whether given or not.
    """

    path: KeyPath
    value: Any
    is_default: bool


class Value(NamedTuple):
    """A value of a config that was read from a document.

    Attributes:
        path: As in `Leaf`.
        value: As in `Leaf`.
        origin: `FILE:LINE`, `--set KEY=VALUE`, or `default`.
        is_default: As in `Leaf`.
    """

    path: KeyPath
    value: Any
    origin: str
    is_default: bool


def values_of(config: Config, document: Document) -> list[Value]:
    """Return every value of a config that was read from a document, in the order of the schema."""
    return [
        Value(path, value, _origin(document, path, is_default), is_default)
        for path, value, is_default in leaves_of(config)
    ]


def leaves_of(section: Section, above: KeyPath = ()) -> Iterator[Leaf]:
    """Yield every value of a section, also the options of a custom cell, in the order of the schema."""
    names = {field.alias or name: name for name, field in type(section).model_fields.items()}
    dumped = section.model_dump(mode="json", by_alias=True)
    for key, field in fields_of(type(section)).items():
        value, path = getattr(section, names[key]), (*above, key)
        if isinstance(value, Section):
            yield from leaves_of(value, path)
        else:
            yield Leaf(path, dumped[key], _is_default(field, value))
    if isinstance(section, CustomCell):
        for key, value in section.options.items():
            yield Leaf((*above, key), value, False)


def is_overridden(leaf: Leaf, overrides: Iterable[str]) -> bool:
    """Return True if one of the overrides, `KEY.PATH=VALUE`, gave a value, alone or as a part of a section.

    Of a section, defaults count as not given, except its type: `task=addition`.
    """
    for override in overrides:
        keys = tuple(override.partition("=")[0].strip().split("."))
        if leaf.path == keys:
            return True
        if leaf.path[: len(keys)] == keys and (not leaf.is_default or leaf.path[-1] == "type"):
            return True
    return False


def _is_default(field: FieldInfo, value: Any) -> bool:
    return not field.is_required() and value == field.get_default(call_default_factory=True)


def _origin(document: Document, path: KeyPath, is_default: bool) -> str:
    """Return the place of a value; of a short form, such as `task: addition`, the place of the whole."""
    near = document.nearest(path)
    if near == path:
        return document.places[path]
    given = document.data
    for key in near:
        given = given[key]
    in_short_form = not isinstance(given, dict) and near != ()
    return document.places[near] if in_short_form and (not is_default or path[-1] == "type") else DEFAULT
