"""Base of all sections of a config."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Annotated, ClassVar, Literal, Protocol, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

Seed = Annotated[int, Field(ge=0, lt=2**31)]

FileName = Annotated[str, Field(min_length=1, max_length=4096)]
"""Path of a file or directory, at most as long as Linux allows, as messages show it in full."""


DataPlace = Annotated[
    Literal["auto", "memory", "mapped"],
    Field(
        description="memory keeps the encoded training data in memory; mapped encodes them once into files that are "
        "mapped into memory, for data that do not fit; auto maps text files of 100 MB or more"
    ),
]
CacheLimit = Annotated[
    float,
    Field(
        gt=0.0,
        le=1e6,
        description="gigabytes that the files of mapped data may take; the least recently used ones are removed",
    ),
]


def conflict(key: str, message: str) -> PydanticCustomError:
    """Return the error of a broken rule between fields; `key` is the field to blame, below the checking section."""
    return PydanticCustomError("conflict", "{reason}", {"key": key, "reason": message})


def refuse_number_without_unit(values: object, key: str, *units: str) -> None:
    """Refuse the keys of a section if one of them is a number alone, and show it with each unit.

    Raises:
        PydanticCustomError: It is one.
    """
    value = values.get(key) if isinstance(values, dict) else None
    if not isinstance(value, bool) and re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", str(value)):
        raise conflict(key, f"a number needs a unit: write {' or '.join(f'{value} {unit}' for unit in units)}")


class Section(BaseModel):
    """A section of the config: it refuses unknown keys, converts no values, and is immutable.

    Attributes:
        short_form: JSON schema of what can stand for the section, such as `train: FILE` for `train: {file: FILE}`; a
            validator expands it. None is nothing.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    short_form: ClassVar[dict[str, object] | None] = None

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the schema of the section, or of its short form."""
        full = handler(schema)
        return full if cls.short_form is None else {"anyOf": [cls.short_form, full]}


class TaskSection(Section):
    """The section of a task; a subclass has a field `type` with the task's name as its default.

    Attributes:
        continuing: True if each example continues the one before it; see `rnncli.data.examples.Examples`.
        best_metric: The metric that selects the best epoch where the config names none; None leaves it to the model.
    """

    continuing: ClassVar[bool] = False
    best_metric: ClassVar[str | None] = None
    type: str

    @property
    def num_train_examples(self) -> int | None:
        """The number of training examples, where the config tells it; None where only the data does."""
        return None

    @property
    def leading_features(self) -> int:
        """The number of ids, padded with 0, that each source begins with; see `rnncli.data.examples.Sizes.tags`."""
        return 0


class HasSection(Protocol):
    """An entry of a family's table whose members have a section of the config each."""

    @property
    def section(self) -> type[Section]:
        """The section, with a field `type` that holds the member's name."""


class SectionOf:
    """Annotation of a field that takes a section of a table: `Annotated[TaskSection, SectionOf(TASKS)]`.

    The section's key `type` names the entry. As with `OneOf`, an entry that is added later is a choice too.
    """

    def __init__(self, table: Mapping[str, HasSection]) -> None:
        self.table = table

    @property
    def sections(self) -> dict[str, type[Section]]:
        """The section of each name."""
        return {name: entry.section for name, entry in self.table.items()}

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return a schema whose errors are those of a union with the discriminator `type`."""
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the names, each for a section of defaults, and the sections as alternatives."""
        sections = [handler(section.__pydantic_core_schema__) for section in self.sections.values()]
        named = [{"allOf": [section], "required": ["type"]} for section in sections]
        return {"anyOf": [{"type": "string", "enum": list(self.sections)}, {"oneOf": named}]}

    def _check(self, value: object) -> Section:
        sections = self.sections
        if isinstance(value, tuple(sections.values())):
            return cast(Section, value)
        if not isinstance(value, dict):
            raise PydanticKnownError("model_attributes_type")
        if "type" not in value:
            raise PydanticKnownError("union_tag_not_found", {"discriminator": "'type'"})
        name = value["type"]
        if not isinstance(name, str) or name not in sections:
            expected = ", ".join(map(repr, sections))
            context = {"discriminator": "'type'", "tag": str(name)[:100], "expected_tags": expected}
            raise PydanticKnownError("union_tag_invalid", context)
        return sections[name].model_validate(value)  # pydantic puts the field's key before the keys of its errors


class Names(Iterable[str], Container[object], Protocol):
    """A table of a family, by name."""


class OneOf:
    """Annotation of a field that takes a name of a table: `Annotated[str, OneOf(OPTIMIZERS)]`.

    The table is looked at whenever a config is read, so an entry that is added later is a choice too. A `Literal` is
    for choices that are not a family.

    Args:
        table: The table, or a function that returns it, where its import is slow.
    """

    def __init__(self, table: Names | Callable[[], Names]) -> None:
        self._table = table

    @property
    def table(self) -> Names:
        """Return the table."""
        return self._table() if callable(self._table) else self._table

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return a schema whose errors are those of a `Literal`."""
        return core_schema.no_info_plain_validator_function(
            self._check, serialization=core_schema.to_string_ser_schema()
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return the names as an enumeration."""
        return {"type": "string", "enum": list(self.table)}

    def _check(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.table:
            raise PydanticKnownError("literal_error", {"expected": ", ".join(self.table)})
        return value


def table_names(field: FieldInfo) -> list[str]:
    """Return the names that a field takes from the table of its `OneOf`; an empty list without one."""
    members = [get_args(kind) for kind in get_args(field.annotation) if get_origin(kind) is Annotated]
    annotations = [*field.metadata, *(each for member in members for each in member)]
    return [name for each in annotations if isinstance(each, OneOf) for name in each.table]


ONE, EACH = "[one]", "[each]"
"""Tags that pydantic puts behind a key that takes a value for all layers, or a list of one for each, in errors."""


def one_or_each(value: object) -> str:
    """Return `EACH` for a list, and `ONE` for anything else."""
    return EACH if isinstance(value, list) else ONE
