"""Compare an export with TensorFlow on 10,000 sources of each task: `python tests/slow/exports.py [RUN...]`.

Without runs it trains every example config for an epoch. Sources are held-out, then training, then random ones.
It prints a line for each run, and exits with 1 if ids differ without a tie, or scores by more than 1e-5 of a unit or
of their size.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from rnncli.config import CustomCell, load_config
from rnncli.config.shipped import find_config, shipped_configs
from rnncli.errors import RnncliError
from rnncli.export.comparison import random_sources
from rnncli.export.exporter import export_into_run
from rnncli.inference import onnx_backend, tensorflow_backend
from rnncli.inference.backends import Request, load
from rnncli.inference.batching import pad_to
from rnncli.runtime.tensorflow_setup import claim_process
from rnncli.training.inputs import TrainingInputs
from rnncli.training.job import TrainingJob

TOLERANCE = 1e-5


def sources_of(saved, count):
    """The sources to compare on, and their lengths."""
    parts = [(part.source, part.source_lengths) for part in reversed(saved.task.splits())]
    parts.append(random_sources(saved.task.sizes, count))
    steps = saved.task.sizes.source_steps
    source = np.concatenate([pad_to(rows, steps) for rows, _ in parts])[:count]
    return source, np.concatenate([lengths for _, lengths in parts])[:count].astype(np.int32)


def compare(run, count):
    """Print a line for a run; returns True if the answers are equal."""
    export_into_run(load(run), "onnx")
    saved = load(run)
    source, lengths = sources_of(saved, count)
    found, wanted = (
        each.start(Request(saved)).decoder(source, lengths) for each in (onnx_backend, tensorflow_backend)
    )
    equal = (found.ids == wanted.ids).all(axis=1)
    scores = found.log_probabilities[:, 0], wanted.log_probabilities[:, 0]
    allowed = TOLERANCE * np.maximum(1, np.abs(scores[1]))
    off = np.abs(scores[0] - scores[1])
    ties = ~equal & (off <= allowed)  # two symbols of the same probability, of which each runtime takes another
    told = f", {ties.sum()} with a tie" * bool(ties.any())
    print(f"{run.name}: {equal.sum()} of {len(equal)} equal{told}, scores to {off.max():.1e}", flush=True)
    return bool((equal | ties).all() and (off <= allowed).all())


def trained(folder):
    """Train every example config that an export can hold for an epoch; yields the run directories."""
    for name in shipped_configs():
        try:
            config = load_config(find_config(name), ["training.epochs=1"])
            if isinstance(config.model.cell, CustomCell):
                continue
            with TrainingJob.new(TrainingInputs.read(config), folder / name) as job:
                job.run()
        except RnncliError as error:  # data that the package does not hold
            print(f"{name}: left out: {error.message}", flush=True)
            continue
        yield folder / name


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--sources", type=int, default=10_000)
    options = parser.parse_args()
    claim_process()
    with tempfile.TemporaryDirectory() as folder:
        results = [compare(run, options.sources) for run in options.runs or trained(Path(folder))]
    sys.exit(0 if results and all(results) else 1)


if __name__ == "__main__":
    main()
