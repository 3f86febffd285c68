"""`rnncli export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnncli.cli.help import OUTPUT, Command, option
from rnncli.cli.options import (
    PATH,
    NameOf,
    checkpoint_option,
    overwrite_option,
    quiet_option,
    run_argument,
    show_message,
    show_warning,
    show_weights,
    trust_option,
    verbose_option,
)
from rnncli.errors import InputError, RunFailedError
from rnncli.export.formats import EXPORTS

if TYPE_CHECKING:
    from rnncli.runs.directory import SavedRun


@click.command(
    "export",
    cls=Command,
    examples=(
        "rnncli export RUN",
        "rnncli export RUN --format onnx -o model",
        "rnncli export RUN --format litert -o model.tflite --weights int8",
    ),
)
@run_argument
@option(
    "--format",
    "form",
    group=OUTPUT,
    type=NameOf(EXPORTS),
    metavar="FORMAT",
    default="onnx",
    show_default=True,
    help=f"Of {', '.join(EXPORTS)}.",
)
@option(
    "-o",
    "--output",
    group=OUTPUT,
    type=PATH,
    metavar="PATH",
    help="Write to PATH [default: in RUN, for `rnncli predict RUN`].",
)
@option(
    "--weights",
    group=OUTPUT,
    type=click.Choice(list(dict.fromkeys(name for entry in EXPORTS.values() for name in entry.weights))),
    default="float32",
    show_default=True,
    help="Store weights so; float16 and int8 are for litert.",
)
@overwrite_option
@checkpoint_option
@trust_option
@quiet_option
@verbose_option
def command(
    run: Path,
    form: str,
    output: Path | None,
    weights: str,
    overwrite: bool,
    checkpoint: str,
    trust_code: bool,
    quiet: bool,
) -> None:
    """Write a trained model for other runtimes, and compare its answers there.

    Without --output the export lies in RUN. `rnncli predict RUN` then answers by onnxruntime, without loading
    TensorFlow, as long as the export has the weights of the checkpoint.
    """
    from rnncli.export.exporter import FLOAT32, check_export, export, export_into_run
    from rnncli.runs.checkpoints import BEST
    from rnncli.runs.directory import RunDir

    if output is None and (form != "onnx" or checkpoint != BEST):
        raise InputError("only the best checkpoint in format onnx is written into RUN", "name a path with --output")
    if output is None and weights != FLOAT32:
        raise InputError(f"weights as {weights} are not written into RUN", "name a path with --output")
    if output is not None:
        check_export(form, output, overwrite, weights)
    saved = RunDir(run).load(checkpoint, trust_code)
    if output is not None:
        export(saved, form, output, overwrite, weights)
    path = output or export_into_run(saved, form)
    show_weights(saved, quiet=quiet)
    show_message(f"wrote {path}")
    check_answers(saved, form, path, quiet)


def check_answers(saved: SavedRun, form: str, path: Path, quiet: bool) -> None:
    """Run what was written, and print how many answers are those of the run.

    Raises:
        RunFailedError: Answers differ.
    """
    from rnncli.export.comparison import compare_with_run, runtime_problem

    if problem := runtime_problem(form):
        show_warning(f"{path}: {problem}")
        return
    comparison = compare_with_run(saved, form, path)
    if comparison.left_out:
        show_warning(f"not compared on held-out sources: {comparison.left_out}")
    if not quiet or comparison.equal < comparison.total:
        click.echo(str(comparison))
    if comparison.equal < 0.9 * comparison.total:
        raise RunFailedError(f"{path}: its answers are not those of {saved.path}")
