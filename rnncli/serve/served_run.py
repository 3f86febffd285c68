"""A run that a server answers with. Imports no TensorFlow; what needs the model itself does so where it is used."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncli.config import NextStepModel, name_of
from rnncli.data.parsing import read_sources
from rnncli.data.task import WritesText, ids_to_write, line_of, symbols_to_write
from rnncli.data.vocabulary import BOS_ID, Vocabulary
from rnncli.errors import InputError, RunFailedError
from rnncli.inference.batching import padded_lengths
from rnncli.inference.decoding import GREEDY, States
from rnncli.inference.decoding_options import DecodingOptions
from rnncli.inference.generation_options import GenerationOptions
from rnncli.inference.prediction import Prediction, Predictor
from rnncli.runs.directory import SavedRun
from rnncli.serve.requests import (
    MAX_DECODED,
    MAX_NUMBERS,
    EncodeRequest,
    GenerateRequest,
    PredictRequest,
    StatesRequest,
    StepRequest,
)
from rnncli.states.named_arrays import ArraySpec, check_arrays

if TYPE_CHECKING:
    from rnncli.inference.predictor import TrainedRun
    from rnncli.inference.state_export import Exporter
    from rnncli.inference.stepper import Stepper

NEEDS_TENSORFLOW = "serve the run directory with --backend tensorflow"
Numbers = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Work:
    """The computation of an answer.

    Attributes:
        items: What it is computed from, in parts such as sources.
        run: Returns a result for each item; it is called in the thread that computes.
        finish: Makes the answer of the results.
        key: Works of equal keys, other than None, may run together: their items are then given to one of them.
    """

    items: Sequence[Any]
    run: Callable[[Sequence[Any]], Sequence[Any]]
    finish: Callable[[Sequence[Any]], dict[str, Any]]
    key: Hashable = None

    @classmethod
    def alone(cls, run: Callable[[], dict[str, Any]]) -> Work:
        """Return work that does not run with other work."""
        return cls([None], lambda _items: [run()], lambda results: dict(results[0]))


class Facts(NamedTuple):
    """Sizes of a run that limits follow from.

    Attributes:
        source_steps: The most steps of a source.
        target_steps: The most symbols of a prediction by default.
    """

    source_steps: int
    target_steps: int


@dataclass(frozen=True)
class ServedRun:
    """A run, ready to answer. Its methods take a request and return the work, after checks that take no time.

    Attributes:
        name: Its name in requests.
        saved: The run as it was read, without its weights.
        predictor: Predicts with it.
        backend: The name of the backend.
        facts: See the class.
    """

    name: str
    saved: SavedRun
    predictor: Predictor
    backend: str
    facts: Facts = field(init=False)

    def __post_init__(self) -> None:
        steps = self.predictor.decoder.max_length(GREEDY)
        object.__setattr__(self, "facts", Facts(self.predictor.task.sizes.source_steps, steps))

    def info(self) -> dict[str, Any]:
        """Return what the run is, without anything of the file system."""
        config, task, decoder = self.saved.config, self.predictor.task, self.predictor.decoder
        return {
            "task": config.task.type,
            "model": config.model.type,
            "cell": name_of(config.model.cell),
            "backend": self.backend,
            "epoch": self.saved.checkpoint.epoch,
            "step": self.saved.checkpoint.step,
            "metrics": {name: value for name, value in self.saved.checkpoint.best.items() if _is_finite(value)},
            "kernels": self.predictor.kernels,
            "attention": self.predictor.attends,
            "predicts_symbol_by_symbol": self.predictor.is_autoregressive,
            "writes_text": self._writes_text,
            "features": task.sizes.features,
            "max_source_steps": self.facts.source_steps - task.sizes.tags,
            "max_target_steps": self.facts.target_steps,
            "states": {name: list(shape) for name, shape in decoder.state_spec.items()},
            "source_symbols": list(task.source_vocabulary.symbols),
            "target_symbols": list(task.target_vocabulary.symbols),
        }

    def warm_up(self) -> None:
        """Predict once for each length that sources are padded to, so that no request waits for a compilation."""
        sizes, decoder = self.predictor.task.sizes, self.predictor.decoder
        steps = padded_lengths(sizes.source_steps, sizes.tags).tolist()
        shape: tuple[int, ...] = () if sizes.features is None else (sizes.features,)
        for length in steps:
            source = np.zeros((1, length, *shape), np.int32 if sizes.features is None else np.float32)
            lengths = np.array([length], np.int32)
            if self.predictor.first_states:
                rows = {name: value[:1] for name, value in self.predictor.first_states.items()}
                decoder(source, lengths, rows)
            else:
                decoder(source, lengths)

    def predict(self, request: PredictRequest) -> Work:
        """Predict as `rnncli predict` does."""
        options = DecodingOptions(**{name: getattr(request, name) for name in DecodingOptions.__dataclass_fields__})
        options.check(self.saved.config.model)
        if request.attention and not self.predictor.attends:
            raise InputError("attention: the model has none")
        self._check_size(request, options)
        if request.states is not None or request.return_states or self.predictor.first_states:
            if options != GREEDY or request.attention:
                raise InputError("states: only greedy decoding without attention works with states")
            return Work.alone(lambda: self._predict_with_states(request))

        def run(sources: Sequence[str]) -> list[Prediction]:
            return self.predictor.predict(sources, options, attention=request.attention)

        def finish(predictions: Sequence[Prediction]) -> dict[str, Any]:
            return {"run": self.name, "predictions": [_shown(each, options) for each in predictions]}

        # samples depend on the place of a source among those that are predicted together
        key = None if options.sample else ("predict", self.name, options, request.attention)
        return Work(request.sources, run, finish, key)

    def _check_size(self, request: PredictRequest, options: DecodingOptions) -> None:
        sources, steps = len(request.sources), self.predictor.decoder.max_length(options)
        if (decoded := sources * options.width * steps) > MAX_DECODED:
            raise InputError(
                f"{sources} sources x {options.width} hypotheses x {steps} symbols are {decoded:,} steps, "
                f"more than {MAX_DECODED:,}",
                "send fewer sources, or a smaller beam or max_length",
            )
        if request.attention:
            _check_numbers(sources * steps * self.facts.source_steps)

    def _predict_with_states(self, request: PredictRequest) -> dict[str, Any]:
        predictor = self.predictor
        if request.states is None and predictor.first_states:
            answers = list(predictor.predict_carrying(request.sources, "sources", predictor.first_states))
            predictions, states = [each for batch, _ in answers for each in batch], answers[-1][1]
        else:
            initial = None
            if request.states is not None:
                initial = _arrays(request.states, predictor.decoder.state_spec, len(request.sources))
            with _blaming(initial):
                predictions, states = predictor.predict_from(request.sources, "sources", 1, initial)
        shown = [_shown(each, GREEDY) for each in predictions]
        return {"run": self.name, "predictions": shown, "states": states}

    def encode(self, request: EncodeRequest) -> Work:
        """Read sources to the end."""
        _check_numbers(len(request.sources) * _numbers(self.predictor.decoder.state_spec))
        return Work.alone(
            lambda: {"run": self.name, "states": self.predictor.final_states(request.sources, "sources")}
        )

    def step(self, request: StepRequest) -> Work:
        """Read a time step."""
        given = [name for name in ("symbols", "ids", "numbers") if getattr(request, name) is not None]
        if len(given) > 1:
            raise InputError(f"{given[0]} and {given[1]} exclude each other")
        if not given and (not self.predictor.is_autoregressive or (request.states or request.sources) is None):
            raise InputError("a step needs symbols, ids or numbers")
        step = self._decode_step if self.predictor.is_autoregressive else self._read_step
        return Work.alone(lambda: step(request))

    def _decode_step(self, request: StepRequest) -> dict[str, Any]:
        """Read the last symbols of targets."""
        decoder, spec, source, lengths = self.predictor.decoder, self.predictor.decoder.state_spec, None, None
        states = None
        if request.states is not None:
            rows = len(next(iter(request.states.values()), []))
            states = _arrays(request.states, spec, rows)
        else:
            rows = len(request.sources or request.symbols or request.ids or ())
        if request.sources is not None:
            source, lengths = read_sources(self.predictor.task, request.sources, "sources")
        if request.sources is None and (states is None or self._steps_read_sources):
            reader = "attention" if self.predictor.attends else "every step"
            why = f"{reader} reads them" if self._steps_read_sources else "or states of /api/encode"
            raise InputError("sources: none given", f"give the source of each row: {why}")
        if request.numbers is not None:
            raise InputError("numbers: the model writes symbols", "give symbols or ids")
        _check_numbers(rows * self.predictor.task.sizes.target_symbols)
        named = self._named(request.sources) if self.saved.config.model.copies_source else None
        ids = self._ids(request, self.predictor.task.target_vocabulary, named)
        ids = np.full(rows, BOS_ID, np.int32) if ids is None else ids
        if len(ids) != rows or (request.sources is not None and len(request.sources) != rows):
            raise InputError(f"{len(ids)} symbols for {rows} rows, and {len(request.sources or ())} sources")
        if states is None:
            assert source is not None, "as was checked"
            assert lengths is not None, "as was checked"
            states = decoder.encode(source, lengths)
        if not self._steps_read_sources:
            source = lengths = None
        return self._next(*decoder.step(ids, states, source, lengths), named)

    @property
    def _steps_read_sources(self) -> bool:
        """Return True if a step reads more than the states before it: by attention, or features."""
        return self.predictor.attends or self.predictor.task.sizes.tags > 0

    def _named(self, sources: Sequence[str] | None) -> list[Sequence[str]]:
        """Return the symbol of each id that a model which copies can write, for each source."""
        return [symbols_to_write(self.predictor.task, source) for source in sources or ()]

    def _read_step(self, request: StepRequest) -> dict[str, Any]:
        """Read a step of sources."""
        if self.stepper is not None:
            inputs: Any = request.symbols or request.ids
            if request.numbers is not None:
                inputs = _array(request.numbers, "numbers")
            found, states = self.stepper.step_from(inputs, request.states)
            return self._next(found.logits, states) | {"outputs": found.outputs}
        model = self.saved.config.model
        if not isinstance(model, NextStepModel):
            raise InputError(f"exported graphs of model {model.type} read whole sources", NEEDS_TENSORFLOW)
        ids = self._ids(request, self.predictor.task.source_vocabulary)
        if ids is None:
            raise InputError("numbers: the model reads symbols", "give symbols or ids")
        spec = self.predictor.decoder.state_spec
        zeros = {name: np.zeros((len(ids), *shape), np.float32) for name, shape in spec.items()}
        before = zeros if request.states is None else _arrays(request.states, spec, len(ids))
        return self._next(*self.predictor.decoder.step(ids, before, None, None))

    def _ids(
        self, request: StepRequest, vocabulary: Vocabulary, named: Sequence[Sequence[str]] | None = None
    ) -> NDArray[np.int32] | None:
        if request.symbols is not None and named is not None:
            rows = zip(named, request.symbols, strict=False)  # their numbers are compared later
            return np.array([ids_to_write(symbols, [symbol])[0] for symbols, symbol in rows], np.int32)
        if request.symbols is not None:
            return np.array(vocabulary.encode(request.symbols), np.int32)
        if request.ids is None:
            return None
        if not 0 <= min(request.ids) <= max(request.ids) < len(vocabulary):
            raise InputError(f"ids: must be from 0 to {len(vocabulary) - 1}")
        return np.array(request.ids, np.int32)

    def _next(
        self,
        logits: NDArray[np.float32] | None,
        states: States,
        named: Sequence[Sequence[str]] | None = None,
    ) -> dict[str, Any]:
        found: dict[str, Any] = {"run": self.name, "states": states}
        if logits is not None:
            odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
            found["probabilities"] = odds / odds.sum(axis=-1, keepdims=True)
            best = logits.argmax(axis=-1).tolist()
            symbols = [self.predictor.task.target_vocabulary.symbols] * len(best) if named is None else named
            found["symbols"] = [row[index] for row, index in zip(symbols, best, strict=True)]
        if not all(np.isfinite(each).all() for each in (*states.values(), found.get("probabilities", np.zeros(1)))):
            raise InputError("states: too large; the states after the step are not finite")
        return found

    def states(self, request: StatesRequest) -> Work:
        """Return all states after every step."""
        self._trained("states are computed")
        if request.targets is not None and len(request.targets) != len(request.sources):
            raise InputError(f"{len(request.targets)} targets for {len(request.sources)} sources")
        return Work.alone(lambda: {"run": self.name, "examples": self._trace(request)})

    def _trace(self, request: StatesRequest) -> list[dict[str, Any]]:
        from rnncli.inference.state_export import Selection

        exporter, task = copy(self._exporter), self.predictor.task
        _check_numbers(len(request.sources) * _numbers(exporter.spec))
        exporter.teacher_forced = request.targets is not None
        chosen = Selection(tuple(request.layers), tuple(request.which))
        exporter.check(chosen)
        lines = [line_of(task, source) for source in request.sources]
        if request.targets is not None:
            lines = [f"{line}\t{line_of(task, each)}" for line, each in zip(lines, request.targets, strict=True)]
        found: list[dict[str, Any]] = []
        for batch in exporter.batches(lines, "sources"):
            for row in range(len(batch)):
                sides = {"source": batch.source_tokens[row], "target": batch.target_tokens[row]}
                arrays = {
                    name: value[row] if "/final/" in name else value[row, : len(sides[_side(name)])]
                    for name, value in batch.arrays.items()
                    if chosen.includes(name)
                }
                found.append(
                    {
                        "source": batch.sources[row],
                        "prediction": batch.predictions[row],
                        "source_symbols": sides["source"],
                        "target_symbols": sides["target"],
                        "arrays": arrays,
                    }
                )
        return found

    def generate(self, request: GenerateRequest) -> Work:
        """Write text."""
        trained = self._trained("texts are written")
        if not self._writes_text:
            raise InputError(
                f"only models of task: text write texts, and this is one of {self.saved.config.task.type}"
            )
        options = GenerationOptions(
            request.length, request.temperature, request.top_k, request.top_p, request.seed, request.stop
        )

        def run() -> dict[str, Any]:
            from rnncli.inference.generation import TextStream

            stream = TextStream(trained.generator, [request.prime], options)
            for _ in stream:
                pass
            return {"run": self.name, "prime": request.prime, "text": stream.texts[0]}

        return Work.alone(run)

    @property
    def _writes_text(self) -> bool:
        return isinstance(self.predictor.task, WritesText)

    def _trained(self, what: str) -> TrainedRun:
        """Return the model in TensorFlow.

        Raises:
            InputError: It is not there.
        """
        if self.backend != "tensorflow":
            raise InputError(f"{what} by TensorFlow, and the backend is {self.backend}", NEEDS_TENSORFLOW)
        from rnncli.inference.predictor import TrainedRun

        assert isinstance(self.predictor, TrainedRun)
        return self.predictor

    @cached_property
    def stepper(self) -> Stepper | None:
        """Reads sources step by step; None without TensorFlow."""
        if self.backend != "tensorflow":
            return None
        from rnncli.inference.stepper import Stepper

        trained = self._trained("sources are read step by step")
        numbers = trained.task.sizes.features is not None
        return Stepper(
            trained.model, None if numbers else trained.task.source_vocabulary, 1, trained.decoder.runtime.device
        )

    @cached_property
    def _exporter(self) -> Exporter:
        trained = self._trained("states are computed")
        from rnncli.inference.state_export import Exporter, all_states

        return Exporter(trained, all_states(trained.model), teacher_forced=False)


def _shown(prediction: Prediction, options: DecodingOptions) -> dict[str, Any]:
    """Return a prediction as JSON has it, without what is empty."""
    found: dict[str, Any] = {
        "source": prediction.source,
        "prediction": prediction.text,
        "score": prediction.score,
        "probabilities": prediction.probabilities,
        "unknown": list(prediction.unknown),
        "error": prediction.error,
        "hint": prediction.hint,
    }
    if options.n_best > 1:
        found["hypotheses"] = [{"prediction": each.text, "score": each.score} for each in prediction.hypotheses]
    if prediction.attention is not None:
        found["attention"] = prediction.attention._asdict()
    always = ("source", "prediction", "score")
    return {name: value for name, value in found.items() if value or name in always}


def _side(name: str) -> str:
    """Return whose symbols the steps of an array are; see `rnncli.states.batch`."""
    return "target" if name.startswith("decoder/") else "source"


def _numbers(spec: Mapping[str, Sequence[int]]) -> int:
    return sum(math.prod(shape) for shape in spec.values())


def _check_numbers(count: int) -> None:
    if count > MAX_NUMBERS:
        raise InputError(f"the answer may have {count:,} numbers, more than {MAX_NUMBERS:,}", "send fewer sources")


def _array(values: object, place: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what is not finite is refused by name
        try:
            return np.array(values, np.float64).astype(np.float32)
        except ValueError:
            raise InputError(f"{place}: rows of different lengths") from None


def _arrays(states: Mapping[str, object], spec: Mapping[str, tuple[int, ...]], rows: int) -> States:
    """Return states as arrays, float32 [rows, units] each.

    Raises:
        InputError: They do not fit.
    """
    arrays = {name: _array(value, f"states: {name}") for name, value in states.items()}
    check_arrays(arrays, {name: ArraySpec((rows, *shape)) for name, shape in spec.items()}, "states")
    return arrays


@contextmanager
def _blaming(states: States | None) -> Iterator[None]:
    """Blame states of a request, if there are any, for predictions that are not finite."""
    try:
        yield
    except RunFailedError as error:
        if states is None:
            raise
        raise InputError(f"states: {error.message}", "send smaller states") from error


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
