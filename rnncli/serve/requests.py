"""The bodies of requests, which are JSON, and of answers. The OpenAPI description is made of these classes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rnncli.errors import InputError
from rnncli.text import quote, shorten, similar_name

MAX_SOURCES = 1000
"""Sources of a request."""
MAX_DECODED = 2**20
"""Steps that a request may decode: its sources times the width of the beam times the length of a prediction."""
MAX_NUMBERS = 2**21
"""Numbers of an answer, such as attention weights."""
MAX_GENERATED = 4096
"""Symbols of all texts that a request may write."""
MAX_SHOWN = 5
"""Problems of a body that an answer lists."""

Sources = Annotated[list[str], Field(min_length=1, max_length=MAX_SOURCES)]
States = Annotated[
    dict[str, list[list[float]]],
    Field(description="States by name, a row each: numbers [rows][units]; names and units are in /api/info."),
]


class Body(BaseModel):
    """A request; keys that it does not have are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    run: str | None = Field(None, description="Name of a run in /api/info; the first one by default.")


class PredictRequest(Body):
    """Sources to predict the targets of, with the options of `rnncli predict`."""

    sources: Sources
    beam: int = Field(1, description="Width of the beam; 1 is greedy decoding.")
    n_best: int = Field(1, description="Hypotheses of each source.")
    length_penalty: float = Field(0.0, description="Exponent of the length penalty of beam search.")
    max_length: int | None = Field(None, description="Symbols of a prediction at most.")
    sample: bool = Field(False, description="Sample instead of decoding greedily.")
    temperature: float = Field(1.0, description="Softmax temperature of sampling.")
    seed: int = Field(0, description="Random seed of sampling.")
    top_k: int | None = Field(None, description="Sample from so many most probable symbols.")
    top_p: float | None = Field(None, description="Sample from the most probable symbols of this probability.")
    attention: bool = Field(False, description="Add the attention weights; of models with attention.")
    states: States | None = Field(None, description="States to start from, a row for each source; greedy only.")
    return_states: bool = Field(False, description="Add the final states; greedy only.")


class EncodeRequest(Body):
    """Sources to read."""

    sources: Sources


class StepRequest(Body):
    """A time step, in one row or more.

    A model that predicts symbol by symbol reads the last symbols of the targets, by default the begin of a sequence,
    and tells what comes next. The others read a step of the sources. Give `symbols`, `ids` or `numbers`.
    """

    symbols: list[str] | None = Field(
        None, min_length=1, max_length=MAX_SOURCES, description="A symbol for each row."
    )
    ids: list[int] | None = Field(None, min_length=1, max_length=MAX_SOURCES, description="Ids of symbols instead.")
    numbers: list[list[float]] | None = Field(
        None, min_length=1, max_length=MAX_SOURCES, description="A vector for each row, where steps are numbers."
    )
    states: States | None = Field(None, description="States before the step; by default those of a new sequence.")
    sources: Sources | None = Field(
        None,
        description="The source of each row: of models with attention or an encoder of features, or in place of "
        "states of /api/encode.",
    )


class StatesRequest(Body):
    """Sources, or sources and targets, to return every state after every step of."""

    sources: Sources
    targets: list[str] | None = Field(None, description="Targets that the decoder reads (teacher forcing).")
    layers: list[str] = Field([], description="Layers, such as encoder/0; by default all.")
    which: list[str] = Field([], description="Names such as h, c, output, final; by default all but output.")


class GenerateRequest(Body):
    """A text for a language model to go on from, with the options of `rnncli generate`."""

    prime: str = Field("\n", description="The text to go on from.")
    length: int = Field(200, ge=1, le=MAX_GENERATED, description="Symbols to write.")
    temperature: float = Field(1.0, ge=0, description="Softmax temperature; 0 is greedy.")
    seed: int = Field(0, description="Random seed.")
    top_k: int | None = Field(None, description="Sample from so many most probable symbols.")
    top_p: float | None = Field(None, description="Sample from the most probable symbols of this probability.")
    stop: str | None = Field(None, description="End after this text.")


class Hypothesis(BaseModel):
    """One of several predictions."""

    prediction: str
    score: float


class Attention(BaseModel):
    """Attention weights; each row sums to 1."""

    weights: list[list[float]] = Field(description="[target symbols][source symbols].")
    source: list[str]
    target: list[str]


class Prediction(BaseModel):
    """The prediction for a source; an invalid source has `error` and no score."""

    source: str
    prediction: str
    score: float | None = Field(description="Sum of the natural-log probabilities of its symbols.")
    hypotheses: list[Hypothesis] = []
    probabilities: dict[str, float] = {}
    attention: Attention | None = None
    unknown: list[str] = Field([], description="Symbols that training did not have.")
    error: str = ""
    hint: str = ""


class PredictAnswer(BaseModel):
    """Predictions, one for each source."""

    run: str
    predictions: list[Prediction]
    states: States = {}


class EncodeAnswer(BaseModel):
    """The states after reading the sources: those that the decoder starts from, if there is one."""

    run: str
    states: States


class StepAnswer(BaseModel):
    """The result of a step."""

    run: str
    states: States
    probabilities: list[list[float]] = Field([], description="Of each target symbol, [rows][symbols].")
    symbols: list[str] = Field([], description="The most probable next symbol of each row.")
    outputs: list[list[float]] = Field([], description="Of the last layer, where the model reads a source.")


class TracedExample(BaseModel):
    """All states of an example."""

    source: str
    prediction: str
    source_symbols: list[str]
    target_symbols: list[str]
    arrays: dict[str, list[Any]] = Field(description="[steps][units] by name; final states are [units].")


class StatesAnswer(BaseModel):
    """All states of the examples."""

    run: str
    examples: list[TracedExample]


class GenerateAnswer(BaseModel):
    """The text that was written."""

    run: str
    prime: str
    text: str


class Problem(BaseModel):
    """An error."""

    error: str
    hint: str = ""


def parse_body(kind: type[Body], values: object) -> Body:
    """Return a checked request.

    Raises:
        InputError: It is not such a request.
    """
    if not isinstance(values, dict):
        raise InputError("the body is not a JSON object", f"send {{...}} with {', '.join(kind.model_fields)}")
    if unknown := [name for name in values if name not in kind.model_fields]:
        similar = similar_name(unknown[0], kind.model_fields)
        known = ", ".join(kind.model_fields)
        raise InputError(
            f"{quote(unknown[0])} is not a key", f"did you mean {similar}?" if similar else f"the keys are {known}"
        )
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        shown = [f"{_place(each['loc'])}: {_lower(each['msg'])}" for each in problems[:MAX_SHOWN]]
        more = f"; and {len(problems) - MAX_SHOWN} more" if len(problems) > MAX_SHOWN else ""
        raise InputError("; ".join(shown) + more, "/api/openapi.json describes the requests") from None


def _place(keys: tuple[int | str, ...]) -> str:
    return ".".join(shorten(str(key)) for key in keys)


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]
