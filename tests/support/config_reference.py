"""The README's table of config keys, made from the schema: `python tests/support/config_reference.py` prints it."""

import json
import types
import typing
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rnncli.config import Config
from rnncli.config.base import SectionOf, table_names


def rows(model: type[BaseModel], prefix: str = "", inside: str = "") -> Iterator[tuple[str, str, str]]:
    """Key, default and meaning of every key below a section; `inside` is the type that a union's member has."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        members = sections(field)
        if name == "type":
            continue
        if not members or choices(field):
            yield key + inside, default(field), meaning(field)
        for member in members:
            kind = member.model_fields.get("type")
            named = f" ({typing.get_args(kind.annotation)[0]})" if kind else inside
            optional = types.NoneType in typing.get_args(field.annotation)
            if optional:
                yield key + inside, "null", (member.__doc__ or "").strip()
            yield from rows(member, f"{key}.", named)


def sections(field: FieldInfo) -> list[type[BaseModel]]:
    """The config sections that a field may hold."""
    for annotation in field.metadata:
        if isinstance(annotation, SectionOf):
            return list(annotation.sections.values())
    options = kinds(field.annotation) or [field.annotation]
    return [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]


def kinds(annotation: object) -> list[object]:
    """The members of a union, or the choices of a literal."""
    options = typing.get_args(annotation)
    return [typing.get_args(o)[0] if typing.get_origin(o) is typing.Annotated else o for o in options]


def choices(field: FieldInfo) -> list[str]:
    """The words that a field may be."""
    words = [word for kind in kinds(field.annotation) for word in typing.get_args(kind) or (kind,)]
    return [*table_names(field), *(word for word in words if isinstance(word, str))]


def default(field: FieldInfo) -> str:
    return "needed" if field.is_required() else json.dumps(field.default).strip('"')


def meaning(field: FieldInfo) -> str:
    words = [", ".join(f"`{choice}`" for choice in choices(field)), field.description or ""]
    return ": ".join(word for word in words if word)


def table() -> str:
    lines = ["| key | default | meaning |", "|---|---|---|"]
    seen = {}
    for key, value, text in rows(Config):
        seen.setdefault((key.partition(" (")[0], value, text), []).append(key)
    for (key, value, text), keys in seen.items():
        types_of = dict.fromkeys(k[k.index("(") + 1 : -1] for k in keys if "(" in k)
        where = f" ({', '.join(types_of)})" if types_of else ""
        lines.append(f"| `{key}`{where} | `{value}` | {text} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
