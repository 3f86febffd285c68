"""The section of the task of text pairs."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from rnncli.config.base import FileName, Section, TaskSection, conflict

Column = Annotated[int, Field(ge=1, le=1000)]
Tokens = Literal["characters", "graphemes", "whitespace", "bytes"]


class Files(Section):
    """One file of lines with columns, or two files whose lines belong together; `.gz` and globs are read too."""

    file: FileName | None = Field(None, description="lines with columns between tabs; `train: FILE` stands for this")
    source: FileName | None = Field(None, description="a source a line, beside target")
    target: FileName | None = Field(None, description="the target of the source in the same line")

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, values: Any) -> Any:
        """`train: FILE` stands for `train: {file: FILE}`."""
        return {"file": values} if isinstance(values, str) else values

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.file is not None and (self.source is not None or self.target is not None):
            raise conflict("file", "has sources and targets in it; give file alone, or source and target")
        if (self.source is None) != (self.target is None):
            given, missing = ("target", "source") if self.source is None else ("source", "target")
            raise conflict(given, f"needs {missing} beside it")
        if self.file is None and self.source is None:
            raise conflict("file", "no file; give file, or source and target")
        return self

    @property
    def parallel(self) -> bool:
        """Whether sources and targets are in files of their own."""
        return self.file is None


class Columns(Section):
    """Which column of a line holds what; the first is 1."""

    source: Column = Field(1, description="column of the source; the first is 1")
    target: Column = Field(2, description="column of the target")
    features: Column | None = Field(None, description="column of tags with semicolons between them")
    count: Column | None = Field(None, description="columns of a line, where more are there than are read")

    @property
    def named(self) -> dict[str, int]:
        """What is read, with its column, from left to right."""
        columns = {"source": self.source, "target": self.target}
        if self.features is not None:
            columns["features"] = self.features
        return dict(sorted(columns.items(), key=lambda item: item[1]))

    @property
    def width(self) -> int:
        """How many columns a line has."""
        return self.count or max(self.named.values())

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        named = self.named
        if len(set(named.values())) < len(named):
            raise conflict("source", f"{_listed(named)}: each needs a column of its own")
        if self.count is not None and self.count < max(named.values()):
            raise conflict("count", f"must be at least {max(named.values())}, the last column that is read")
        return self


def _listed(named: dict[str, int]) -> str:
    return ", ".join(f"{name} in column {column}" for name, column in named.items())


class Tokenize(Section):
    """What a symbol is, on each side."""

    source: Tokens = Field(
        "characters", description="what a symbol of a source is; graphemes needs rnncli[graphemes]"
    )
    target: Tokens = Field("characters", description="what a symbol of a target is; `tokenize: X` sets both")

    @model_validator(mode="before")
    @classmethod
    def _both(cls, values: Any) -> Any:
        """`tokenize: characters` sets both sides."""
        return {"source": values, "target": values} if isinstance(values, str) else values


class PairsTask(TaskSection):
    """Pairs of texts, source and target, from files."""

    type: Literal["pairs"] = "pairs"
    train: Files
    validation: Files
    test: Files | None = None
    columns: Columns = Columns()
    features: Literal["none", "joined"] = Field(
        "none", description="joined: the tags in columns.features stand as whole symbols before the source"
    )
    tokenize: Tokenize = Tokenize()
    normalize: Literal["nfc", "nfd", "nfkc", "none"] = Field("nfc", description="Unicode normal form of all text")
    max_source_length: int = Field(100, ge=1, le=100_000, description="most symbols of a source, features included")
    max_target_length: int = Field(100, ge=1, le=100_000, description="most symbols of a target")
    too_long: Literal["error", "skip"] = Field("error", description="skip leaves longer examples out and counts them")
    min_frequency: int = Field(
        1, ge=1, description="symbols that training has less often become one, the unknown symbol"
    )
    vocabulary: FileName | None = Field(
        None,
        description="a run directory or its vocabulary.json whose symbols are used; null takes the training data's",
    )

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        files = [self.train, self.validation, *([self.test] if self.test else [])]
        if self.features == "joined" and self.columns.features is None:
            raise conflict("features", "joined needs the column that they stand in; give task.columns.features")
        if self.features == "none" and self.columns.features is not None:
            raise conflict("columns.features", "the model takes no features with task.features: none; use joined")
        if self.features == "joined" and any(each.parallel for each in files):
            raise conflict(
                "features", "joined needs files with columns, not sources and targets in files of their own"
            )
        if all(each.parallel for each in files) and self.columns != Columns():
            raise conflict("columns", "files of sources and files of targets have no columns; leave it out")
        if self.vocabulary is not None and self.min_frequency > 1:
            raise conflict("min_frequency", "does nothing with task.vocabulary, which has its symbols; leave one out")
        return self
