"""`rnncli report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rnncli.cli.answered import answer_examples
from rnncli.cli.help import INPUT, OUTPUT, Command, option
from rnncli.cli.input_lines import files_of
from rnncli.cli.options import (
    PATH,
    checkpoint_option,
    device_option,
    input_option,
    open_run,
    overwrite_option,
    quiet_option,
    runs_argument,
    show_message,
    trust_option,
    verbose_option,
)
from rnncli.errors import InputError, RunDirError, explain_os_errors

if TYPE_CHECKING:
    from rnncli.inference.held_out import Answers, PairedTest
    from rnncli.inference.prediction import AttentionWeights

ENDINGS = (".html", ".htm")
MAX_RUNS = 20
MAX_ATTENDED, MAX_RIGHT = 40, 3
"""Wrong answers, and right ones, of all runs together whose attention is shown."""


@click.command(
    "report",
    cls=Command,
    examples=(
        "rnncli report latest -o report.html",
        "rnncli report RUN RUN2 RUN3 -o compared.html",
        "rnncli report RUN --input test.tsv --wrong 100 -o test.html",
    ),
)
@runs_argument
@input_option
@option("--recorded", group=INPUT, is_flag=True, help="Predict nothing: show what training recorded.")
@option("-o", "--output", group=OUTPUT, required=True, type=PATH, metavar="FILE", help="Page to write, .html.")
@option(
    "--wrong",
    "max_wrong",
    group=OUTPUT,
    type=click.IntRange(1, 100_000),
    default=500,
    show_default=True,
    metavar="N",
    help="Wrong answers to show, of all runs together.",
)
@overwrite_option
@checkpoint_option
@trust_option
@device_option
@quiet_option
@verbose_option
def command(
    runs: tuple[Path, ...],
    input_path: str | None,
    recorded: bool,
    output: Path,
    max_wrong: int,
    overwrite: bool,
    checkpoint: str,
    trust_code: bool,
    device: Literal["auto", "cpu", "gpu"] | None,
    quiet: bool,
) -> None:
    """Write a page on one or more RUNs that needs nothing else: no network, less than 1 MB.

    It has metrics with 95% intervals, learning curves, groups, confusions, wrong answers aligned with their targets,
    attention, kernels and configs; of several runs also what differs, and paired tests of the first with each other
    one. The examples are the held-out ones, or the lines of --input.
    """
    check_options(runs, input_path, recorded, output, overwrite)
    from rnncli.report.data import ReportData
    from rnncli.report.page import render
    from rnncli.runs.directory import RunDir
    from rnncli.runs.listing import describe_run
    from rnncli.runs.metrics_log import read_metrics

    infos = [describe_run(run) for run in runs]
    if wrong := next((info for info in infos if info.config is None), None):
        raise RunDirError(wrong.reason)
    saved = [] if recorded else [open_run(run, device, trust_code, checkpoint) for run in runs]
    logs = [read_metrics(RunDir(run)) for run in runs]
    answers = answer_examples(saved, input_path, quiet) if saved else []
    tests, notes = paired_tests(answers)
    what = "the held-out examples" if input_path is None else f"the examples of {input_path}"
    data = ReportData(infos, logs, answers, tests, what, attention_of(answers), max_wrong, notes)
    page = render(data).encode(errors="backslashreplace")
    with explain_os_errors(output, "written"):
        from rnncli.files import write_atomically

        write_atomically(output, page)
    if not quiet:
        show_message(f"{output}: {len(page) / 1000:,.0f} kB")
    click.echo(output)


def check_options(
    runs: Sequence[Path], input_path: str | None, recorded: bool, output: Path, overwrite: bool
) -> None:
    """Refuse a page that cannot be written, and options that do not belong together.

    Raises:
        InputError: Something is refused.
    """
    from rnncli.files import check_output_path

    if recorded and input_path is not None:
        raise click.UsageError("--recorded and --input exclude each other")
    if output.suffix not in ENDINGS:
        raise InputError(f"{output}: a report's name must end in .html")
    check_output_path(output, overwrite, inputs=files_of(input_path))
    if len(runs) > MAX_RUNS:
        raise InputError(f"report: {len(runs)} runs; a page shows at most {MAX_RUNS}")
    if len({run.resolve() for run in runs}) < len(runs):
        raise InputError("report: the same run twice")


def paired_tests(answers: Sequence[Answers]) -> tuple[list[PairedTest], list[str]]:
    """Return the tests of the first run and each other one on the examples that all have, and what must be said."""
    if len(answers) < 2:
        return [], []
    from rnncli.inference.held_out import Comparison

    try:
        found = Comparison.of(answers)
    except InputError as error:
        return [], [f"No paired tests: {error.message}."]
    common = f"The tests are on the {len(found.answers[0].examples):,} examples that all runs have."
    return found.tests, [common] if found.left_out else []


def attention_of(answers: Sequence[Answers]) -> dict[tuple[int, int], AttentionWeights]:
    """Return the attention weights of the first wrong and some right answers of each run that has attention."""
    found = {}
    for run, each in enumerate(answers):
        if not each.trained.attends or not len(each.examples):
            continue
        exact = each.predictions.exact
        wrong = [row for row in range(len(exact)) if not exact[row]][: max(1, MAX_ATTENDED // len(answers))]
        right = [row for row in range(len(exact)) if exact[row]][:MAX_RIGHT]
        rows = [*wrong, *right]
        predicted = each.trained.predict([each.texts(row)[0] for row in rows], attention=True)
        for row, prediction in zip(rows, predicted, strict=True):
            if prediction.attention is not None:
                found[run, row] = prediction.attention
    return found
