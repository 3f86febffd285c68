"""Overrides of config keys on the command line: `--set KEY.PATH=VALUE`."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from rnncli.config.yaml_reader import MAX_DEPTH, Document, KeyPath, dotted, read_value, refuse
from rnncli.errors import override_words
from rnncli.text import shorten

_USAGE = "write KEY.PATH=VALUE, such as training.epochs=3"
_BY_NAME = ("task", "model")
"""Sections that can be given by their type alone, as in `task: addition`."""


def apply_overrides(document: Document, overrides: Sequence[str]) -> Document:
    """Return a copy of a document with the overrides applied; later ones win.

    Args:
        document: A whole config, read but not validated.
        overrides: `KEY.PATH=VALUE`, the value in YAML.

    Raises:
        ConfigError: An override cannot be parsed, or its path leads through a value that is no section.
    """
    result = Document(deepcopy(document.data), dict(document.places))
    for override in overrides:
        _apply(result, override)
    return result


def _apply(document: Document, override: str) -> None:
    label = override_words(shorten(override))
    name, equals, text = override.partition("=")
    keys = tuple(name.strip().split("."))
    if not equals:
        refuse(label, (), "no = in it", _USAGE)
    if not all(keys):
        refuse(label, (), "empty key", _USAGE)
    if len(keys) > MAX_DEPTH:
        refuse(label, (), f"more than {MAX_DEPTH} keys", _USAGE)
    if not text.strip():
        refuse(label, (), "no value behind the =", _USAGE)
    value = read_value(text, lambda _: label)
    _put(document, keys, value, label)


def set_value(document: Document, name: str, value: Any, place: str) -> None:
    """Set a key of a document, in place.

    Args:
        document: A whole config, read but not validated.
        name: The key, `KEY.PATH`.
        value: Its new value, as YAML gives it.
        place: The place of the value, for messages.

    Raises:
        ConfigError: The path leads through a value that is no section.
    """
    keys = tuple(name.split("."))
    if not all(keys) or len(keys) > MAX_DEPTH:
        refuse(place, (name,), "not the key of a config", "write KEY.PATH, such as training.epochs")
    _put(document, keys, Document(deepcopy(value), {(): place}), place)


def _put(document: Document, keys: tuple[str, ...], value: Document, label: str) -> None:
    section = _section(document, keys[:-1], label)
    section[keys[-1]] = value.data
    for path in [path for path in document.places if path[: len(keys)] == keys]:
        del document.places[path]
    document.places.update({(*keys, *path): label for path in value.places})


def _section(document: Document, path: tuple[str, ...], label: str) -> dict[str, Any]:
    """Return the mapping at a path; makes it if there is none."""
    section: dict[str, Any] = document.data
    for depth, key in enumerate(path, start=1):
        here: KeyPath = path[:depth]
        below = section.get(key)
        if below is None:
            below = {}
        elif depth == 1 and key in _BY_NAME and isinstance(below, str):
            below = {"type": below}
        elif not isinstance(below, dict):
            place = document.places[document.nearest(here)]
            message = f"{dotted(here)} is a value, not a section ({place})"
            refuse(label, (), message, f"use {override_words(f'{dotted(here)}=VALUE')}")
        section[key] = below
        document.places.setdefault(here, label)
        section = below
    return section
