"""Tokenizers and Unicode normalization: the choices of `task.tokenize` and `task.normalize`."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple, cast

from rnncli.config.tables import NormalForm
from rnncli.data.vocabulary import SPECIALS
from rnncli.errors import InputError, install_command

UNKNOWN_SHOWN = "\N{REPLACEMENT CHARACTER}"
"""The text of the unknown symbol."""


class Tokenizer(NamedTuple):
    """A pair of functions: text to symbols, and symbols to text.

    Attributes:
        split: Returns the symbols of a text.
        join: Returns the text of symbols.
        unit: The name of the symbols in a report.
        separator: The text between symbols that a report lists.
        version: The version of the package that splits; empty where there is none.
    """

    split: Callable[[str], list[str]]
    join: Callable[[Iterable[str]], str]
    unit: str
    separator: str = ""
    version: str = ""


def normal_form(form: NormalForm) -> Callable[[str], str]:
    """Return a function that brings text into a Unicode normal form; `none` leaves it as it is."""
    if form == "none":
        return str
    name = cast(Literal["NFC", "NFD", "NFKC"], form.upper())
    return lambda text: unicodedata.normalize(name, text)


def normalizer(form: NormalForm) -> Callable[[str], str]:
    """Return a function that brings text into a Unicode normal form and strips white space."""
    if form == "none":
        return str.strip
    normalize = normal_form(form)
    return lambda text: normalize(text).strip()


def list_normalizer(form: NormalForm) -> Callable[[list[str]], list[str]]:
    """Return a function that does to each text of a list what that of `normalizer` does to one, but faster."""
    clean = normalizer(form)
    if form == "none":
        return lambda texts: [text.strip() for text in texts]
    name = cast(Literal["NFC", "NFD", "NFKC"], form.upper())

    def clean_all(texts: list[str]) -> list[str]:
        # parts of normalized text are normalized (Unicode Standard Annex 15), so one look at all of it is enough
        if unicodedata.is_normalized(name, "\n".join(texts)):
            return [text.strip() for text in texts]
        return [clean(text) for text in texts]

    return clean_all


def tokenizer(name: str) -> Tokenizer:
    """Return the tokenizer of that name.

    Raises:
        InputError: It needs a package that is not installed.
    """
    make: dict[str, Callable[[], Tokenizer]] = {
        "characters": lambda: Tokenizer(list, "".join, "characters"),
        "graphemes": _graphemes,
        "whitespace": lambda: Tokenizer(str.split, " ".join, "words", " "),
        "words": lambda: Tokenizer(_WORDS.findall, "".join, "words", " "),
        "bytes": lambda: Tokenizer(_bytes, _from_bytes, "bytes", " "),
    }
    return make[name]()


_WORDS = re.compile(r"\w+|[^\w]")
"""Runs of letters and digits, and all other characters one by one: joined they are the text again."""


def characters_of(name: str, symbols: Sequence[str], unknown: str) -> list[int]:
    """Return the characters of each symbol of a tokenizer: of bytes, 1 where a character begins, else 0.

    Args:
        name: The tokenizer.
        symbols: The symbols.
        unknown: The unknown symbol, which counts as a character.
    """
    if name == "bytes":
        return [int(s == unknown or (s in _BYTE_OF and _BYTE_OF[s] & 0xC0 != 0x80)) for s in symbols]
    return [1 if s == unknown else 0 if s in SPECIALS else len(s) for s in symbols]


class TextWriter:
    """Joins symbols to text as they come; the bytes of a character are held back until it is whole.

    Args:
        join: Returns the text of symbols.
        unknown: The unknown symbol, which is shown as U+FFFD.
        in_bytes: True if the symbols are bytes.
    """

    def __init__(self, join: Callable[[Iterable[str]], str], unknown: str, in_bytes: bool) -> None:
        self._join, self._unknown = join, unknown
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace") if in_bytes else None

    def write(self, symbols: Iterable[str]) -> str:
        """Return the text of further symbols."""
        shown = [UNKNOWN_SHOWN if symbol == self._unknown else symbol for symbol in symbols]
        if self._decoder is None:
            return self._join(shown)
        return self._decoder.decode(b"".join(bytes([_BYTE_OF[s]]) if s in _BYTE_OF else s.encode() for s in shown))

    def end(self) -> str:
        """Return what is held back, with U+FFFD for a character that is not whole."""
        return "" if self._decoder is None else self._decoder.decode(b"", final=True)


def _graphemes() -> Tokenizer:
    try:
        import regex
    except ModuleNotFoundError as error:
        raise InputError("task.tokenize: graphemes needs the package regex", install_command("regex")) from error
    # extended grapheme clusters, Unicode Standard Annex 29
    return Tokenizer(regex.compile(r"\X").findall, "".join, "graphemes", version=regex.__version__)


def _bytes(text: str) -> list[str]:
    return [BYTE_SYMBOLS[byte] for byte in text.encode()]


def _from_bytes(symbols: Iterable[str]) -> str:
    """Return the text of bytes; bytes that are not UTF-8, which a model may write, become U+FFFD."""
    return b"".join(bytes([_BYTE_OF[s]]) if s in _BYTE_OF else s.encode() for s in symbols).decode(errors="replace")


def _byte_symbols() -> Sequence[str]:
    return [chr(byte) if 0x20 <= byte < 0x7F else f"<0x{byte:02X}>" for byte in range(256)]


BYTE_SYMBOLS = _byte_symbols()
"""The symbol of each byte: itself where it is printable ASCII, else such as `<0xC3>`."""
_BYTE_OF = {symbol: byte for byte, symbol in enumerate(BYTE_SYMBOLS)}
