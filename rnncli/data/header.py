"""Header lines: whether the first row of a table has the names of its columns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import permutations

NAMES = {
    *("source", "target", "input", "output", "word", "words", "lemma"),
    *("lemmas", "form", "forms", "inflected", "inflection", "base", "text", "sentence", "label", "class"),
    *("category", "sentiment", "translation", "grapheme", "graphemes", "phoneme", "phonemes"),
    *("phone", "phones", "pronunciation", "spelling", "orthography"),
    *("transcription", "transliteration", "normalized", "normalised", "original", "corrected", "correction"),
    *("correct", "misspelling", "misspelled"),
    *("noisy", "clean", "question", "answer", "query", "response", "document"),
    *("title", "string", "key", "value", "features", "feature", "tags", "tag", "msd", "id", "index"),
    *("src", "tgt", "trg", "ipa", "lang", "language", "english"),
    *("french", "german", "spanish", "italian", "latin", "greek", "russian", "turkish", "chinese", "japanese"),
    *("dutch", "swedish", "icelandic", "portuguese", "polish", "arabic", "hebrew", "hindi", "korean", "finnish"),
    *("singular", "plural", "nominative", "genitive", "accusative", "dative", "infinitive", "participle"),
    *("present", "past", "tense", "comparative", "superlative", "masculine", "feminine", "stem", "root"),
    *("verb", "noun", "adjective", "headword", "gloss", "definition", "meaning", "synonym", "antonym"),
    *("kana", "hiragana", "katakana", "kanji", "romaji", "romanization", "romanisation", "pinyin", "hanzi"),
    *("ortho", "phon", "review", "comment", "message", "tweet", "rating", "score", "topic", "genre"),
    *("prompt", "completion", "reference", "prediction", "raw", "wrong", "formatted", "iso"),
    *("premise", "hypothesis", "relation", "cognate"),
}
"""Usual words of column names."""

MIN_ROWS = 5
"""Other rows that a column's alphabet and lengths can be told from."""

_NAME = re.compile(r"[^\W\d_][\w .()/#-]{0,59}")
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


def looks_like_header(first: Sequence[str], others: Sequence[Sequence[str]], read: Sequence[int]) -> bool:
    """Return True if a row names the columns of the rows below it.

    Every cell that is read must look like a name, and be one by its words, or by its shape: far from the alphabet and
    the lengths of its column. A name above a column of numbers decides alone, whether it is read or not.

    Args:
        first: The cells of the first row.
        others: The cells of rows below it, with as many cells.
        read: The columns that are read, from 0.
    """
    names = [cell.strip() for cell in first]
    others = [row for row in others if len(row) == len(first)]
    if max(read) >= len(names) or not all(_NAME.fullmatch(names[column]) for column in read):
        return False
    columns = [[row[column].strip() for row in others] for column in range(len(names))]
    if any(_NAME.fullmatch(name) and are_numbers(column) for name, column in zip(names, columns, strict=True)):
        return True
    if any(one.startswith(other) for one, other in permutations([names[column].lower() for column in read], 2)):
        return False  # such as word and words, which are a pair
    return all(_is_named(names[column]) or _is_far(names[column], columns[column]) for column in read)


def _is_named(name: str) -> bool:
    words = [word for word in re.split(r"[\W\d_]+", name.lower()) if word]
    known = [word in NAMES for word in words]
    return any(known) if "_" in name else all(known)


def _is_far(name: str, column: Sequence[str]) -> bool:
    if len(column) < MIN_ROWS:
        return False
    alphabet = set().union(*column)
    if "_" in name and "_" not in alphabet:
        return True
    letters = [symbol for symbol in name if symbol.isalpha()]
    kinds = {_kind(symbol) for symbol in alphabet if symbol.isalpha()}
    if len(letters) >= 3 and 2 * sum(_kind(symbol) not in kinds for symbol in letters) > len(letters):
        return True
    lengths = [len(cell) for cell in column]
    return len(name) > 2 * max(lengths) or 2 * len(name) < min(lengths) or are_numbers(column)


def _kind(letter: str) -> tuple[str, bool]:
    """Return the script of a letter, and whether it is a capital."""
    return unicodedata.name(letter, "").partition(" ")[0], letter.isupper()


def are_numbers(column: Sequence[str]) -> bool:
    """Return True if every cell of a column is a number."""
    return len(column) >= MIN_ROWS and all(_NUMBER.fullmatch(cell) for cell in column)
