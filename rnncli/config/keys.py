"""The keys of the config, read from the schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic.fields import FieldInfo

from rnncli.config.base import Section, SectionOf, table_names
from rnncli.config.schema import Config


def fields_of(section: type[Section]) -> dict[str, FieldInfo]:
    """Return the fields of a section, by their keys."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def sections_of(field: FieldInfo) -> dict[str, type[Section]]:
    """Return the sections that a field can hold, by their type; one without a type is under the empty name."""
    for annotation in field.metadata:
        if isinstance(annotation, SectionOf):
            return annotation.sections
    sections = [kind for kind in _kinds_of(field) if isinstance(kind, type) and issubclass(kind, Section)]
    return {type_of(section): section for section in sections}


def type_of(section: type[Section]) -> str:
    """Return the value of a section's `type` key; empty if it has none."""
    field = section.model_fields.get("type")
    return str(get_args(field.annotation)[0]) if field and get_args(field.annotation) else ""


def section_of(field: FieldInfo, value: object) -> type[Section] | None:
    """Return the section that a field holds, of several the one with the value's type; None where it holds none."""
    sections = sections_of(field)
    if isinstance(value, dict):
        if len(sections) == 1:  # a cell that is a mapping is of one kind, whatever its type says
            return next(iter(sections.values()))
        value = value.get("type")
    return sections.get(value) if isinstance(value, str) and "" not in sections else sections.get("")


def choices_of(field: FieldInfo) -> list[str]:
    """Return the words, or the few numbers, that a field can hold, and the types of its sections."""
    words = [word for kind in _kinds_of(field) for word in get_args(kind) or (kind,)]
    shown = (str(word).lower() if isinstance(word, bool) else word for word in words)
    return [*table_names(field), *(str(word) for word in shown if isinstance(word, str | int)), *sections_of(field)]


def all_keys() -> dict[str, list[FieldInfo]]:
    """Return every key that takes a value, such as `training.epochs`, with its fields: one for each type of section.

    A section is left out, unless its type alone can stand for it, as in `task: addition`.
    """
    found: dict[str, list[FieldInfo]] = {}
    _collect(Config, "", found)
    return found


def keys_of_data(data: object) -> list[str]:
    """Return the keys that a config could have, given the types in it."""
    return [".".join(path) for path in key_paths(Config, (), data)]


def key_paths(section: type[Section], above: tuple[str, ...], data: object) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key that a section could have, given the types in its data."""
    for name, field in fields_of(section).items():
        yield (*above, name)
        value = data.get(name) if isinstance(data, dict) else None
        if below := section_of(field, value):
            yield from key_paths(below, (*above, name), value)


def _collect(section: type[Section], above: str, found: dict[str, list[FieldInfo]]) -> None:
    for name, field in fields_of(section).items():
        below = sections_of(field)
        if "" not in below:
            found.setdefault(f"{above}{name}", []).append(field)
        for member in below.values():
            _collect(member, f"{above}{name}.", found)


def _kinds_of(field: FieldInfo) -> list[Any]:
    """Return the types that a field can hold."""
    kinds = get_args(field.annotation) or (field.annotation,)
    return [get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds]
