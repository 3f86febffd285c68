"""`rnncli init`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rnncli.cli.options import PATH, quiet_option

if TYPE_CHECKING:
    from rnncli.config import Columns

TOKENS = click.Choice(["characters", "graphemes", "whitespace", "bytes"])
Tokens = Literal["characters", "graphemes", "whitespace", "bytes"]
SHARE = 0.1
"""Of the pairs that are split off where a person on a terminal names no file to measure on."""


@click.command("init")
@click.argument("data", required=False)
@click.option("--validation", metavar="FILE", help="Pairs to measure on.")
@click.option(
    "--split",
    metavar="SHARE",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Split such a share of DATA off instead, such as 0.1, into files beside it.",
)
@click.option("--test", metavar="FILE", help="Pairs for a last measurement.")
@click.option(
    "--columns",
    "chosen",
    metavar="S,T[,F]",
    help="Columns of source, target, features, such as 1,3,2 for lemma, tags, form; without it guessed.",
)
@click.option("--tokenize-source", type=TOKENS, help="What a symbol of a source is; without it guessed.")
@click.option("--tokenize-target", type=TOKENS, help="What a symbol of a target is; without it guessed.")
@click.option("-o", "--output", type=PATH, help="The config to write; config.yaml without it.")
@click.option("--overwrite", is_flag=True, help="Replace files that are there.")
@quiet_option
def command(
    data: str | None,
    validation: str | None,
    split: float | None,
    test: str | None,
    chosen: str | None,
    tokenize_source: Tokens | None,
    tokenize_target: Tokens | None,
    output: Path | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Look at a file of text pairs and write a config that trains on it.

    A line of DATA is a source, a tab and the target; features, semicolons between them, may stand in another column.
    What is seen goes to stderr; the name of the config to stdout. On a terminal it asks for what is missing.

    \b
      rnncli init words.tsv --validation words_dev.tsv
      rnncli init words.tsv --split 0.1 --output words.yaml
    """  # noqa: D301 (\b keeps click from filling the lines)
    if validation is not None and split is not None:
        raise click.UsageError("give --validation or --split, not both")
    data = data or ask("file of pairs", "give a file of pairs")
    if validation is None and split is None:
        validation = ask(
            "file to measure on (empty: split a tenth of the pairs off)", "give --validation or --split", ""
        )
        split = None if validation else SHARE

    from rnncli.data.config_template import write_draft
    from rnncli.data.inspection import guess_columns, survey
    from rnncli.data.splitting import split_off, split_paths
    from rnncli.files import check_free

    columns = read_columns(chosen, data) if chosen else guess_columns(data)
    path = output or Path("config.yaml")
    for needed in (path, *(split_paths(data) if split is not None else ())):
        check_free(needed, overwrite)
    parts = {"train": data, "validation": validation or "", "test": test or ""}
    tokens = (tokenize_source, tokenize_target)
    if split is not None:
        survey({"train": data}, columns, tokens)  # so that a file that cannot be used is not split
        parts["train"], parts["validation"] = map(str, split_off(data, columns, split))
    found = survey({part: name for part, name in parts.items() if name}, columns, tokens)
    if not quiet:
        click.echo(f"{found}\n", err=True)
    write_draft(path, found)
    if not quiet:
        click.echo(f"train on it: {shlex.join(['rnncli', 'train', str(path)])}", err=True)
    click.echo(path)


def ask(question: str, otherwise: str, default: str | None = None) -> str:
    """An answer from the terminal.

    Raises:
        click.UsageError: There is no terminal to ask.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(otherwise)
    answer: str = click.prompt(question, default=default, show_default=False, err=True)
    return answer


def read_columns(text: str, data: str) -> Columns:
    """`1,2` or `1,2,3` as columns of the lines in a file.

    Raises:
        click.UsageError: The text is something else.
    """
    from pydantic import ValidationError

    from rnncli.config import Columns
    from rnncli.data.inspection import count_columns

    try:
        source, target, features = map(int, text.split(",") if text.count(",") == 2 else [*text.split(","), "0"])
        width, count = max(source, target, features), count_columns(data)
        columns = {"source": source, "target": target} | ({"features": features} if features else {})
        return Columns.model_validate({**columns, "count": count if count > width else None})
    except (ValueError, ValidationError) as error:
        raise click.UsageError(f"--columns {text}: write two or three different numbers, such as 1,2") from error
