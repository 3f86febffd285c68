"""Read strict YAML, and remember the place of every key.

It refuses surprises and attacks: tags, anchors and aliases, merge keys, duplicate keys, keys that are not text, large
or deep documents.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from rnncli.config.shipped import similar_config
from rnncli.config.yaml_scalars import Scalar, scalar
from rnncli.errors import ConfigError, command_line, reason_of
from rnncli.text import CONFIG_SUFFIXES, DATA_SUFFIXES, shorten, similar_name

MAX_BYTES = 2**20
MAX_DEPTH = 20
MAX_NODES = 10_000

KeyPath = tuple[str | int, ...]
PlaceOf = Callable[[int], str]

# A PyYAML built without libyaml reads the same language, but slower.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NOT_PRINTABLE = re.compile(r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAG_DIRECTIVE = re.compile(r"(?:\A|[\r\n\x85\u2028\u2029\ufeff])%TAG")
_PLAIN_KEY = re.compile(r"[\w-]{1,60}")


@dataclass(frozen=True)
class Document:
    """A parsed YAML document.

    Args:
        data: Plain values; of a whole file, a mapping.
        places: For each key path in the data, where it was given (`FILE:LINE`), in reading order.
    """

    data: Any
    places: dict[KeyPath, str]

    def nearest(self, path: KeyPath) -> KeyPath:
        """Return the path itself if it was given, else the closest section around it."""
        while path and path not in self.places:
            path = path[:-1]
        return path


def dotted(path: KeyPath) -> str:
    """Return a key path as the user writes it, on one line."""
    return ".".join(key if _PLAIN_KEY.fullmatch(key) else f"'{shorten(key)}'" for key in map(str, path))


def refuse(place: str, path: KeyPath, message: str, hint: str = "") -> NoReturn:
    """Raise a ConfigError for one key at one place."""
    where = f"{place}: {dotted(path)}" if path else place
    raise ConfigError(f"{where}: {message}", hint)


def read_file(path: str | os.PathLike[str]) -> tuple[bytes, str]:
    """Return the content of a config file, or of standard input for `-`, and its name for messages.

    Raises:
        ConfigError: It cannot be read.
    """
    if os.fspath(path) == "-":
        if sys.stdin is None:
            raise ConfigError("<stdin>: stdin is closed", "give the path of a config file")
        return sys.stdin.buffer.read(MAX_BYTES + 1), "<stdin>"
    name = shorten(os.fspath(path), 1000)
    try:
        # Reads no further than it must to see that a file is too large, whatever its size claims to be. Opening does
        # not wait for somebody to write to a FIFO; reading one that has a writer does.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            os.set_blocking(file.fileno(), True)
            return file.read(MAX_BYTES + 1), name
    except FileNotFoundError as error:
        raise ConfigError(f"{name}: no such file", _hint_for_missing(name)) from error
    except IsADirectoryError as error:
        raise ConfigError(f"{name}: is a directory", _hint_for_directory(name)) from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{name}: cannot be read: {reason_of(error)}") from error


def _hint_for_directory(name: str) -> str:
    inside = Path(name) / "config.yaml"
    if not inside.is_file():
        return "give the path of a config file inside it"
    return f"write {inside}; `{command_line('train', '--resume', name)}` resumes a run"


def _hint_for_missing(name: str) -> str:
    beside = Path(name).parent
    with contextlib.suppress(OSError, ValueError):
        names = [entry.name for entry in beside.iterdir() if entry.suffix in CONFIG_SUFFIXES]
        if (close := similar_name(Path(name).name, names)) is not None:
            return f"did you mean {beside / close}?"
    if (similar := similar_config(Path(name).stem if Path(name).suffix in CONFIG_SUFFIXES else name)) is not None:
        return f"did you mean {similar}? `rnncli configs` lists the example configs"
    return "give the path of a config file, - for standard input, or a name that `rnncli configs` lists"


def read_yaml(text: str | bytes, name: str) -> Document:
    """Parse the content of a config file, a mapping.

    Args:
        text: The content; bytes are UTF-8.
        name: The file's name, for messages.

    Raises:
        ConfigError: It is not such a document; names the line.
    """
    try:
        return _read_mapping(text, name)
    except ConfigError as error:
        if not _may_be_data(text, name):
            raise
        message = f"{error.message}; it seems to be data, not a config"
        hint = f"{command_line('init', name)} writes a config that trains on pairs of text"
        raise ConfigError(message, hint) from error


def _may_be_data(text: str | bytes, name: str) -> bool:
    """Return True if what is no config may be data, by its name, or by a tab in its first line."""
    data = text.encode(errors="replace") if isinstance(text, str) else text
    first, suffix = data[:4096].split(b"\n", 1)[0].strip(), Path(name).suffix.lower()
    return suffix in DATA_SUFFIXES or (suffix not in CONFIG_SUFFIXES and b"\t" in first and b":" not in first)


def _read_mapping(text: str | bytes, name: str) -> Document:
    document = read_value(text, lambda line: f"{name}:{line}")
    if document.data is None:
        refuse(document.places[()], (), "nothing in it", "write at least one `key: value`")
    if not isinstance(document.data, dict):
        refuse(document.places[()], (), "not a mapping of keys", "write `key: value`, with a space after each colon")
    return document


def read_value(text: str | bytes, place_of: PlaceOf) -> Document:
    """Parse any YAML value; `place_of` returns the place of a line for messages.

    Raises:
        ConfigError: It is refused.
    """
    text = _decoded(text, place_of)
    composer = _Composer(text, place_of)
    try:
        return Document(composer.document(), composer.places)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # What is missing at the end is reported behind the last line.
        line = min(mark.line, max(len(text.splitlines()) - 1, 0)) if mark else 0
        refuse(place_of(line + 1), (), _syntax_problem(error), _syntax_hint(text, line))
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # PyYAML without libyaml lets chr() and int() fail on escapes and directives.
        refuse(place_of(1), (), f"not valid YAML: {shorten(str(error), 200)}")


def _decoded(text: str | bytes, place_of: PlaceOf) -> str:
    if len(text) > MAX_BYTES:
        refuse(place_of(1), (), "larger than 1 MiB", "a config is a few lines; was a data file given in its place?")
    text = (text if isinstance(text, str) else _from_utf8(text, place_of)).removeprefix("\ufeff")
    if found := _NOT_PRINTABLE.search(text):
        line = text.count("\n", 0, found.start()) + 1
        refuse(place_of(line), (), f"control character U+{ord(found[0]):04X}", "remove it; a config is plain text")
    # libyaml takes quadratic time for many.
    if found := _TAG_DIRECTIVE.search(text):
        line = text.count("\n", 0, found.end()) + 1
        refuse(place_of(line), (), "directive %TAG is not allowed", "remove it")
    return text


def _from_utf8(data: bytes, place_of: PlaceOf) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        message = f"not UTF-8 text: byte 0x{data[error.start]:02x} at byte {column} of the line"
        refuse(place_of(line), (), message, "save the file as UTF-8")


def _syntax_problem(error: yaml.MarkedYAMLError) -> str:
    context = f" {error.context}" if error.context else ""
    since = f" from line {error.context_mark.line + 1}" if error.context and error.context_mark else ""
    return shorten(f"not valid YAML: {error.problem or 'malformed'}{context}{since}", 200)


def _syntax_hint(text: str, line: int) -> str:
    lines = text.splitlines()
    if line < len(lines) and lines[line].startswith("\t"):
        return "indent with spaces, not tabs"
    return "indent keys of one section alike, put a space after each colon, and quote text with special characters"


class _Composer:
    """Build plain data from YAML events; the first thing that is refused raises an error."""

    def __init__(self, text: str, place_of: PlaceOf) -> None:
        self.events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self.place_of = place_of
        self.places: dict[KeyPath, str] = {}
        self.nodes = 0

    def document(self) -> Any:
        next(self.events)  # the start of the stream
        if isinstance(next(self.events), yaml.StreamEndEvent):
            refuse(self.place_of(1), (), "nothing in it", "write at least one `key: value`")
        root = next(self.events)
        self.places[()] = self.place_of(root.start_mark.line + 1)
        value = self.value(root, ())
        next(self.events)  # the end of the document
        if not isinstance(after := next(self.events), yaml.StreamEndEvent):
            self.refuse(after, (), "a second document starts here", "one config a file: remove the --- between them")
        return value

    def refuse(self, event: Any, path: KeyPath, message: str, hint: str = "") -> NoReturn:
        refuse(self.place_of(event.start_mark.line + 1), path, message, hint)

    def value(self, event: Any, path: KeyPath) -> Any:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.refuse(event, (), f"more than {MAX_NODES} values", "was a data file given in place of a config?")
        if isinstance(event, yaml.AliasEvent):
            self.refuse(event, path, f"alias *{shorten(str(event.anchor))} is not allowed", "write the value out")
        if event.anchor is not None:
            self.refuse(event, path, f"anchor &{shorten(event.anchor)} is not allowed", "remove it")
        if event.tag is not None:
            self.refuse(
                event,
                path,
                f"tag {shorten(event.tag.replace('tag:yaml.org,2002:', '!!'))} is not allowed",
                "remove it, or quote text with a leading !",
            )
        if isinstance(event, yaml.ScalarEvent):
            return self.scalar(event, path)
        if len(path) >= MAX_DEPTH:
            self.refuse(event, (), f"more than {MAX_DEPTH} levels deep")
        return self.mapping(path) if isinstance(event, yaml.MappingStartEvent) else self.sequence(path)

    def scalar(self, event: Any, path: KeyPath) -> Scalar:
        text: str = event.value
        if event.style:
            return text
        try:
            return scalar(text)
        except ValueError as error:
            self.refuse(event, path, str(error))

    def sequence(self, path: KeyPath) -> list[Any]:
        values: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            place = (*path, len(values))
            self.places[place] = self.place_of(event.start_mark.line + 1)
            values.append(self.value(event, place))
        return values

    def mapping(self, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self.key(event, path)
            place = (*path, key)
            if key in values:
                self.refuse(event, place, f"given twice, first at {self.places[place]}", "remove one of them")
            self.places[place] = self.place_of(event.start_mark.line + 1)
            values[key] = self.value(next(self.events), place)
        return values

    def key(self, event: Any, path: KeyPath) -> str:
        if isinstance(event, yaml.CollectionStartEvent):
            self.refuse(event, path, "a key must be text, not a list or a mapping")
        key = self.value(event, path)
        if not isinstance(key, str):
            self.refuse(event, path, f"key {shorten(event.value) or '(empty)'} is not text", "put it in quotes")
        if key == "<<":
            self.refuse(event, path, "merge key << is not allowed", "write the keys out")
        return key
