"""The base class of writers: check batches, pass them to the format, and write a manifest at the end."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rnncli._version import __version__
from rnncli.errors import explain_os_errors
from rnncli.states.batch import Spec, StateBatch, as_vectors, prepare_batch


@dataclass(frozen=True)
class ExportPlan:
    """The properties of an export.

    Attributes:
        path: Final path, for messages.
        format: Name of the format.
        manifest: Description of the run; JSON values.
        spec: Shape of each array without the examples.
        dtype: float32 or float16.
        embeddings: Final states that the projector shows; None leaves the choice to it.
    """

    path: Path
    format: str
    manifest: Mapping[str, Any]
    spec: Spec
    dtype: np.dtype[Any]
    embeddings: Sequence[str] | None = None


def format_manifest(plan: ExportPlan, examples: int, kept: Spec, **more: Any) -> str:
    """Return the manifest of a file as JSON.

    Args:
        plan: The properties of the export.
        examples: Number of examples.
        kept: Shapes of the arrays in the file, without the examples.
        more: Entries of this format alone.
    """
    return json.dumps(
        {
            **plan.manifest,
            "format": plan.format,
            "dtype": plan.dtype.name,
            "rnncli": __version__,
            "examples": examples,
            "arrays": {name: [examples, *shape] for name, shape in kept.items()},
            **more,
        },
        ensure_ascii=False,
        allow_nan=False,
    )


class StateWriter(ABC):
    """Writes batches of states; made by `open_writer`.

    Attributes:
        count: Number of examples written so far.
        kept: Arrays that the format stores, by name, with their shapes without the examples.
        vectors: Whether the format stores each state as a vector, whatever its shape.
    """

    vectors = False

    def __init__(self, output: Path, plan: ExportPlan, kept: Spec | None = None) -> None:
        self.output = output
        self.plan = plan
        self._given = dict(plan.spec if kept is None else kept)
        self.kept = {k: as_vectors(k, v) for k, v in self._given.items()} if self.vectors else self._given
        self.count = 0

    @property
    def left_out(self) -> list[str]:
        """Return the names of the arrays that the format does not store."""
        return [name for name in self.plan.spec if name not in self.kept]

    def write(self, batch: StateBatch) -> None:
        """Add examples.

        Raises:
            ValueError: The batch does not fit the spec.
            RunFailedError: A state is not finite or does not fit the type, or the file cannot be written.
            InputError: The format cannot hold as many examples.
        """
        if len(batch):
            batch = prepare_batch(batch, self._given, self.plan.dtype)
            shaped = {name: batch.arrays[name].reshape(len(batch), *shape) for name, shape in self.kept.items()}
            batch = replace(batch, arrays=shaped)
            with self._explained():
                self._append(batch)
            self.count += len(batch)

    def finish(self) -> None:
        """Write the end of the file.

        Raises:
            RunFailedError: The file cannot be written.
        """
        with self._explained():
            self._finish()
            self.close()

    def _explained(self) -> AbstractContextManager[None]:
        # HDF5 raises either when the disk is full
        return explain_os_errors(self.plan.path, "written", also=(RuntimeError,))

    def manifest(self, **more: Any) -> str:
        """Return the manifest of what was written so far, as JSON; `more` are entries of this format alone."""
        return format_manifest(self.plan, self.count, self.kept, left_out=self.left_out, **more)

    @abstractmethod
    def _append(self, batch: StateBatch) -> None:
        """Add a prepared batch that is not empty; `count` does not include it yet."""

    @abstractmethod
    def _finish(self) -> None:
        """Write the end of the file."""

    @abstractmethod
    def close(self) -> None:
        """Close open files, also after an error; may be called twice."""
