"""`rnncli evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rnncli.cli.lines import open_lines
from rnncli.cli.options import (
    device_option,
    input_option,
    open_run,
    quiet_option,
    run_argument,
    show_notes,
    show_unknown,
    start_run,
    trust_option,
    verbose_option,
)
from rnncli.errors import InputError

if TYPE_CHECKING:
    from rnncli.evaluation import Evaluation
    from rnncli.tasks import Examples, Task


@click.command("evaluate")
@run_argument
@input_option
@click.option("--test", is_flag=True, help="Measure on the config's task.test in place of task.validation.")
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@trust_option
@device_option
@quiet_option
@verbose_option
def command(
    run: Path,
    input_path: str | None,
    test: bool,
    style: str,
    trust_code: bool,
    device: Literal["auto", "cpu", "gpu"] | None,
    quiet: bool,
) -> None:
    """Measure the trained model in the run directory RUN.

    Without --input, on the examples that training held out. A line of FILE is a source, a tab and the target; the
    classify and pairs tasks read the columns of their training files, and the addition task knows the target of a sum
    by itself.
    """
    if test and input_path is not None:
        raise click.UsageError("give --test or --input, not both")
    saved = open_run(run, device, trust_code)
    examples = read(saved.task, input_path, test, quiet)
    trained = start_run(saved)
    from rnncli.evaluation import evaluate

    evaluation = evaluate(trained, examples)
    click.echo(json.dumps(evaluation.as_json()) if style == "json" else as_text(evaluation))


def read(task: Task, input_path: str | None, test: bool, quiet: bool) -> Examples:
    """What to measure on; what is odd about it goes to stderr, unless quiet."""
    from rnncli.tasks import HasTest, read_examples

    if input_path is not None:
        with open_lines(input_path) as (name, lines):
            examples = read_examples(task, lines, name)
        if not quiet:
            show_unknown(task, name)
        return examples
    if not test:
        examples = task.splits()[1]
    elif isinstance(task, HasTest):
        examples = task.test_split()
    else:
        raise InputError("--test: only task pairs names a file of tests", "give a file by --input")
    if not quiet:
        show_notes(examples)
    return examples


def as_text(evaluation: Evaluation) -> str:
    """The figures as tables."""
    lines = [
        f"{evaluation.examples:,} examples, {evaluation.exact:,} right in every symbol",
        "",
        f"exact match        {evaluation.exact_match:8.2%}",
        f"symbol accuracy    {evaluation.symbol_accuracy:8.2%}",
        f"symbol error rate  {evaluation.symbol_error_rate:8.2%}",
    ]
    for kind, members in evaluation.groups.items():
        lines += ["", f"{kind:<8}  examples     right  exact match"]
        lines += [
            f"{value:<8}  {count:>8,}  {right:>8,}  {right / count:>11.2%}"
            for value, (count, right) in sorted(members.items())
        ]
    return "\n".join(lines)
