"""A run that is looked into. Imports no TensorFlow."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.config import name_of
from rnncli.data.parsing import check_text
from rnncli.data.task import WritesText, ids_to_write, show_target, symbols_to_write
from rnncli.data.vocabulary import BOS, EOS, EOS_ID, PAD, SPECIALS
from rnncli.errors import InputError
from rnncli.explore.held_out import HeldOutStates, source_symbols
from rnncli.explore.requests import AlikeRequest, PlaneRequest, TraceRequest, WriteRequest
from rnncli.inference.initial_states import num_rows
from rnncli.inference.numpy_network import NumpyNetwork, Trace
from rnncli.runs.directory import SavedRun
from rnncli.serve.requests import MAX_NUMBERS
from rnncli.serve.served_run import Work

DIGITS = 4
"""Decimals of states, gates and attention weights in answers."""


@dataclass(frozen=True)
class ExploredRun:
    """A run, ready to be looked into.

    Attributes:
        name: Its name in requests.
        saved: The run.

    Raises:
        InputError: It has no weights, or a cell that cannot be looked into.
    """

    name: str
    saved: SavedRun
    network: NumpyNetwork = field(init=False)

    def __post_init__(self) -> None:
        if self.saved.exported is not None:
            raise InputError(
                f"{self.saved.path}: an exported model has no weights to look at", "give its run directory"
            )
        network = NumpyNetwork(self.saved.config, self.saved.task.sizes, self.saved.weights)
        object.__setattr__(self, "network", network)

    def info(self) -> dict[str, Any]:
        """Return what the run is, without anything of the file system."""
        config, task, best = self.saved.config, self.saved.task, self.saved.checkpoint.best
        return {
            "task": config.task.type,
            "model": config.model.type,
            "cell": name_of(config.model.cell),
            "epoch": self.saved.checkpoint.epoch,
            "step": self.saved.checkpoint.step,
            "metrics": {k: v for k, v in best.items() if isinstance(v, int | float) and math.isfinite(v)},
            "predicts_symbol_by_symbol": config.is_autoregressive,
            "predicts_at_every_step": task.sizes.per_step,
            "writes_text": isinstance(task, WritesText),
            "units": self.network.units,
            "carried_rows": num_rows(self.saved.carried) if self.saved.carried else 0,
            "source_symbols": list(task.source_vocabulary.symbols),
            "target_symbols": list(task.target_vocabulary.symbols),
        }

    def trace(self, request: TraceRequest) -> Work:
        """Read a source, and return everything."""
        return Work.alone(lambda: self._trace(request))

    def _trace(self, request: TraceRequest) -> dict[str, Any]:
        task = self.saved.task
        check_text(request.source)
        if {PAD, BOS} & set(request.prefix):
            raise InputError(f"prefix: no model writes {PAD} or {BOS}")
        source = task.read_source(request.source)
        per_step = sum(self.network.units.values()) * 6  # with the gates of a cell that has most of them
        if (numbers := len(source) * per_step) > MAX_NUMBERS:
            raise InputError(
                f"the answer may have {numbers:,} numbers, more than {MAX_NUMBERS:,}", "ask for a shorter one"
            )
        symbols = symbols_to_write(task, request.source)
        found = self.network.read(
            source, ids_to_write(symbols, request.prefix), request.hold, self._start(request.row)
        )
        return {
            "run": self.name,
            "source": request.source,
            "source_symbols": source_symbols(task, source),
            "target_symbols": [symbols[each] for each in found.ids],
            "prediction": show_target(task, found.ids, request.source),
            "score": found.score,
            "answer": task.answer(request.source),
            "steps": self._steps(found, symbols, request.top),
            "attention": None if found.attention is None else np.round(found.attention, DIGITS),
            "arrays": {name: np.round(values, DIGITS) for name, values in found.arrays.items()},
        }

    def _start(self, row: int | None) -> dict[str, NDArray[np.float32]] | None:
        """Return the states of a row that training ended with, float32 [units] by name; None for zeros."""
        if row is None:
            return None
        carried = self.saved.carried
        if not carried:
            raise InputError("row: the run carries no states")
        if row >= (count := num_rows(carried)):
            raise InputError(f"row: {row} is none of the rows 0 to {count - 1} of carried states")
        return {name: np.asarray(values[row], np.float32) for name, values in carried.items()}

    def _steps(self, found: Trace, symbols: Sequence[str], top: int) -> list[dict[str, Any]]:
        """Return the symbols of each step, up to the end of the sequence if there is one."""
        vocabulary = self.saved.task.target_vocabulary
        ends = EOS in symbols and EOS_ID in found.ids
        count = found.ids.index(EOS_ID) + 1 if ends else len(found.ids)
        steps = []
        for at, row in enumerate(found.probabilities[:count]):
            likely = _by_symbol(row, symbols) if len(row) > len(vocabulary) else dict(zip(symbols, row, strict=True))
            best = heapq.nlargest(top, (each for each in likely if each not in (PAD, BOS)), key=likely.__getitem__)
            symbol = symbols[found.ids[at]]
            step: dict[str, Any] = {
                "symbol": symbol,
                "probability": float(likely[symbol]),
                "top": [{"symbol": each, "probability": float(likely[each])} for each in best],
            }
            if found.generates is not None:
                step["copies"] = 1 - found.generates[at]
            steps.append(step)
        return steps

    def alike(self, request: AlikeRequest) -> Work:
        """Find a unit, or a state, in held-out examples."""
        if request.unit is None and request.vector is None:
            raise InputError("unit, vector: neither is given", "give a unit, a state as vector, or both")

        def run() -> dict[str, Any]:
            held_out = self.held_out
            found: dict[str, Any] = {"run": self.name, "examples": held_out.count}
            if request.unit is not None:
                highest = held_out.highest(request.array, request.unit, request.count)
                found["highest"] = [each._asdict() for each in highest]
            if request.vector is not None:
                nearest = held_out.nearest(request.array, request.vector, request.count)
                found["nearest"] = [each._asdict() for each in nearest]
            return found

        return Work.alone(run)

    def plane(self, request: PlaneRequest) -> Work:
        """Show states among those of held-out examples, in the plane of their largest variance."""

        def run() -> dict[str, Any]:
            held_out = self.held_out
            return {"run": self.name, "examples": held_out.count, **held_out.plane(request.array, request.vectors)}

        return Work.alone(run)

    @cached_property
    def held_out(self) -> HeldOutStates:
        """The states on some held-out examples, which are read when they are first asked for."""
        return HeldOutStates.read(self.saved, self.network)

    def write(self, request: WriteRequest) -> Work:
        """Go on with a text."""
        task = self.saved.task
        if not isinstance(task, WritesText):
            raise InputError(
                f"only models of task: text write texts, and this is one of {self.saved.config.task.type}"
            )
        return Work.alone(lambda: self._write(request, task))

    def _write(self, request: WriteRequest, task: WritesText) -> dict[str, Any]:
        symbols = task.target_vocabulary.symbols
        possible = np.array([symbol not in SPECIALS for symbol in symbols])
        prime = task.read_prime(request.prime)
        ids, probabilities = self.network.write(
            prime,
            request.length,
            request.temperature,
            request.seed,
            possible,
            request.hold,
            self._start(request.row),
        )
        writer = task.writer()
        text = writer.write([symbols[each] for each in ids]) + writer.end()
        shown = [{"symbol": symbols[i], "probability": p} for i, p in zip(ids, probabilities, strict=True)]
        return {"run": self.name, "prime": request.prime, "text": text, "symbols": shown}


def _by_symbol(row: NDArray[np.float32], symbols: Sequence[str]) -> dict[str, float]:
    """Return the probability of each symbol, the sum over all places of the source that it can be copied from."""
    found: dict[str, float] = {}
    for symbol, probability in zip(symbols, row.tolist(), strict=True):
        found[symbol] = found.get(symbol, 0.0) + probability
    return found
