"""Relative file names of a config: they start from the config's directory."""

from __future__ import annotations

import os
import typing
from collections.abc import Iterator
from glob import has_magic, iglob
from pathlib import Path
from typing import TypeVar

from pydantic.fields import FieldInfo

from rnncli.config.base import FileName, Section
from rnncli.config.yaml_reader import Document, KeyPath, dotted
from rnncli.errors import is_override, warn_user

CURRENT_DIRECTORY = Path()

RELATIVE_PATHS = "a relative path starts from the config's directory; in --set and in Python from the current one"
"""The hint where a file is missing."""

SectionT = TypeVar("SectionT", bound=Section)


def directory_of(config_path: str | os.PathLike[str]) -> Path:
    """Return the directory that relative file names of a config start from; for standard input the current one."""
    return CURRENT_DIRECTORY if os.fspath(config_path) == "-" else Path(config_path).parent


def resolve_file_names(section: SectionT, document: Document, directory: Path, path: KeyPath = ()) -> SectionT:
    """Return the section with every relative file name joined to a directory.

    A name of the command line (`--set`) starts from the current directory, as all names there do. A name that exists
    only below the current directory is taken from there with a warning, as version 0.1.0 did.

    Args:
        section: A validated config, or a section of it.
        document: The YAML that it was read from, with the place of every key.
        directory: The config's directory.
        path: The key of the section; empty for the config.
    """

    def resolve(name: str, path: KeyPath) -> str:
        key = document.nearest(path)
        place = document.places[key]
        if Path(name).is_absolute() or is_override(place) or directory == CURRENT_DIRECTORY:
            return name
        beside = str(directory / name)
        if not _exists(beside) and _exists(name):
            warn_user(
                f"{place}: {dotted(key)}: {name} is not in {directory}; used the one in the current directory. "
                "Write file names relative to the config; a later version will look only there"
            )
            return name
        return beside

    return _changed(section, path, resolve)


def absolute_file_names(section: SectionT) -> SectionT:
    """Return the section with every file name absolute, so that the files are found from any directory."""
    return _changed(section, (), lambda name, _: str(Path(name).absolute()))


def base_file_names(section: SectionT) -> SectionT:
    """Return the section with every file name without its directory, which is nobody's business elsewhere."""
    return _changed(section, (), lambda name, _: Path(name).name)


def file_names(section: Section, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield the key path and the value of every file name in a config."""
    for name, value in _fields(section):
        if isinstance(value, Section):
            yield from file_names(value, (*path, name))
        elif isinstance(value, str):
            yield (*path, name), value


def missing_files(section: Section, document: Document, path: KeyPath = ()) -> list[str]:
    """Return a message with the line of each file that a config names and that is not there.

    Args:
        section: A validated config or section, with its file names joined to its directory.
        document: The YAML that it was read from.
        path: The key of the section.
    """
    return [
        f"{document.places[key]}: {dotted(key)}: no such file: {name}"
        for key, name in ((document.nearest(found), name) for found, name in file_names(section, path))
        if not _exists(name)
    ]


def relative_to(directory: Path, name: str) -> str:
    """Return a file name of the current directory as a config in another directory writes it."""
    kept = Path(name).is_absolute() or directory == CURRENT_DIRECTORY
    return name if kept else os.path.relpath(name, directory)


def _changed(section: SectionT, path: KeyPath, change: typing.Callable[[str, KeyPath], str]) -> SectionT:
    update: dict[str, object] = {}
    for name, value in _fields(section):
        key = (*path, name)
        if isinstance(value, Section):
            update[name] = _changed(value, key, change)
        elif isinstance(value, str):
            update[name] = change(value, key)
    return section.model_copy(
        update={name: value for name, value in update.items() if value is not getattr(section, name)}
    )


def _fields(section: Section) -> Iterator[tuple[str, object]]:
    """Yield the fields that are sections, and those that hold file names."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section) or (isinstance(value, str) and _is_file_name(field)):
            yield name, value


def _is_file_name(field: FieldInfo) -> bool:
    return FileName in (field.annotation, *typing.get_args(field.annotation))


def _exists(name: str) -> bool:
    try:
        return Path(name).exists() or (has_magic(name) and next(iglob(name, recursive=True), None) is not None)  # noqa: PTH207 (`**` too)
    except (OSError, ValueError):
        return False
