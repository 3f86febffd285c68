"""Batches in temporary files until the number of examples is known, which some formats write first."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from rnncli.states.batch import Spec, StateBatch

LENGTHS = ("source_lengths", "target_lengths")
TEXTS = ("sources", "predictions", "source_tokens", "target_tokens")


class TextSpool:
    """Text as lines of JSON in a temporary file.

    Attributes:
        widths: Characters of the longest source, prediction, source token and target token.
        steps: Tokens of the longest source and of the longest target.
        size: Bytes of all text as JSON inside a JSON string.
    """

    def __init__(self, path: Path) -> None:
        self.widths, self.steps, self.size = [0] * 4, [0] * 2, 0
        self._file = path.open("w+b")

    def append(self, batch: StateBatch) -> None:
        """Add the text of a batch."""
        for row in zip(batch.sources, batch.predictions, batch.source_tokens, batch.target_tokens, strict=True):
            source, prediction, source_tokens, target_tokens = row
            widths = (len(source), len(prediction), _widest(source_tokens), _widest(target_tokens))
            self.widths = [max(pair) for pair in zip(self.widths, widths, strict=True)]
            self.steps = [max(self.steps[0], len(source_tokens)), max(self.steps[1], len(target_tokens))]
            line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
            self.size += len(line) + line.count(b'"') + line.count(b"\\")  # these are escaped once more
            self._file.write(line)

    def rows(self) -> Iterator[tuple[str, str, list[str], list[str]]]:
        """Yield source, prediction, source tokens and target tokens of each example."""
        self._file.seek(0)
        for line in self._file:
            yield tuple(json.loads(line))

    def blocks(self, size: int) -> Iterator[list[tuple[str, str, list[str], list[str]]]]:
        """Yield the rows in lists of a few megabytes at most, if a row takes `size` bytes."""
        rows = self.rows()
        while block := list(islice(rows, max(1, min(1 << 12, (1 << 22) // size)))):
            yield block

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Spool:
    """Arrays as raw temporary files, in a directory with the text.

    Attributes:
        text: The text.
        shapes: Shape of each array, lengths included, without the examples.
        dtypes: Type of each array.
    """

    def __init__(self, folder: Path, spec: Spec, dtype: np.dtype[Any]) -> None:
        folder.mkdir()
        self._folder = folder
        self.text = TextSpool(folder / "text")
        self.shapes: dict[str, tuple[int, ...]] = {**dict.fromkeys(LENGTHS, ()), **spec}
        self.dtypes = {name: np.dtype(np.int32 if name in LENGTHS else dtype) for name in self.shapes}
        self._files: dict[str, IO[bytes]] = {
            name: (folder / str(number)).open("w+b") for number, name in enumerate(self.shapes)
        }

    def append(self, batch: StateBatch) -> None:
        """Add a batch."""
        arrays: dict[str, NDArray[Any]] = {
            "source_lengths": batch.source_lengths,
            "target_lengths": batch.target_lengths,
            **batch.arrays,
        }
        for name, dtype in self.dtypes.items():
            self._files[name].write(np.asarray(arrays[name], dtype.newbyteorder("<"), order="C").data)
        self.text.append(batch)

    def copy(self, name: str, to: IO[bytes]) -> None:
        """Copy the bytes of an array, little-endian, in C order, and drop it from the spool."""
        file = self._files[name]
        file.seek(0)
        shutil.copyfileobj(file, to, 1 << 20)
        file.truncate(0)

    def close(self) -> None:
        """Close the files and remove them."""
        self.text.close()
        for file in self._files.values():
            file.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _widest(tokens: list[str]) -> int:
    return max(map(len, tokens), default=0)
