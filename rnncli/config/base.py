"""What all sections of a config have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

Seed = Annotated[int, Field(ge=0, lt=2**31)]

FileName = Annotated[str, Field(min_length=1, max_length=4096)]
"""Of a file or a directory; messages show it whole, so it is no longer than Linux takes."""


def conflict(key: str, message: str) -> PydanticCustomError:
    """A rule between fields is broken; `key` is the field, below the model that checks, to blame."""
    return PydanticCustomError("conflict", "{reason}", {"key": key, "reason": message})


class Section(BaseModel):
    """A mapping of the config: unknown keys are refused, values are not coerced, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
