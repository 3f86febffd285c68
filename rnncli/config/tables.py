"""The keys of tasks whose files have columns."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rnncli.config.base import TaskSection

NormalForm = Literal["nfc", "nfd", "nfkc", "none"]


class TableTask(TaskSection):
    """The section of a task that reads files with columns."""

    format: Literal["tsv", "csv"] = Field(
        "tsv",
        description="csv: cells are separated by commas, semicolons or tabs, and may be in quotes; "
        "tsv: cells are separated by tabs, and quotes are text",
    )
    header: Literal["auto", True, False] = Field(
        "auto",
        description="whether line 1 of each file has the names of the columns, and is left out; "
        "auto leaves it out where it looks like names, and says so",
    )
    ragged_rows: Literal["error", "skip"] = Field(
        "error", description="skip drops lines with another number of columns and counts them"
    )
    normalize: NormalForm = Field("nfc", description="Unicode normalization of all text")
