"""Measure exports of trained runs: equal answers, size, and milliseconds a word in batches of 1 and 64.

    python benchmarks/exports.py RUN... [--formats onnx,litert] [--sources 1000]

Every export is run by its own runtime in this process, on held-out sources, beside rnncli itself. It prints a row of
a table for each run and format.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from rnncli.config import name_of
from rnncli.config.named_objects import import_named
from rnncli.export.exporter import export
from rnncli.export.formats import EXPORTS
from rnncli.inference import tensorflow_backend
from rnncli.inference.backends import Request, load
from rnncli.runtime.tensorflow_setup import claim_process

REPEATS, WORDS, BATCH = 5, 100, 64


def milliseconds(run: Callable, source: np.ndarray, lengths: np.ndarray, batch: int) -> float:
    """The median over repeats of the milliseconds a word, after a call to warm up."""
    rows = [slice(start, start + batch) for start in range(0, min(WORDS * batch, len(source)) - batch + 1, batch)]
    run(source[rows[0]], lengths[rows[0]])
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        for row in rows[: max(1, WORDS // (1 if batch == 1 else 10))]:
            run(source[row], lengths[row])
        done = min(len(rows), max(1, WORDS // (1 if batch == 1 else 10)))
        times.append(1000 * (time.perf_counter() - began) / (done * batch))
    return statistics.median(times)


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files of a folder."""
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


def rows_of(run: Path, formats: list[str], sources: int) -> Iterator[tuple[str, ...]]:
    """The rows of a run: rnncli's own, and each format's."""
    saved = load(run)
    held_out = saved.task.splits()[1].rows(slice(sources))
    source, lengths = held_out.source, held_out.source_lengths.astype(np.int32)
    ours = tensorflow_backend.start(Request(saved)).decoder
    wanted = ours(source, lengths)
    name = f"{run.name} ({saved.config.model.type}, {name_of(saved.config.model.cell)})"
    own = [milliseconds(ours, source, lengths, batch) for batch in (1, BATCH)]
    yield name, "rnncli", "-", "-", *(f"{each:.3g}" for each in own)
    for form in formats:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"export{EXPORTS[form].extension}"
            try:
                export(saved, form, path)
            except Exception as error:  # what cannot be exported is said
                yield name, form, str(error)[:100], "-", "-", "-"
                continue
            opened = import_named(EXPORTS[form].opener)(saved, path)
            found, scores = opened(source, lengths)
            ids = np.zeros_like(wanted.ids)
            ids[:, : found.shape[1]] = found
            equal = (ids == wanted.ids).all(axis=1)
            difference = np.abs(scores - wanted.log_probabilities[:, 0])[equal].max(initial=0)
            times = [milliseconds(opened, source, lengths, batch) for batch in (1, BATCH)]
            answers = f"{equal.sum()} of {len(equal)}, scores to {difference:.0e}"
            yield name, form, answers, f"{size_of(path) / 1000:,.0f} kB", *(f"{each:.3g}" for each in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    parser.add_argument("--formats", default=",".join(EXPORTS), help="of " + ", ".join(EXPORTS))
    parser.add_argument("--sources", type=int, default=1000, help="held-out sources to compare")
    options = parser.parse_args()
    claim_process()
    print(f"| run | format | equal answers | size | ms a word, batch 1 | ms a word, batch {BATCH} |")
    print("|---|---|---|---|---|---|")
    for run in options.runs:
        for row in rows_of(run, options.formats.split(","), options.sources):
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
