"""`rnncli compare`."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from rnncli.cli.answered import answer_examples
from rnncli.cli.help import INPUT, OUTPUT, RUN, Command, option
from rnncli.cli.input_lines import files_of
from rnncli.cli.options import (
    PATH,
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
from rnncli.cli.run_tables import info_as_json, range_text
from rnncli.cli.tables import fit_columns
from rnncli.errors import InputError, RunDirError, explain_os_errors
from rnncli.text import escape_controls, escape_json, escape_line, printable, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnncli.inference.held_out import Answers, Comparison, PairedTest
    from rnncli.runs.directory import SavedRun
    from rnncli.runs.listing import RunInfo

LETTERS = string.ascii_uppercase
"""Names of the runs in the tables."""
MAX_TEXT = 40
WIDE = 10_000
"""Characters of a table that is not shortened; its cells are."""


@click.command(
    "compare",
    cls=Command,
    examples=(
        "rnncli compare RUN RUN2",
        "rnncli compare RUN RUN2 RUN3 --examples 20",
        "rnncli compare RUN RUN2 --input test.tsv --errors differ.tsv",
    ),
)
@runs_argument
@input_option
@option("--recorded", group=INPUT, is_flag=True, help="Predict nothing: compare what training recorded.")
@option(
    "--examples",
    "count",
    group=OUTPUT,
    type=click.IntRange(min=0),
    metavar="N",
    default=5,
    show_default=True,
    help="Show N examples that only one has right.",
)
@option("--errors", group=OUTPUT, type=PATH, metavar="FILE", help="Write all examples that only one has right (TSV).")
@overwrite_option
@option("--json", "as_json", group=OUTPUT, is_flag=True, help="Print a JSON object.")
@option(
    "--checkpoint",
    group=RUN,
    metavar="STEP",
    default="best",
    show_default=True,
    help="Checkpoint of every run: best, last, or a number of steps.",
)
@trust_option
@device_option
@quiet_option
@verbose_option
def command(
    runs: tuple[Path, ...],
    input_path: str | None,
    recorded: bool,
    count: int,
    errors: Path | None,
    overwrite: bool,
    as_json: bool,
    checkpoint: str,
    trust_code: bool,
    device: Literal["auto", "cpu", "gpu"] | None,
    quiet: bool,
) -> None:
    """Compare the first RUN with each other one.

    Shows the config keys that differ, and the metrics on the held-out examples that all runs have, with 95%
    intervals. p is that of a paired test, approximate randomization: the probability of such a difference if both
    were equally good. It knows nothing of other seeds: train several.
    """
    check_options(runs, input_path, recorded, errors, overwrite)
    from rnncli.runs.listing import describe_run

    infos = [describe_run(run) for run in runs]
    if wrong := next((info for info in infos if info.config is None), None):
        raise RunDirError(wrong.reason)
    saved = [] if recorded else [open_run(run, device, trust_code, checkpoint) for run in runs]
    answers, tests, _ = answer_all(saved, input_path, quiet) if saved else ([], [], 0)
    if as_json:
        click.echo(escape_json(json.dumps(as_object(infos, answers, tests), ensure_ascii=False)))
    else:
        for line in as_lines(infos, answers, tests, count):
            click.echo(printable(line).rstrip())
    if errors is not None:
        write_differing(errors, answers, tests)


def check_options(
    runs: Sequence[Path], input_path: str | None, recorded: bool, errors: Path | None, overwrite: bool
) -> None:
    """Refuse options that do not belong together.

    Raises:
        InputError: They do not, or a run is given twice.
    """
    if len(runs) < 2:
        raise InputError("compare: one run", "give two runs or more; `rnncli runs` lists them")
    if len(runs) > len(LETTERS):
        raise InputError(f"compare: {len(runs)} runs; at most {len(LETTERS)}")
    if len({run.resolve() for run in runs}) < len(runs):
        raise InputError("compare: the same run twice")
    if recorded and (input_path is not None or errors is not None):
        raise click.UsageError("--recorded excludes --input and --errors")
    if errors is not None:
        from rnncli.files import check_output_path

        check_output_path(errors, overwrite, inputs=files_of(input_path))


def answer_all(saved: Sequence[SavedRun], input_path: str | None, quiet: bool) -> Comparison:
    """Compare the runs on the examples that all have."""
    from rnncli.inference.held_out import Comparison

    found = Comparison.of(answer_examples(saved, input_path, quiet))
    if found.left_out and not quiet:
        show_message(f"{found.left_out:,} held-out examples are not in all runs; they are left out")
    return found


def as_lines(
    infos: Sequence[RunInfo], answers: Sequence[Answers], tests: Sequence[PairedTest], count: int
) -> Iterator[str]:
    """Yield the comparison as text."""
    from rnncli.runs.listing import differing_keys, short_names, show_value

    names = LETTERS[: len(infos)]
    for name, info in zip(names, infos, strict=True):
        yield f"{name}  {info.path}  ({', epoch '.join(filter(None, (info.state_text, info.epochs_text)))})"
    differing = differing_keys(infos)
    keys = short_names(list(differing))
    rows = [[keys[key], *("-" if v is None else show_value(v) for v in values)] for key, values in differing.items()]
    yield ""
    yield from (
        table([["key", *names], *rows]) if rows else ["the configs differ in nothing but runtime and checkpoint"]
    )
    yield ""
    yield from table(recorded_rows(infos, names) if not answers else metric_rows(answers, tests, names))
    for name, other, test in zip(names[1:], answers[1:], tests, strict=False):  # none if only what was recorded
        yield ""
        only = f"only A {len(test.first_only):,}, only {name} {len(test.second_only):,}"
        yield f"right: both {test.both:,}, {only}, neither {test.neither:,}"
        yield from example_lines(answers[0], other, test, count, name)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines in columns."""
    return ["  ".join(row) for row in fit_columns(rows, WIDE)]


def metric_rows(answers: Sequence[Answers], tests: Sequence[PairedTest], names: str) -> list[list[str]]:
    """Return the rows of the metrics, with intervals, differences and p-values."""
    from rnncli.metrics import shown_metrics

    first = answers[0]
    header = [f"{len(first.examples):,} examples", *names]
    header += [head for name in names[1:] for head in (f"{name} - A", "p")]
    rows = [header]
    for key, metric in shown_metrics(first.kind).items():
        if not all(key in each.evaluation.total.metrics for each in answers):
            continue
        row = [metric.label]
        for each in answers:
            interval = range_text(metric, each.evaluation.intervals[key])
            row.append(f"{metric.show(each.evaluation.total.metrics[key])} [{interval}]")
        for test in tests:
            row += [metric.show_difference(test.differences[key]), f"{test.p_values[key]:.4f}"]
        rows.append(row)
    return rows


def recorded_rows(infos: Sequence[RunInfo], names: str) -> list[list[str]]:
    """Return the rows of the metrics of the best epoch, as training recorded them."""
    from rnncli.metrics import METRICS, MONITORED, shown_metrics
    from rnncli.runs.listing import kind_of

    rows = [["best epoch", *names], ["epoch", *(str(info.best.get("epoch", "-")) for info in infos)]]
    kinds = {kind_of(info.config) for info in infos if info.config is not None}
    shown = {name for kind in kinds for name in shown_metrics(kind)} | {"loss"}
    for key in [*METRICS, "loss"]:
        if key in shown and any(key in info.best for info in infos):
            cells = []
            for info in infos:
                value, interval = info.best.get(key), info.intervals.get(key)
                ends = f" [{range_text(MONITORED[key], interval)}]" if interval else ""
                cells.append("-" if value is None else f"{MONITORED[key].show(value)}{ends}")
            rows.append([MONITORED[key].label, *cells])
    return rows


def example_lines(first: Answers, second: Answers, test: PairedTest, count: int, name: str) -> Iterator[str]:
    """Yield tables of examples that only one of two runs has right."""
    for letter, rows in (("A", test.first_only), (name, test.second_only)):
        if not rows or not count:
            continue
        shown = [["example", "source", "target", "A", name]]
        for row in rows[:count]:
            texts = (*first.texts(row), second.texts(row)[2])
            shown.append([str(first.line(row)), *(shorten(text, MAX_TEXT) for text in texts)])
        yield ""
        yield f"only {letter} is right" + (f", the first {count} of {len(rows):,}" if len(rows) > count else "")
        yield from table(shown)


def as_object(infos: Sequence[RunInfo], answers: Sequence[Answers], tests: Sequence[PairedTest]) -> dict[str, Any]:
    """Return the comparison as a JSON object."""
    from rnncli.runs.listing import differing_keys

    return {
        "runs": [info_as_json(info) for info in infos],
        "keys": differing_keys(infos),
        "examples": len(answers[0].examples) if answers else None,
        "metrics": [
            {
                name: {"value": value, "interval": each.evaluation.intervals[name]}
                for name, value in each.evaluation.total.metrics.items()
            }
            for each in answers
        ],
        "tests": [
            {
                "first": str(infos[0].path),
                "second": str(info.path),
                "metrics": {
                    key: {"difference": test.differences[key], "p": test.p_values[key]} for key in test.differences
                },
                "both_right": test.both,
                "neither_right": test.neither,
                "only_first_right": [list(texts) for texts in differing_texts(answers[0], other, test.first_only)],
                "only_second_right": [list(texts) for texts in differing_texts(answers[0], other, test.second_only)],
            }
            for info, other, test in zip(infos[1:], answers[1:], tests, strict=False)
        ],
    }


def differing_texts(first: Answers, second: Answers, rows: Sequence[int]) -> Iterator[tuple[int, str, str, str, str]]:
    """Yield number, source, target and both predictions of examples."""
    for row in rows:
        yield first.line(row), *first.texts(row), second.texts(row)[2]


def write_differing(path: Path, answers: Sequence[Answers], tests: Sequence[PairedTest]) -> None:
    """Write the examples that only one of two runs has right as a table.

    Raises:
        RunFailedError: The file cannot be written.
    """
    from rnncli.files import write_atomically

    lines = ["run\tright\texample\tsource\ttarget\tfirst\tsecond"]
    for other, test in zip(answers[1:], tests, strict=True):
        for right, rows in (("first", test.first_only), ("second", test.second_only)):
            for number, *texts in differing_texts(answers[0], other, rows):
                cells = map(escape_line, (str(other.saved.path), right, str(number), *texts))
                lines.append("\t".join(map(escape_controls, cells)))
    with explain_os_errors(path, "written"):
        write_atomically(path, "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))
