"""`rnncli train`."""

from __future__ import annotations

import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnncli.cli.options import (
    config_argument,
    device_option,
    quiet_option,
    set_option,
    show_notes,
    verbose_option,
)
from rnncli.errors import InputError

if TYPE_CHECKING:
    from rnncli.config import Config
    from rnncli.rundir import RunDir
    from rnncli.tasks import Examples, Task
    from rnncli.training import Outcome
    from rnncli.usercode import Places


LONGEST_SHOWN = 60
"""Characters of a source that a sample shows."""


@click.command("train")
@config_argument
@set_option
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    help="Where the run goes; must not hold a run. Default: a new dated name under runs/.",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Of weights, order and dropout; training.seed.")
@device_option
@quiet_option
@verbose_option
def command(
    config_path: str,
    overrides: tuple[str, ...],
    run_dir: Path | None,
    seed: int | None,
    device: str | None,
    quiet: bool,
) -> None:
    """Train the model of a config file.

    \b
    Progress goes to stderr; the run directory, the result, to stdout:
      rnncli train configs/addition.yaml
      rnncli train configs/addition.yaml --set model.cell=gru --set training.epochs=3
      RUN=$(rnncli train configs/alphabet.yaml --quiet)
    """  # noqa: D301 (\b keeps click from filling the lines)
    from rnncli.config import CustomCell, load_config, uneven_batches
    from rnncli.rundir import RunDir
    from rnncli.tasks import build_task
    from rnncli.usercode import places_of, source_file

    more = [f"training.seed={seed}"] if seed is not None else []
    more += [f"runtime.device={device}"] if device is not None else []
    config = load_config(config_path, [*overrides, *more])
    if config.training.tensorboard and find_spec("tensorboard") is None:
        raise InputError(
            "training.tensorboard: the package tensorboard is not installed",
            "python3 -m pip install 'rnncli[tensorboard]', or training.csv_log: true",
        )
    places = places_of(config_path)
    if isinstance(config.model.cell, CustomCell):
        source_file(config.model.cell.module, places)  # there is one, or this says so before much is done
    task = build_task(config)
    splits = task.splits()
    if not quiet:
        show_notes(*splits)
    if config.stateful and (wrong := uneven_batches(config.training.batch_size, len(splits[0]))):
        raise InputError(f"training.batch_size: {wrong}")  # where only the data knows how many examples there are
    directory = RunDir.create(run_dir, config)
    outcome = run_training(config, task, splits, directory, places, quiet)
    if not quiet:
        show_outcome(outcome, directory, config)
    click.echo(directory.path)


def run_training(
    config: Config,
    task: Task,
    splits: tuple[Examples, Examples],
    directory: RunDir,
    places: Places,
    quiet: bool,
) -> Outcome:
    """Train, with progress on stderr; a directory in which nothing was recorded yet is removed on failure."""
    from rnncli.runtime import start

    try:
        runtime = start(config.runtime, min(config.training.batch_size, len(splits[0])))
        from rnncli.training import train
        from rnncli.training.progress import Progress

        progress = [] if quiet else [Progress(len(splits[0]), len(splits[1]))]
        return train(config, task, splits, directory, runtime, progress, places)
    except BaseException as error:
        directory.discard_if_untrained()
        if isinstance(error, KeyboardInterrupt) and directory.trained:
            click.echo(f"stopped; {directory.path} holds the epochs that ended, and can be asked", err=True)
        raise


def show_outcome(outcome: Outcome, directory: RunDir, config: Config) -> None:
    """Print the best epoch, some samples with the wrong ones marked, and what to do next."""
    from rnncli.config import CustomCell

    best = outcome.best
    sources = [shortened(sample.source) for sample in outcome.samples]
    wide = max(len("question"), *map(len, sources))
    long = max(len("prediction"), *(len(sample.prediction) for sample in outcome.samples))
    metric = config.training.best_metric
    value = f"{best[metric]:.4f}" if metric == "loss" else f"{best[metric]:.2%}"
    click.echo(f"\nbest epoch {best['epoch']}: {metric.replace('_', ' ')} {value}\n", err=True)
    click.echo(f"  {'question':<{wide}}  {'prediction':<{long}}  truth", err=True)
    for source, sample in zip(sources, outcome.samples, strict=True):
        wrong = "" if sample.prediction == sample.target else click.style("  wrong", fg="red")
        click.echo(f"  {source:<{wide}}  {sample.prediction:<{long}}  {sample.target}{wrong}", err=True)
    rows = config.training.batch_size if config.stateful else 1  # a stateful model answers whole batches
    trust = ["--trust-code"] if isinstance(config.model.cell, CustomCell) else []
    asked = shlex.join([str(directory.path), *trust, *[outcome.samples[0].source] * rows])
    if len(asked) > 2 * LONGEST_SHOWN:
        asked = shlex.join([str(directory.path), *trust, "--input", "FILE"])
    click.echo(f"\nask it: rnncli predict {asked}", err=True)


def shortened(source: str) -> str:
    """A source on one short line."""
    source = source.replace("\t", "  ")
    return source if len(source) <= LONGEST_SHOWN else source[: LONGEST_SHOWN - 3] + "..."
