"""`rnncli score`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from rnncli.cli.decoding_options import ensemble_option, open_others
from rnncli.cli.help import INPUT, OUTPUT, RUN, Command, option
from rnncli.cli.input_lines import STDIN, open_lines
from rnncli.cli.options import (
    check_raw,
    checkpoint_option,
    input_option,
    open_run,
    process_options,
    raw_option,
    run_argument,
    show_unknown,
    start_run,
)
from rnncli.errors import InputError, RunFailedError
from rnncli.text import escape_controls, escape_json, escape_line

if TYPE_CHECKING:
    from rnncli.inference.target_scores import TargetScore
    from rnncli.runs.directory import SavedRun


@click.command(
    "score",
    cls=Command,
    examples=(
        "rnncli score RUN --input pairs.tsv",
        "rnncli score RUN --input pairs.tsv --symbols --format tsv",
        'rnncli score RUN "To be, or not to be." --format jsonl',
    ),
)
@run_argument
@click.argument("given", metavar="[LINE]...", nargs=-1)
@input_option
@option("--prime", group=INPUT, metavar="TEXT", help="Text before each line, for models of texts [default: \\n].")
@ensemble_option
@option(
    "--format",
    "form",
    group=OUTPUT,
    type=click.Choice(["text", "tsv", "jsonl"]),
    default="text",
    show_default=True,
    help="tsv adds source and target.",
)
@option("--symbols", group=OUTPUT, is_flag=True, help="Add the log probability of each symbol.")
@raw_option
@option("--strict", group=RUN, is_flag=True, help="Stop at the first invalid line.")
@checkpoint_option
@process_options
def command(
    run: Path,
    given: tuple[str, ...],
    input_path: str | None,
    prime: str | None,
    others: tuple[Path, ...],
    form: str,
    symbols: bool,
    raw: bool,
    strict: bool,
    checkpoint: str,
    trust_code: bool,
    device: Literal["auto", "cpu", "gpu"] | None,
    quiet: bool,
) -> None:
    """Print the log probability of given targets (forced decoding).

    A line is a source, a tab and the target, with the columns of the training files; for models of texts it is a text
    of any length, each symbol of which is predicted from those before it. The score is the sum of the natural
    logarithms of the probabilities of all symbols, end-of-sequence included, as in `rnncli predict --scores`. An
    invalid line gives an empty line and a message; the exit status is then 1.
    """
    check_raw(raw, form)
    saved = open_run(run, device, trust_code, checkpoint)
    refuse_prime(saved, prime)
    members = open_others(saved, others, device, trust_code)
    from rnncli.data.task import text_of

    with open_lines(input_path, given) as (name, input_lines):
        lines = (text_of(saved.task, line) for line in input_lines)
        if name == STDIN and sys.stdin.isatty() and not quiet:
            click.echo("reading lines from the terminal; Ctrl-D ends", err=True)
        trained = start_run(saved, members, quiet)
        from rnncli.inference.target_scores import TargetScorer

        scorer = TargetScorer(trained.decoder, saved.task, "\n" if prime is None else text_of(saved.task, prime))
        invalid = number = 0
        for chunk in scorer(lines):
            invalid += show_scores(chunk, name, number + 1, (form, symbols, raw), strict)
            number += len(chunk)
    if not quiet:
        show_unknown(saved.task, name)
    if invalid:
        raise RunFailedError(f"{invalid} invalid input line{'s' if invalid > 1 else ''} (wrote empty scores)")


def refuse_prime(saved: SavedRun, prime: str | None) -> None:
    """Refuse a prime for a model that reads sources.

    Raises:
        InputError: It is such a model.
    """
    from rnncli.data.task import WritesText

    if prime is not None and not isinstance(saved.task, WritesText):
        raise InputError(f"--prime: the model reads sources, task {saved.config.task.type}", "leave it out")


def show_scores(
    scores: Sequence[TargetScore], name: str, first: int, style: tuple[str, bool, bool], strict: bool
) -> int:
    """Print scores in a style, see `as_line`, and a message for each invalid line; return the number of these."""
    invalid = 0
    for number, each in enumerate(scores, first):
        if each.error is not None:
            invalid += 1
            if strict:
                raise RunFailedError(f"{name}:{number}: {each.error}", each.hint)
            click.echo(f"{name}:{number}: {each.error}{f'; {each.hint}' if each.hint else ''}", err=True)
        sys.stdout.write(f"{as_line(each, *style)}\n")
    sys.stdout.flush()
    return invalid


def as_line(score: TargetScore, form: str, symbols: bool, raw: bool) -> str:
    """Return a score as a line of a format; raw leaves control characters of text and tsv as they are."""
    if form == "jsonl":
        values: dict[str, Any] = {"source": score.source, "target": score.target, "score": score.score}
        if symbols:
            values["symbols"] = [{"symbol": symbol, "score": value} for symbol, value in score.symbols]
        if score.error is not None:
            values |= {"error": score.error, "hint": score.hint}
        return escape_json(json.dumps(values, ensure_ascii=False))
    cells = ["" if score.score is None else f"{score.score:.6g}"]
    if form == "tsv":
        cells = [escape_line(score.source), escape_line(score.target), *cells]
    if symbols:
        cells.append(" ".join(f"{_cell(symbol)}:{value:.4g}" for symbol, value in score.symbols))
    return "\t".join(cells if raw else map(escape_controls, cells))


def _cell(symbol: str) -> str:
    return "␣" if symbol == " " else escape_line(symbol)
