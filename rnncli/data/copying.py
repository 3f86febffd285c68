"""Symbols that are copied from the source: those that the target vocabulary has not get an id by their place.

The id of such a symbol is the size of the target vocabulary plus its place in the source.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rnncli.data.examples import Ids
from rnncli.data.padding import id_type
from rnncli.data.vocabulary import SPECIALS, UNKNOWN, UNKNOWN_ID, Vocabulary

COPY_BY_PLACE, NEVER_COPIED = -1, -2
"""Stand in place of a target id for a source symbol that the target vocabulary has not, and for one that is not
copied, such as a feature or padding."""

MIN_PROBABILITY, MIN_COPIED = 1e-20, 1e-6
"""The least probability of a symbol, and the least sum of attention weights that is scaled to 1: the derivatives of
logarithm and quotient, multiplied, are finite in float32."""


def copies_of(source: Vocabulary, target: Vocabulary, is_text: Callable[[str], bool]) -> tuple[int, ...]:
    """Return what copying each source id writes: a target id, `COPY_BY_PLACE` or `NEVER_COPIED`.

    Args:
        source: The source vocabulary; an unknown symbol may be any, and is copied by its place.
        target: The target vocabulary.
        is_text: Returns False for symbols that are no part of the text, such as features.
    """

    def copied(symbol: str) -> int:
        if symbol == UNKNOWN:
            return COPY_BY_PLACE
        if symbol in SPECIALS or not is_text(symbol):
            return NEVER_COPIED
        return target.ids.get(symbol, COPY_BY_PLACE)

    return tuple(map(copied, source.symbols))


def copied_ids(target: Sequence[str], ids: Sequence[int], source: Sequence[str], symbols: int) -> list[int]:
    """Return the ids of a target in which unknown symbols that the source has are copied by their place.

    The second occurrence in the target is that of the source, and so on; the last one stands for all further ones.

    Args:
        target: The symbols of the target; further ids, such as end-of-sequence, stay.
        ids: Their ids.
        source: The symbols of the source.
        symbols: Size of the target vocabulary.
    """
    result = list(ids)
    places: dict[str, deque[int]] = defaultdict(deque)
    for place, symbol in enumerate(source):
        places[symbol].append(place)
    for at, symbol in enumerate(target):
        if result[at] == UNKNOWN_ID and (found := places.get(symbol)):
            result[at] = symbols + (found.popleft() if len(found) > 1 else found[0])
    return result


def first_places(ids: Ids, source_of: Callable[[int], Sequence[str]], symbols: int) -> Ids:
    """Return ids in which a symbol that the source has several times is copied from its first place.

    Args:
        ids: int [rows, steps].
        source_of: Returns the symbols of a row's source.
        symbols: Size of the target vocabulary.
    """
    rows: NDArray[np.intp] = np.flatnonzero((ids >= symbols).any(axis=1))
    result = ids.copy()
    for row in rows.tolist():
        source = list(source_of(row))
        for at in np.flatnonzero(ids[row] >= symbols).tolist():
            place = int(ids[row, at]) - symbols
            if place < len(source):
                result[row, at] = symbols + source.index(source[place])
    return result


def with_copies(targets: Ids, texts: dict[int, tuple[list[str], list[str]]], symbols: int, source_steps: int) -> Ids:
    """Return padded targets in which unknown symbols that the source has are copied by their place.

    Args:
        targets: int [rows, steps].
        texts: The symbols of source and target, by row.
        symbols: Size of the target vocabulary.
        source_steps: Maximum length of a source.
    """
    result: Ids = targets.astype(id_type(symbols + source_steps))
    for row, (source, target) in texts.items():
        result[row] = copied_ids(target, targets[row].tolist(), source, symbols)
    return result
