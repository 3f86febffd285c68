"""`rnncli init`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rnncli.cli.help import INPUT, OUTPUT, Command, option
from rnncli.cli.options import PATH, overwrite_option, quiet_option

if TYPE_CHECKING:
    from rnncli.config import Columns
    from rnncli.config.pairs import Tokens

TOKENS = click.Choice(["characters", "graphemes", "whitespace", "bytes"])
DEFAULT_SPLIT = 0.1
"""Share of pairs to hold out if a person on a terminal names no held-out file."""


@click.command(
    "init",
    cls=Command,
    examples=(
        "rnncli init words.tsv --validation words_dev.tsv",
        "rnncli init words.tsv --split 0.1 --output words.yaml",
        "rnncli init inflection.tsv --columns 1,3,2 --split 0.1",
    ),
)
@click.argument("data", metavar="[DATA]", required=False, type=click.Path(readable=False))
@option("--validation", group=INPUT, metavar="FILE", type=click.Path(readable=False), help="Held-out pairs.")
@option(
    "--split",
    group=INPUT,
    metavar="SHARE",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Hold out this share of DATA instead, such as 0.1.",
)
@option("--test", group=INPUT, metavar="FILE", type=click.Path(readable=False), help="Test pairs.")
@option(
    "--columns",
    "chosen",
    group=INPUT,
    metavar="S,T[,F]",
    help="Columns, such as 1,3,2 [default: guessed].",
)
@option("--tokenize-source", group=INPUT, type=TOKENS, metavar="UNIT", help="Symbols of sources [default: guessed].")
@option(
    "--tokenize-target",
    group=INPUT,
    type=TOKENS,
    metavar="UNIT",
    help=f"Of targets; UNIT is {', '.join(TOKENS.choices)}.",
)
@option("-o", "--output", group=OUTPUT, type=PATH, metavar="FILE", help="Config to write [default: config.yaml].")
@overwrite_option
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
    """Write a config that trains on the text pairs in DATA.

    A line of DATA is a source, a tab and the target; features, separated by semicolons, may be in a third column.
    Findings go to stderr, the path of the config to stdout. On a terminal, init asks for what is missing.
    """
    if validation is not None and split is not None:
        raise click.UsageError("--validation and --split exclude each other")
    data = data or ask("file of pairs", "missing argument DATA, a file of pairs")
    if validation is None and split is None:
        validation = ask("held-out file (empty: hold out a tenth of the pairs)", "give --validation or --split", "")
        split = None if validation else DEFAULT_SPLIT

    from rnncli.data.config_template import write_config_template
    from rnncli.data.inspection import guess_columns, survey
    from rnncli.data.splitting import split_file, split_paths
    from rnncli.files import check_output_path

    columns = read_columns(chosen, data) if chosen else guess_columns(data)
    path = output or Path("config.yaml")
    for needed in (path, *(split_paths(data) if split is not None else ())):
        check_output_path(needed, overwrite)
    parts = {"train": data, "validation": validation or "", "test": test or ""}
    tokens = (tokenize_source, tokenize_target)
    if split is not None:
        survey({"train": data}, columns, tokens)  # refuses an unusable file before it is split
        parts["train"], parts["validation"] = map(str, split_file(data, columns, split))
    found = survey({part: name for part, name in parts.items() if name}, columns, tokens)
    if not quiet:
        click.echo(f"{found}\n", err=True)
    write_config_template(path, found)
    if not quiet:
        click.echo(f"Train: {shlex.join(['rnncli', 'train', str(path)])}", err=True)
    click.echo(path)


def ask(question: str, otherwise: str, default: str | None = None) -> str:
    """Ask on the terminal.

    Raises:
        click.UsageError: There is no terminal.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise click.UsageError(otherwise)
    answer: str = click.prompt(question, default=default, show_default=False, err=True)
    return answer


def read_columns(text: str, data: str) -> Columns:
    """Return `1,2` or `1,2,3` as columns of the lines in a file.

    Raises:
        click.UsageError: The text is invalid.
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
