"""The section of the task `pairs`."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from rnncli.config.base import CacheLimit, DataPlace, FileName, Section, Seed, conflict
from rnncli.config.tables import TableTask

Column = Annotated[int, Field(ge=1, le=1000)]
Separator = Annotated[str, Field(pattern=r"^[^\t\r\n()\[\]{}]$")]
Tokens = Literal["characters", "graphemes", "whitespace", "bytes"]
USUAL_MAX_FEATURES, LARGEST_MAX_FEATURES = 16, 1000
"""The default of `max_features`, and the largest value that it may have."""
TOKENIZERS: tuple[str, ...] = get_args(Tokens)


class Files(Section):
    """One file of lines with columns, or two parallel files; `.gz` files and globs work too."""

    short_form: ClassVar[dict[str, object]] = {"type": "string", "minLength": 1}

    file: FileName | None = Field(None, description="file of tab-separated columns; `train: FILE` is short for this")
    source: FileName | None = Field(None, description="file of sources, one a line; needs target")
    target: FileName | None = Field(None, description="file of targets, parallel to source")

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, values: object) -> object:
        """Expand `train: FILE` to `train: {file: FILE}`."""
        return {"file": values} if isinstance(values, str) else values

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.file is not None and (self.source is not None or self.target is not None):
            raise conflict("file", "has sources and targets; give file alone, or source and target")
        if (self.source is None) != (self.target is None):
            given, missing = ("target", "source") if self.source is None else ("source", "target")
            raise conflict(given, f"needs {missing} too")
        if self.file is None and self.source is None:
            raise conflict("file", "no file; give file, or source and target")
        return self

    @property
    def parallel(self) -> bool:
        """Return True if sources and targets are in two parallel files."""
        return self.file is None


class Columns(Section):
    """The columns of a line, from 1."""

    source: Column = Field(1, description="column of the source, from 1")
    target: Column = Field(2, description="column of the target")
    features: Column | None = Field(None, description="column of features, see feature_separator")
    feature_separator: Separator = Field(
        ";",
        description="character between features, as in V;PST, or in pos=V,tense=PST; see feature_brackets",
    )
    count: Column | None = Field(None, description="number of columns, where lines have more than are read")

    @property
    def named(self) -> dict[str, int]:
        """Return the columns that are read, by name, from left to right."""
        columns = {"source": self.source, "target": self.target}
        if self.features is not None:
            columns["features"] = self.features
        return dict(sorted(columns.items(), key=lambda item: item[1]))

    @cached_property
    def width(self) -> int:
        """Return the number of columns of a line."""
        return self.count or max(self.named.values())

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        named = self.named
        if len(set(named.values())) < len(named):
            raise conflict("source", f"{_listed(named)}: each needs its own column")
        if self.count is not None and self.count < max(named.values()):
            raise conflict("count", f"must be at least {max(named.values())}, the last column that is read")
        if self.feature_separator != ";" and self.features is None:
            raise conflict("feature_separator", "has no effect without features; give the column of the features")
        return self


def _listed(named: dict[str, int]) -> str:
    return ", ".join(f"{name} in column {column}" for name, column in named.items())


class Tokenize(Section):
    """The tokenizer of each side."""

    short_form: ClassVar[dict[str, object]] = {"type": "string", "enum": list(TOKENIZERS)}

    source: Tokens = Field("characters", description="tokenizer of sources; graphemes needs the package regex")
    target: Tokens = Field("characters", description="tokenizer of targets; `tokenize: X` sets both")

    @model_validator(mode="before")
    @classmethod
    def _both(cls, values: object) -> object:
        """Expand `tokenize: characters` to both sides."""
        return {"source": values, "target": values} if isinstance(values, str) else values


class PairsTask(TableTask):
    """Pairs of texts, source and target, from files."""

    type: Literal["pairs"] = "pairs"
    train: Files
    validation: Files
    test: Files | None = None
    columns: Columns = Columns()
    features: Literal["none", "joined", "appended", "encoder"] = Field(
        "none",
        description="joined: prepend the features in columns.features to the source, one symbol each; appended: put "
        "them behind it; encoder: an encoder of their own reads them, in any order, and encoder and decoder read "
        "its vector at every step",
    )
    feature_brackets: Literal["whole", "split"] = Field(
        "whole",
        description="whole: nothing separates within brackets, so that N;ABL(PL;PSS(2,PL)) has two features; split: "
        "it has three, as up to version 0.2.0",
    )
    max_features: int = Field(
        USUAL_MAX_FEATURES,
        ge=1,
        le=LARGEST_MAX_FEATURES,
        description="maximum number of features of a source, for features: encoder",
    )
    tokenize: Tokenize = Tokenize()
    max_source_length: int = Field(
        100,
        ge=1,
        le=100_000,
        description="maximum length of a source in symbols, features included unless they have an encoder",
    )
    max_target_length: int = Field(100, ge=1, le=100_000, description="maximum length of a target in symbols")
    too_long: Literal["error", "skip"] = Field("error", description="skip drops longer examples and counts them")
    empty_target: Literal["error", "allow", "skip"] = Field(
        "error", description="allow trains on pairs whose target is empty; skip drops them and counts them"
    )
    min_frequency: int = Field(1, ge=1, description="rarer symbols become the unknown symbol")
    vocabulary: FileName | None = Field(
        None,
        description="run directory or vocabulary.json to take the vocabularies from; null takes the training data's",
    )
    shared_vocabulary: bool = Field(
        False, description="source and target have one vocabulary, with the symbols of both"
    )
    hallucinate: int = Field(
        0,
        ge=0,
        le=10_000_000,
        description="number of pairs to make up besides, from training pairs whose stems get random letters, "
        "for inflection with little data (Anastasopoulos & Neubig 2019)",
    )
    seed: Seed = Field(0, description="random seed of hallucinated pairs")
    data: DataPlace = "auto"
    cache_limit: CacheLimit = 50.0

    @property
    def leading_features(self) -> int:
        """See `TaskSection`."""
        return self.max_features if self.features == "encoder" else 0

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        files = [self.train, self.validation, *([self.test] if self.test else [])]
        read = self.features
        if read != "none" and self.columns.features is None:
            raise conflict("features", f"{read} needs the column of the features; give task.columns.features")
        if read == "none" and self.columns.features is not None:
            raise conflict("columns.features", "task.features: none reads no features; use joined, or leave it out")
        if read != "encoder" and self.max_features != USUAL_MAX_FEATURES:
            raise conflict("max_features", f"is for task.features: encoder, and it is {read}; leave it out")
        if read != "none" and any(each.parallel for each in files):
            raise conflict("features", f"{read} needs files with columns, not parallel files")
        if all(each.parallel for each in files) and self.columns != Columns():
            raise conflict("columns", "parallel files have no columns; leave it out")
        if self.hallucinate and self.data == "mapped":
            raise conflict("data", "mapped is for large data, and task.hallucinate for little; leave one out")
        if self.vocabulary is not None and self.min_frequency > 1:
            raise conflict("min_frequency", "has no effect with task.vocabulary; leave one out")
        return self

    @model_validator(mode="after")
    def _can_hallucinate(self) -> Self:
        if self.seed and not self.hallucinate:
            raise conflict("seed", "is that of task.hallucinate; give it too, or use training.seed for training")
        source, target = self.tokenize.source, self.tokenize.target
        if self.hallucinate and source != target:
            raise conflict("hallucinate", f"{source} and {target} share no stems; use one tokenizer on both sides")
        if self.hallucinate and source == "bytes":
            raise conflict("hallucinate", "bytes are parts of letters; use task.tokenize: characters")
        return self
