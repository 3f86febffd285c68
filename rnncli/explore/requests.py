"""The requests of the page, and the answers to them; see `rnncli.serve.requests`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, Strict

from rnncli.serve.requests import Body

MAX_WRITTEN = 2000
"""Symbols of a text that is written."""
MAX_PRIME = 10_000
"""Characters of a text to go on from."""
MAX_HELD = 1e3
"""Largest value at which a unit is held."""
MAX_TOP = 50
"""Symbols of a step whose probability is told."""

Row = Annotated[
    Annotated[int, Field(ge=0)] | None,
    Field(
        description="Row of the states that training of a stateful model ended with, to start from; null is zeros."
    ),
]

Held = Annotated[
    dict[str, dict[Annotated[int, Strict(False)], Annotated[float, Field(ge=-MAX_HELD, le=MAX_HELD)]]],
    Field(description="Values of units after every step, by state, such as encoder/0/forward/h, and by unit."),
]


class TraceRequest(Body):
    """A source to look at while the model reads it, and writes."""

    source: str
    prefix: list[str] = Field([], description="Symbols that an encoder-decoder is made to write first.")
    hold: Held = Field({})
    row: Row = None
    top: int = Field(8, ge=1, le=MAX_TOP, description="Symbols of each step whose probability is told.")


class WriteRequest(Body):
    """A text for a language model to go on from."""

    prime: str = Field(min_length=1, max_length=MAX_PRIME)
    length: int = Field(200, ge=1, le=MAX_WRITTEN)
    temperature: float = Field(1.0, ge=0, le=100, description="0 always writes the most probable symbol.")
    seed: int = Field(0, ge=0, lt=2**32)
    hold: Held = Field({})
    row: Row = None


class AlikeRequest(Body):
    """A unit or a state to find in held-out examples."""

    array: str = Field(description="Name of a state or gate, such as encoder/0/forward/h.")
    unit: int | None = Field(None, description="Find the steps at which this unit is highest.")
    vector: list[float] | None = Field(
        None, max_length=2**15, description="Find the steps that are most like this state."
    )
    count: int = Field(8, ge=1, le=MAX_TOP, description="Steps to return of each.")


class PlaneRequest(Body):
    """States to show in the plane of largest variance of the held-out ones."""

    array: str = Field(description="Name of a state or gate, such as encoder/0/forward/h.")
    vectors: list[list[float]] = Field(description="States of this array, [steps][units].")


class Symbol(BaseModel):
    """A symbol and its probability."""

    symbol: str
    probability: float


class Step(BaseModel):
    """A step at which a symbol is predicted."""

    symbol: str
    probability: float
    top: list[Symbol] = Field(description="The most probable symbols, best first.")
    copies: float | None = Field(None, description="Probability to copy from the source, of a model that copies.")


class TraceAnswer(BaseModel):
    """Everything that the model did."""

    run: str
    source: str
    source_symbols: list[str]
    target_symbols: list[str]
    prediction: str
    score: float = Field(description="Sum of the natural-log probabilities of the symbols.")
    answer: str | None = Field(None, description="The right target, where the task can compute it.")
    steps: list[Step]
    attention: list[list[float]] | None = Field(None, description="[target symbols][source symbols].")
    arrays: dict[str, list[Any]] = Field(
        description="States and gates, [steps][units]; those of a decoder have target steps, all others source steps."
    )


class ContextAnswer(BaseModel):
    """A step of a held-out example."""

    symbols: list[str]
    step: int
    value: float = Field(description="The unit's value, or the cosine of both states.")


class AlikeAnswer(BaseModel):
    """Steps of held-out examples that were found."""

    run: str
    examples: int = Field(description="Held-out examples that were searched.")
    highest: list[ContextAnswer] = []
    nearest: list[ContextAnswer] = []


class PlacedAnswer(BaseModel):
    """A step of a held-out example in the plane."""

    symbols: list[str]
    step: int
    point: list[float] = Field(description="Its two coordinates.")


class PlaneAnswer(BaseModel):
    """States in the plane of the two directions of largest variance."""

    run: str
    examples: int = Field(description="Held-out examples whose states determine the plane.")
    variances: list[float] = Field(description="Fraction of the variance along each direction.")
    points: list[list[float]] = Field(description="The two coordinates of each given state.")
    others: list[PlacedAnswer] = Field(description="Some of the held-out steps, to compare with.")


class WriteAnswer(BaseModel):
    """The text, and the probability of each symbol that was written."""

    run: str
    prime: str
    text: str
    symbols: list[Symbol]
