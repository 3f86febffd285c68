"""Sums of two numbers: `12+345` to `357`, after Zaremba & Sutskever 2014, "Learning to Execute".

As in the addition example of the Keras documentation, the number of digits is uniform from 1 to `digits`, and so is
each digit, so that short numbers are as common as long ones. Sums are distinct; a+b and b+a count as one.

There are few short sums: of all that are drawn, one in seven adds two numbers below 10 where `digits` is 3, but of
the distinct ones only 55 of 50,000 do. A model that sees each once in an epoch learns them last, although people try
them first, and it does not know that 3+0 is 0+3. So an epoch shows a training sum as often as the square root of the
times that it is drawn, in both orders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rnncli.config import AdditionTask, Columns
from rnncli.data.examples import Examples, Sizes
from rnncli.data.parsing import bad_line
from rnncli.data.vocabulary import BOS, EOS, PAD, PAD_ID, Vocabularies, Vocabulary

DIGITS = "0123456789"
MAX_ENUMERATED = 1_000_000
"""Distinct sums up to which all are enumerated and weighted; of more, sums are drawn until enough differ."""

Numbers = NDArray[np.int64]


class Addition:
    """The addition task for an encoder-decoder, which ends its answer by the end-of-sequence symbol.

    Args:
        config: The task's section of the config.
        recorded: Not used: the vocabularies are always the same.
    """

    columns = Columns()
    shown_groups: tuple[str, ...] = ("digits", "carries")

    def __init__(self, config: AdditionTask, recorded: Vocabularies | None = None) -> None:  # noqa: ARG002 (a task's)
        self.config = config
        self.writes_backwards = config.reverse_answer
        self.source_vocabulary = Vocabulary.of("+" + DIGITS, [PAD])
        self.target_vocabulary = self._make_target_vocabulary()
        self.sizes = Sizes(
            source_symbols=len(self.source_vocabulary),
            source_steps=2 * config.digits + 1,
            target_symbols=len(self.target_vocabulary),
            target_steps=self._max_target_length(),
        )

    def _make_target_vocabulary(self) -> Vocabulary:
        return Vocabulary.of(DIGITS, [PAD, BOS, EOS])

    def _max_target_length(self) -> int:
        return self._max_answer_digits() + 1

    def _max_answer_digits(self) -> int:
        return self.config.digits + 1

    def splits(self) -> tuple[Examples, Examples]:
        """Return training and held-out examples; no sum is in both, in neither order of its operands."""
        config = self.config
        a, b = draw_sums(config.digits, config.examples, config.seed)
        num_train = config.examples - config.held_out
        if config.short_sums == "once":  # the first ones drawn are mostly short
            return self._encode(a[:num_train], b[:num_train]), self._encode(a[num_train:], b[num_train:])
        times = count_times(a, b, config.digits, config.examples)
        train, held_out = split_evenly(times, config.held_out, config.seed)
        extra = self._encode(*repeat_sums(a[train], b[train], times[train]))
        return replace(self._encode(a[train], b[train]), extra=extra), self._encode(a[held_out], b[held_out])

    def _encode(self, a: Numbers, b: Numbers) -> Examples:
        source = DigitWriter(len(a), self.sizes.source_steps)
        zero, reverse = self.source_vocabulary.ids["0"], self.config.reverse
        source.add_numbers(b if reverse else a, zero, reverse)
        source.add_symbol(self.source_vocabulary.ids["+"])
        source.add_numbers(a if reverse else b, zero, reverse)
        target = DigitWriter(len(a), self.sizes.target_steps)
        zero = self.target_vocabulary.ids["0"]
        target.add_numbers(self._answers(a + b), zero, self.config.reverse_answer)
        return Examples(source.ids, source.lengths, target.ids, self._end_targets(target))

    def _answers(self, sums: Numbers) -> Numbers:
        return sums

    def _end_targets(self, target: DigitWriter) -> NDArray[np.int32]:
        """End all targets; return their lengths."""
        target.add_symbol(self.target_vocabulary.ids[EOS])
        return target.lengths

    def read_source(self, text: str) -> list[int]:
        """Return the ids of a sum such as `12+345`.

        Raises:
            DataError: The text is no sum, or a number has too many digits.
        """
        max_digits = self.config.digits
        match = re.fullmatch(r"([0-9]+)\+([0-9]+)", text.strip())
        if not match:
            raise bad_line("not a sum of two numbers", text, "write it as 12+345")
        for number in match.groups():
            if len(number) > max_digits:
                raise bad_line(f"a number has more than the {max_digits} digits the model was trained on", text)
            if len(number) > 1 and number[0] == "0":
                raise bad_line("a number begins with 0", text)
        symbols = match.group()
        return self.source_vocabulary.encode(symbols[::-1] if self.config.reverse else symbols)

    def read_target(self, text: str) -> list[int]:
        """Return the ids of an answer such as `357`, and of what the model writes after it.

        Raises:
            DataError: The text is no number, or has too many digits.
        """
        text, max_digits = text.strip(), self._max_answer_digits()
        if not re.fullmatch(r"[0-9]+", text) or len(text) > max_digits:
            raise bad_line(f"not a number of {'1 digit' if max_digits == 1 else f'1 to {max_digits} digits'}", text)
        ids = self.target_vocabulary.encode(text[::-1] if self.config.reverse_answer else text)
        return self._end_target(ids)

    def _end_target(self, ids: list[int]) -> list[int]:
        return [*ids, self.target_vocabulary.ids[EOS]]

    def show_source(self, ids: Sequence[int]) -> str:
        """Return a sum such as `12+345`."""
        text = "".join(s for s in self.source_vocabulary.decode(ids) if s != PAD)
        return text[::-1] if self.config.reverse else text

    def show_target(self, ids: Sequence[int]) -> str:
        """Return an answer such as `357`; padding between digits, an error of the model, becomes a space."""
        symbols = self.target_vocabulary.decode(ids)
        symbols = symbols[: symbols.index(EOS)] if EOS in symbols else symbols
        text = "".join(" " if s in (PAD, BOS) else s for s in symbols).rstrip()
        return text[::-1] if self.config.reverse_answer else text

    def answer(self, source: str) -> str:
        """Return the right answer to a sum."""
        a, b = source.strip().split("+")
        return str(int(self._answers(np.array(int(a) + int(b)))))

    def groups(self, source: str) -> dict[str, list[int] | list[str]]:
        """Return the digits of the longer operand, and the number of carries."""
        return {kind: [value] for kind, value in groups_of(source).items()}


class PaddedAddition(Addition):
    """The addition task for a repeat-vector model, which writes answers of a fixed length, padding included."""

    def _make_target_vocabulary(self) -> Vocabulary:
        return self.source_vocabulary

    def _max_target_length(self) -> int:
        return self._max_answer_digits()

    def _end_targets(self, target: DigitWriter) -> NDArray[np.int32]:
        return np.full(len(target.ids), self.sizes.target_steps, np.int32)

    def _end_target(self, ids: list[int]) -> list[int]:
        return ids + [PAD_ID] * (self.sizes.target_steps - len(ids))


class LastDigit(PaddedAddition):
    """The addition task for a classifier, which answers with the last digit of the sum."""

    def _max_answer_digits(self) -> int:
        return 1

    def _answers(self, sums: Numbers) -> Numbers:
        return sums % 10


class DigitWriter:
    """Appends the digits of numbers to the rows of an array of ids, all rows at once.

    Attributes:
        ids: uint8 [rows, steps], padded with 0.
        lengths: int32 [rows].
    """

    def __init__(self, rows: int, steps: int) -> None:
        self.ids = np.zeros((rows, steps), np.uint8)
        self.lengths = np.zeros(rows, np.int32)

    def add_symbol(self, symbol: int) -> None:
        """Append the same symbol to every row."""
        self.ids[np.arange(len(self.ids)), self.lengths] = symbol
        self.lengths += 1

    def add_numbers(self, numbers: Numbers, zero: int, reverse: bool) -> None:
        """Append a number to every row.

        Args:
            numbers: int64 [rows], not negative.
            zero: The id of the digit 0; those of the other digits follow.
            reverse: Whether the last digit comes first.
        """
        width = np.ones(len(numbers), np.int32)
        while (longer := numbers >= 10 ** width.astype(np.int64)).any():
            width += longer
        for place in range(int(width.max(initial=0))):
            has = np.flatnonzero(place < width)
            digit = numbers[has] // 10**place % 10
            column = self.lengths[has] + (place if reverse else width[has] - 1 - place)
            self.ids[has, column] = zero + digit
        self.lengths += width


def draw_sums(digits: int, count: int, seed: int) -> tuple[Numbers, Numbers]:
    """Draw distinct sums; a+b and b+a count as one.

    Args:
        digits: Maximum number of digits of an operand.
        count: Number of sums, at most as many as exist.
        seed: Seed.

    Returns:
        The two operands, int64 [count] each.
    """
    rng = np.random.default_rng(seed)
    numbers = 10**digits
    if numbers * (numbers + 1) // 2 <= MAX_ENUMERATED:
        return _draw_weighted(rng, digits, count)
    keys = np.empty(0, np.int64)
    while len(keys) < count:
        a, b = _numbers(rng, digits, 2 * count), _numbers(rng, digits, 2 * count)
        keys = np.concatenate([keys, a * numbers + b])
        unordered = np.minimum(keys // numbers, keys % numbers) * numbers + np.maximum(
            keys // numbers, keys % numbers
        )
        keys = keys[np.sort(np.unique(unordered, return_index=True)[1])]
    return keys[:count] // numbers, keys[:count] % numbers


def _numbers(rng: np.random.Generator, digits: int, count: int) -> Numbers:
    return rng.integers(0, 10 ** rng.integers(1, digits + 1, count), dtype=np.int64)


def _draw_weighted(rng: np.random.Generator, digits: int, count: int) -> tuple[Numbers, Numbers]:
    """Draw without replacement, weighted, by exponential keys (Efraimidis & Spirakis 2006).

    The distribution is that of drawing one by one and skipping repetitions, in bounded time.
    """
    a, b = np.triu_indices(10**digits)
    weight = _weights(a, b, digits)
    keys = rng.exponential(size=len(a)) / weight
    chosen = np.argpartition(keys, count - 1)[:count]
    chosen = chosen[np.argsort(keys[chosen], kind="stable")]
    swap = rng.random(count) < 0.5
    return np.where(swap, b[chosen], a[chosen]), np.where(swap, a[chosen], b[chosen])


def _weights(a: Numbers, b: Numbers, digits: int) -> NDArray[np.float64]:
    """Return what the probabilities of sums are proportional to, in either order: `digits` squared times as much."""
    by_width = np.array([sum(10.0**-d for d in range(width, digits + 1)) for width in range(1, digits + 1)])
    powers = 10 ** np.arange(1, digits)
    first, second = (by_width[np.searchsorted(powers, numbers, side="right")] for numbers in (a, b))
    weights: NDArray[np.float64] = first * second * np.where(a == b, 1.0, 2.0)
    return weights


def count_times(a: Numbers, b: Numbers, digits: int, draws: int) -> NDArray[np.int32]:
    """Return how often an epoch shows sums: the square root of the expected number of times that each is drawn.

    It is the compromise of sampling with temperature 2 (Arivazhagan et al. 2019, "Massively Multilingual Neural
    Machine Translation in the Wild"): shown as often as drawn, a few short sums would crowd out the long ones.

    Args:
        a: First operands, int64 [sums].
        b: Second operands, int64 [sums].
        digits: Maximum number of digits of an operand.
        draws: Number of draws.

    Returns:
        int32 [sums], at least 1 each.
    """
    expected = draws * _weights(a, b, digits) / digits**2
    return np.maximum(1, np.rint(np.sqrt(expected))).astype(np.int32)


def repeat_sums(a: Numbers, b: Numbers, times: NDArray[np.int32]) -> tuple[Numbers, Numbers]:
    """Return sums once less than an epoch shows them, as one of the times is an example; each second one swapped.

    Args:
        a: First operands, int64 [sums].
        b: Second operands, int64 [sums].
        times: Number of times, int32 [sums].

    Returns:
        The operands, int64 [sum of times - 1] each.
    """
    rows = np.repeat(np.arange(len(a)), times - 1)
    first = np.cumsum(times - 1) - (times - 1)
    swapped = (np.arange(len(rows)) - first[rows]) % 2 == 0
    return np.where(swapped, b[rows], a[rows]), np.where(swapped, a[rows], b[rows])


def split_evenly(kinds: NDArray[np.integer], held_out: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Divide rows at random into training and held-out ones, so that each kind gives the same share of its rows.

    Args:
        kinds: The kind of each row, int [rows].
        held_out: Number of held-out rows.
        seed: Seed.

    Returns:
        The training rows and the held-out rows, int64.
    """
    shuffled = np.random.default_rng(seed).permutation(len(kinds))
    by_kind = shuffled[np.argsort(kinds[shuffled], kind="stable")]
    chosen = np.zeros(len(kinds), bool)
    chosen[by_kind[((np.arange(held_out) + 0.5) * len(kinds) / held_out).astype(np.int64)]] = True
    return shuffled[~chosen[shuffled]], shuffled[chosen[shuffled]]


def groups_of(source: str) -> dict[str, int]:
    """Return the digits of the longer operand of a sum, and the number of carries.

    Raises:
        DataError: The text is not a sum.
    """
    match = re.fullmatch(r"([0-9]{1,100})\+([0-9]{1,100})", source.strip())
    if not match:
        raise bad_line("not a sum of two numbers", source)
    a, b = match.groups()
    return {"digits": max(len(a), len(b)), "carries": count_carries(int(a), int(b))}


def count_carries(a: int, b: int) -> int:
    """Return the number of carries when a and b are added by hand."""
    carries = carry = 0
    while a or b:
        carry = (a % 10 + b % 10 + carry) // 10
        carries += carry
        a, b = a // 10, b // 10
    return carries
