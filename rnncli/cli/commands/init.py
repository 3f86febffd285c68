"""`rnncli init`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rnncli.cli.help import INPUT, OUTPUT, Command, option
from rnncli.cli.options import PATH, overwrite_option, quiet_option
from rnncli.config.pairs import TOKENIZERS
from rnncli.errors import InputError, command_line
from rnncli.text import printable

if TYPE_CHECKING:
    from rnncli.config import Columns
    from rnncli.config.pairs import Tokens
    from rnncli.data.inspection import Survey
    from rnncli.data.table_guess import FirstRows
    from rnncli.data.tables import Reading

    Header = Literal["auto"] | bool

TOKENS = click.Choice(TOKENIZERS)
DEFAULT_SPLIT = 0.1
"""Share of pairs to hold out if a person on a terminal names no held-out file."""


@click.command(
    "init",
    cls=Command,
    examples=(
        "rnncli init words.tsv --validation words_dev.tsv",
        "rnncli init inflection.tsv --columns 1,3,2 --split 0.1 --output words.yaml",
        "rnncli init book.txt --text",
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
@option(
    "--header/--no-header",
    group=INPUT,
    default=None,
    help="Line 1 names the columns; --no-header if not [default: guessed].",
)
@option("--tokenize-source", group=INPUT, type=TOKENS, metavar="UNIT", help="Symbols of sources [default: guessed].")
@option(
    "--tokenize-target",
    group=INPUT,
    type=TOKENS,
    metavar="UNIT",
    help=f"Of targets; UNIT is {', '.join(TOKENS.choices)}.",
)
@option("--text", "of_text", group=INPUT, is_flag=True, help="DATA is a text, a glob or a directory of texts.")
@option("-o", "--output", group=OUTPUT, type=PATH, metavar="FILE", help="Config to write [default: config.yaml].")
@overwrite_option
@quiet_option
def command(
    data: str | None,
    validation: str | None,
    split: float | None,
    test: str | None,
    chosen: str | None,
    header: bool | None,
    tokenize_source: Tokens | None,
    tokenize_target: Tokens | None,
    of_text: bool,
    output: Path | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Write a config that trains on the text pairs in DATA, or a language model on a text.

    A line of DATA is a source, a tab and the target; features, as V;PST or pos=V,tense=PST, may be in a third column.
    Findings go to stderr, the path of the config to stdout. On a terminal, init asks for what is missing.
    """
    if validation is not None and split is not None:
        raise click.UsageError("--validation and --split exclude each other")
    for name in filter(None, (data, validation, test)):
        refuse_pipe(name)
    path, tokens = output or Path("config.yaml"), (tokenize_source, tokenize_target)
    asked = Asked(data, validation, test, split, tokens, path, overwrite, quiet)
    if of_text or (data is not None and Path(data).is_dir()):
        of_pairs = {"--columns": chosen, "--test": test, "--header": header}
        if given := [name for name, value in of_pairs.items() if value is not None]:
            raise click.UsageError(f"{given[0]} is for files of pairs, not for texts")
        init_text(asked)
    else:
        init_pairs(asked, chosen, "auto" if header is None else header)
    if not quiet:
        click.echo(f"Train: {shlex.join(['rnncli', 'train', str(path)])}", err=True)
    click.echo(path)


def refuse_pipe(name: str) -> None:
    """Refuse data that cannot be read again.

    Raises:
        InputError: It is a pipe, a device or `-`.
    """
    path = Path(name)
    if name == "-" or (path.exists() and not path.is_file() and not path.is_dir()):
        raise InputError(f"{name}: not a file; every training reads the data again", "save the data in a file first")


@dataclass(frozen=True)
class Asked:
    """The data to write a config for, and where.

    Attributes:
        data: The training file, a glob, or a directory of texts; None asks for it.
        validation: The held-out file.
        test: The test file.
        split: The share of `data` to hold out.
        tokens: Tokenizers of source and target; None is guessed.
        path: The config to write.
        overwrite: Replace what is there.
        quiet: Do not report what was found.
    """

    data: str | None
    validation: str | None
    test: str | None
    split: float | None
    tokens: tuple[Tokens | None, Tokens | None]
    path: Path
    overwrite: bool
    quiet: bool


def init_pairs(asked: Asked, chosen: str | None, known: Header) -> None:
    """Write a config for files of pairs.

    Args:
        asked: The files.
        chosen: The columns as written; None guesses.
        known: Whether line 1 of each file has the names of the columns.
    """
    from rnncli.data.cache import showing_bar
    from rnncli.data.config_template import write_config_template
    from rnncli.data.splitting import split_paths
    from rnncli.data.table_guess import guess_columns, read_first_rows, with_separator
    from rnncli.data.tables import Reading
    from rnncli.data.text_files import describe_large, matching_files
    from rnncli.files import check_output_path

    validation, split = asked.validation, asked.split
    data = asked.data or ask(
        "file of pairs", click.UsageError("missing argument DATA, a file of pairs"), check=read_first_rows
    )
    first = read_first_rows(data, known)
    columns = with_separator(read_columns(chosen, first.width), first) if chosen else guess_columns(first)
    if validation is None and split is None:
        question = "held-out file (empty: hold out a tenth of the pairs)"
        hint = f"{command_line('init', data)} --split {DEFAULT_SPLIT} holds out a tenth of the pairs"
        otherwise = InputError("give --validation or --split", hint)
        validation = ask(question, otherwise, "", check=read_first_rows)
        split = None if validation else DEFAULT_SPLIT
    for given in filter(None, (validation, asked.test)):
        read_first_rows(given)  # refuses a file before the others are read

    if not asked.quiet and (large := describe_large(filter(None, (data, validation, asked.test)))):
        click.echo(large, err=True)
    reading = Reading(first.format, known)
    inputs = [file for name in (data, validation, asked.test) if name for file in matching_files(name)]
    for needed in (asked.path, *(split_paths(data, first.format) if split is not None else ())):
        check_output_path(needed, asked.overwrite, inputs=inputs)
    parts = {"train": data, "validation": validation or "", "test": asked.test or ""}
    with showing_bar(not asked.quiet):
        found, notes = survey_parts(parts, split, columns, asked.tokens, reading)
    if not asked.quiet:
        show_report(first, found, notes)
    write_config_template(asked.path, found)


def init_text(asked: Asked) -> None:
    """Write a config for a language model of a text."""
    from rnncli.config import TextTask
    from rnncli.data.text_files import text_names
    from rnncli.data.text_template import survey_text, write_text_template
    from rnncli.files import check_output_path

    if asked.data is None:
        raise click.UsageError("missing argument DATA, a text")
    inputs = [file for name in (asked.data, asked.validation) if name for file in text_names(name)]
    check_output_path(asked.path, asked.overwrite, inputs=inputs)
    share = None if asked.validation else asked.split or DEFAULT_SPLIT
    unit = asked.tokens[0] or asked.tokens[1] or "characters"
    symbols = "words" if unit == "whitespace" else unit
    found = survey_text(TextTask(train=asked.data, validation=asked.validation, split=share, tokenize=symbols))
    if not asked.quiet:
        click.echo(f"{printable(str(found))}\n", err=True)
    write_text_template(asked.path, found)


def survey_parts(
    parts: dict[str, str],
    split: float | None,
    columns: Columns,
    tokens: tuple[Tokens | None, Tokens | None],
    reading: Reading,
) -> tuple[Survey, Sequence[str]]:
    """Return statistics of the files, and messages on what was left out when the training file was split.

    Args:
        parts: The file of each split; an empty name is no file.
        split: The share of the training file to hold out; None splits nothing.
        columns: The columns of a line.
        tokens: Tokenizers of source and target; None is guessed.
        reading: The way to read the files.
    """
    from rnncli.data.inspection import survey, tolerant_reading
    from rnncli.data.splitting import split_file
    from rnncli.data.tables import Reading

    notes: Sequence[str] = ()
    if split is not None:
        # refuses an unusable file before it is split
        tolerant = tolerant_reading(parts["train"], columns, reading)
        train, held_out, notes = split_file(parts["train"], columns, split, tolerant)
        parts = {**parts, "train": str(train), "validation": str(held_out)}
        reading = Reading(header="auto" if parts["test"] else False)
    return survey({part: name for part, name in parts.items() if name}, columns, tokens, reading), notes


def show_report(first: FirstRows, found: Survey, notes: Sequence[str]) -> None:
    """Print to stderr what was found in the files, and which lines and columns were left out."""
    from rnncli.data.inspection import wrapped
    from rnncli.data.table_guess import describe_few, has_ids

    if first.format == "csv":
        split = " and written tab-separated" if found.reading.format == "tsv" else ""
        notes = [f"{first.path}: read as CSV, without the quotation marks around cells{split}", *notes]
    if has_ids(first):
        ids = f"{first.path}: column 1 has rising numbers, as ids do"
        used = 1 in found.columns.named.values()
        notes = [*notes, f"{ids}; it is read as text all the same" if used else f"{ids}; it is not read"]
    if few := describe_few(first, found.counts["train"]):
        notes = [*notes, few]
    for note in notes:
        click.echo(printable(wrapped(note)), err=True)
    click.echo(f"{found}\n", err=True)


def ask(
    question: str, otherwise: Exception, default: str | None = None, check: Callable[[str], object] | None = None
) -> str:
    """Ask on the terminal, again where the answer is refused.

    Args:
        question: The question.
        otherwise: The error where there is no terminal.
        default: The answer if nothing is typed, which is not checked.
        check: Raises an InputError for an answer that cannot be used.

    Raises:
        Exception: There is no terminal: `otherwise`.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        raise otherwise

    def checked(answer: str) -> str:
        if check is not None and answer != default:
            try:
                check(answer)
            except InputError as error:
                raise click.UsageError(printable(error.message)) from error
        return answer

    answer: str = click.prompt(question, default=default, show_default=False, err=True, value_proc=checked)
    return answer


def read_columns(text: str, count: int) -> Columns:
    """Return `1,2` or `1,2,3` as columns of lines with so many columns.

    Raises:
        click.UsageError: The text is invalid.
    """
    from pydantic import ValidationError

    from rnncli.config import Columns

    try:
        source, target, features = map(int, text.split(",") if text.count(",") == 2 else [*text.split(","), "0"])
        width = max(source, target, features)
        columns = {"source": source, "target": target} | ({"features": features} if features else {})
        return Columns.model_validate({**columns, "count": count if count > width else None})
    except (ValueError, ValidationError) as error:
        raise click.UsageError(f"--columns {text}: write two or three different numbers, such as 1,2") from error
