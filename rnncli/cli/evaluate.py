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
    run_argument,
    start_run,
    trust_option,
    verbose_option,
)

if TYPE_CHECKING:
    from rnncli.evaluation import Evaluation


@click.command("evaluate")
@run_argument
@input_option
@click.option("--format", "style", type=click.Choice(["text", "json"]), default="text", show_default=True)
@trust_option
@device_option
@verbose_option
def command(
    run: Path,
    input_path: str | None,
    style: str,
    trust_code: bool,
    device: Literal["auto", "cpu", "gpu"] | None,
) -> None:
    """Measure the trained model in the run directory RUN.

    Without --input, on the examples that training held out. A line of FILE is a source, a tab and the target, or for
    the classify task, as in its training file, a label, a tab and the text; the addition task knows the target of a
    sum by itself.
    """
    saved = open_run(run, device, trust_code)
    if input_path is None:
        examples = saved.task.splits()[1]
    else:
        with open_lines(input_path) as (name, lines):
            from rnncli.tasks import read_examples

            examples = read_examples(saved.task, lines, name)
    trained = start_run(saved)
    from rnncli.evaluation import evaluate

    evaluation = evaluate(trained, examples)
    click.echo(json.dumps(evaluation.as_json()) if style == "json" else as_text(evaluation))


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
