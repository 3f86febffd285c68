"""The kinds of ranges that a sweep takes the values of a config key from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnncli.config.yaml_reader import KeyPath, refuse

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

MAX_VALUES = 1000
"""Values of a list."""

Value = Any
"""The value of a config key, as YAML gives it."""


@dataclass(frozen=True)
class Choices:
    """One of some values, which may be of any kind.

    Attributes:
        values: The values.
    """

    values: tuple[Value, ...]

    @classmethod
    def read(cls, data: Any, place: str, path: KeyPath) -> Choices:
        """Check a list of values."""
        if not isinstance(data, list) or not data:
            refuse(place, path, "not a list of values", "write [a, b], {range: [a, b]} or {log: [a, b]}")
        if len(data) > MAX_VALUES:
            refuse(place, path, f"{len(data)} values; at most {MAX_VALUES}")
        shown = [json.dumps(value) for value in data]
        if twice := next((text for text in shown if shown.count(text) > 1), None):
            refuse(place, path, f"{twice} is given twice")
        return cls(tuple(data))

    @property
    def samples(self) -> tuple[Value, ...]:
        """Values to check before anything is trained: all."""
        return self.values

    def distribution(self) -> BaseDistribution:
        """Return Optuna's form, in which each value is its JSON."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution([self.suggested(value) for value in self.values])

    def suggest(self, trial: Trial, key: str) -> None:
        """Let a trial choose a value, if it has none yet."""
        trial.suggest_categorical(key, [self.suggested(value) for value in self.values])

    def suggested(self, value: Value) -> str:
        """Return Optuna's form of one of the values."""
        return json.dumps(value)

    def value(self, suggested: Any) -> Value:
        """Return the value that Optuna's form stands for."""
        return json.loads(suggested)

    def drawn(self, fraction: float) -> Any:
        """Return Optuna's form of the value at a fraction of the range, 0 to 1 without 1."""
        return self.suggested(self.values[int(fraction * len(self.values))])

    def data(self) -> Any:
        """Return what `read` reads."""
        return list(self.values)


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, which are included; whole numbers where both bounds are.

    Attributes:
        low: The smaller bound.
        high: The larger one.
        log: Whether numbers are as likely to be between 1 and 10 as between 10 and 100.
    """

    low: float
    high: float
    log: bool

    @classmethod
    def read(cls, data: Mapping[str, Any], place: str, path: KeyPath) -> Range:
        """Check `{range: [a, b]}` or `{log: [a, b]}`."""
        kind = next(iter(data), "")
        if len(data) != 1 or kind not in ("range", "log"):
            refuse(place, path, "not a range", "write {range: [a, b]}, {log: [a, b]}, or a list of values")
        bounds, log = data[kind], kind == "log"
        numbers = isinstance(bounds, list) and len(bounds) == 2
        if not numbers or any(isinstance(each, bool) or not isinstance(each, int | float) for each in bounds):
            refuse(place, (*path, kind), "not two numbers", f"write {{{kind}: [smallest, largest]}}")
        low, high = bounds
        if not low < high < float("inf"):
            refuse(place, (*path, kind), f"{low} is not below {high}", f"write {{{kind}: [smallest, largest]}}")
        if log and low <= 0:
            refuse(place, (*path, kind), f"{low} has no logarithm", "begin above 0, or use range")
        return cls(low, high, log)

    @property
    def whole(self) -> bool:
        """True if the values are whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def samples(self) -> tuple[Value, ...]:
        """Values to check before anything is trained: the bounds."""
        return self.low, self.high

    def distribution(self) -> BaseDistribution:
        """Return Optuna's form."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log)
        return FloatDistribution(float(self.low), float(self.high), log=self.log)

    def suggest(self, trial: Trial, key: str) -> None:
        """Let a trial choose a value, if it has none yet."""
        if self.whole:
            trial.suggest_int(key, int(self.low), int(self.high), log=self.log)
        else:
            trial.suggest_float(key, float(self.low), float(self.high), log=self.log)

    def value(self, suggested: Any) -> Value:
        """Return the value that Optuna's form stands for."""
        return suggested

    def drawn(self, fraction: float) -> Any:
        """Return the value at a fraction of the range, 0 to 1 without 1."""
        low, high = (self.low, self.high + 1) if self.whole else (self.low, self.high)
        number = low * (high / low) ** fraction if self.log else low + (high - low) * fraction
        return min(int(number), int(self.high)) if self.whole else min(max(float(number), self.low), self.high)

    def data(self) -> Any:
        """Return what `read` reads."""
        return {"log" if self.log else "range": [self.low, self.high]}


Parameter = Choices | Range


def read_parameter(data: Any, place: str, path: KeyPath) -> Parameter:
    """Return the range of a key.

    Raises:
        ConfigError: It is none.
    """
    return Range.read(data, place, path) if isinstance(data, dict) else Choices.read(data, place, path)
