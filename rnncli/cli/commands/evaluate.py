"""`rnncli evaluate`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rnncli.cli.decoding_options import beam_options, ensemble_option, initial_state_options, open_others
from rnncli.cli.evaluation_tables import as_text
from rnncli.cli.help import INPUT, OUTPUT, Command, option
from rnncli.cli.input_lines import files_of, read_input
from rnncli.cli.options import (
    PATH,
    input_option,
    open_run,
    run_argument,
    run_options,
    show_message,
    show_notes,
    show_unknown,
    start_run,
    table_or_json_option,
)
from rnncli.cli.tables import alignment_cell
from rnncli.errors import InputError, explain_os_errors
from rnncli.text import escape_controls, escape_line, printable

if TYPE_CHECKING:
    from rnncli.data.examples import Examples
    from rnncli.data.task import Task, TellsSeen
    from rnncli.inference.decoding_options import DecodingOptions
    from rnncli.inference.evaluation import WrongPrediction
    from rnncli.inference.initial_states import InitialStates
    from rnncli.runs.directory import SavedRun


@click.command(
    "evaluate",
    cls=Command,
    examples=(
        "rnncli evaluate RUN",
        "rnncli evaluate RUN --input data/sums.txt --by digits --beam 5",
        "rnncli evaluate RUN --test --errors errors.tsv --format json",
    ),
)
@run_argument
@input_option
@option("--test", group=INPUT, is_flag=True, help="Use task.test in place of the held-out data.")
@beam_options
@ensemble_option
@initial_state_options
@option(
    "--by",
    "kinds",
    group=OUTPUT,
    metavar="KIND",
    multiple=True,
    help="Group by length, feature, seen, digits, label, ...; repeatable.",
)
@option(
    "--references",
    group=INPUT,
    type=click.Choice(["each", "any"]),
    default="each",
    show_default=True,
    help="any: a source counts once, right if any target is met.",
)
@option("--errors", group=OUTPUT, type=PATH, metavar="FILE", help="Write wrong predictions, aligned, to FILE (TSV).")
@table_or_json_option
@run_options
def command(
    run: Path,
    input_path: str | None,
    test: bool,
    kinds: tuple[str, ...],
    references: Literal["each", "any"],
    errors: Path | None,
    overwrite: bool,
    style: str,
    options: DecodingOptions,
    others: tuple[Path, ...],
    state_in: str | None,
    state_row: int | None,
    allow_other_weights: bool,
    checkpoint: str,
    trust_code: bool,
    device: Literal["auto", "cpu", "gpu"] | None,
    quiet: bool,
) -> None:
    """Measure a trained model on its held-out data, or on that of a file.

    A line of --input is a source, a tab and the target; pairs and classify read the columns of their training files,
    addition needs no target, and a language model reads a text. Exact match is the share of fully correct
    predictions; the symbol error rate is the edit distance over all symbols. Intervals are 95% confidence intervals.
    In the alignments of --errors `a→b` is a substitution, `a→` a deletion, `→b` an insertion, and ␣ a space.
    Classifiers have accuracy, balanced accuracy, macro F1 and a confusion matrix instead. A stateful model starts as
    in `rnncli predict`.
    """
    if test and input_path is not None:
        raise click.UsageError("--test and --input exclude each other")
    if overwrite and errors is None:
        raise click.UsageError("--overwrite needs --errors")
    if errors is not None:
        check_errors(errors, overwrite, input_path)
    saved = open_run(run, device, trust_code, checkpoint)
    options.check(saved.config.model)
    members = open_others(saved, others, device, trust_code)
    start = initial_states(saved, state_in, state_row, allow_other_weights)
    examples = read(saved, input_path, test, quiet)
    chosen = choose_groups(saved, examples, kinds, all_kinds=style == "json")
    sources = distinct_sources(saved.task, examples) if references == "any" else None
    asked = examples if sources is None else examples.rows([rows[0] for rows in sources])
    trained = start_run(saved, members, quiet)
    from rnncli.inference.evaluation import closest_references, compare, evaluate, wrong_predictions
    from rnncli.inference.examples import predict_and_score, score_examples

    if start.name and not quiet:
        show_message(start.describe(trained.is_autoregressive))
    states = start.load(trained.model.state_spec, len(asked)) or {}
    task, model, targets = saved.task, saved.config.kind, None
    predicted, scored = predict_and_score(trained.decoder, asked, states, options)
    if sources is not None:
        examples, targets = examples.rows(closest_references(task, examples, sources, predicted)), len(examples)
        scored = score_examples(trained.decoder, examples, {})
    predictions = compare(task, examples, predicted, scored)
    evaluation = replace(evaluate(task, examples, predictions, chosen, model), targets=targets)
    click.echo(json.dumps(evaluation.as_json()) if style == "json" else as_text(evaluation, model))
    if errors is not None:
        write_errors(errors, wrong_predictions(task, examples, predictions))


def distinct_sources(task: Task, examples: Examples) -> list[list[int]]:
    """Return the rows of each distinct source.

    Raises:
        InputError: The examples continue each other, so that none can be left out.
    """
    from rnncli.data.references import rows_by_source

    if examples.continuing:
        raise InputError("--references any: the examples are the windows of one text", "leave it out")
    return rows_by_source(examples, task.source_vocabulary)


def initial_states(saved: SavedRun, source: str | None, row: int | None, allow_other_weights: bool) -> InitialStates:
    """Return the initial states of an evaluation; see `InitialStates`.

    Raises:
        InputError: There are no such states, or the model is not stateful.
    """
    from rnncli.inference.initial_states import InitialStates

    if source is not None and not saved.carried:
        raise InputError(
            f"{saved.path}: --state-in: the model is not stateful; each example starts from its own states",
            "remove --state-in",
        )
    return InitialStates(saved, source, row, allow_other_weights)


def check_errors(path: Path, overwrite: bool, input_path: str | None) -> None:
    """Refuse a file of errors that cannot be written, or that exists and may not be replaced."""
    from rnncli.files import check_output_path

    if str(path) == "-":
        raise InputError("--errors -: stdout has the metrics", "give the name of a file")
    check_output_path(path, overwrite, inputs=files_of(input_path))


def read(saved: SavedRun, input_path: str | None, test: bool, quiet: bool) -> Examples:
    """Return the examples to evaluate; unless quiet, warnings about them go to stderr.

    Args:
        saved: The run.
        input_path: A file of examples; None for those of the config.
        test: True for task.test, False for the held-out data.
        quiet: True drops the warnings.

    Raises:
        InputError: There are no such examples, or they cannot be used.
    """
    from rnncli.runs.held_out import recorded_examples

    task = saved.task
    if input_path is not None:
        name, (examples,) = read_input([task], input_path)
        if not quiet:
            show_notes(examples)
            show_unknown(task, name)
            show_overlap(saved, examples, name)
        return examples
    examples = recorded_examples(saved, test)
    if not quiet:
        show_notes(examples)
        if test:
            show_overlap(saved, examples, "task.test")
    return examples


def show_overlap(saved: SavedRun, examples: Examples, name: str) -> None:
    """Warn on stderr of sources that are in the training data, if that is unchanged."""
    from rnncli.data.task import HasTest
    from rnncli.runs.held_out import refuse_pipes
    from rnncli.runs.provenance import SPLITS, is_recorded

    if not isinstance(saved.task, HasTest):
        return
    try:
        refuse_pipes(saved)
        train = saved.task.splits()[0]
        known = is_recorded(saved.path, SPLITS[0], train)
    except InputError:
        return
    if known and (warning := saved.task.overlap(examples, train)):
        click.echo(printable(f"{name}: {warning}"), err=True)


def choose_groups(saved: SavedRun, examples: Examples, kinds: Sequence[str], all_kinds: bool) -> list[str]:
    """Return the kinds of groups to show.

    Args:
        saved: The run.
        examples: At least one.
        kinds: The requested kinds.
        all_kinds: True shows all kinds if none is requested, False those that the task shows by default.

    Raises:
        InputError: There are no groups of a requested kind, or they need training data that has changed.
    """
    from rnncli.data.task import SEEN, HasGroups, TellsSeen
    from rnncli.metrics.base import CLASSIFIERS
    from rnncli.metrics.class_report import LABEL

    if SEEN in kinds and isinstance(saved.task, TellsSeen):
        remember_training(saved, saved.task)
    available, task = [LABEL] if saved.config.model.type in CLASSIFIERS else [], saved.task
    if isinstance(task, HasGroups):
        available += task.groups(task.show_source(examples.source[0, : examples.source_lengths[0]].tolist()))
    if not kinds:
        return available if all_kinds else list(getattr(task, "shown_groups", ()))
    for kind in kinds:
        if kind not in available:
            hint = f"choose from {', '.join(available)}" if available else "its examples have no groups"
            raise InputError(f"--by {kind}: the task has no such groups", hint)
    return list(dict.fromkeys(kinds))


def remember_training(saved: SavedRun, task: TellsSeen) -> None:
    """Let a task know what training has seen.

    Raises:
        InputError: The training data cannot be read, or has changed.
    """
    from rnncli.runs.held_out import refuse_pipes
    from rnncli.runs.provenance import SPLITS, is_recorded

    refuse_pipes(saved)
    if not is_recorded(saved.path, SPLITS[0], saved.task.splits()[0]):
        what = f"{saved.path}: --by seen: the training data has changed since training"
        raise InputError(what, "put back what the run was trained on, or leave out --by seen")
    task.remember_training()


HEADER = ("example", "source", "prediction", "target", "edits", "alignment")


def write_errors(path: Path, predictions: Iterable[WrongPrediction]) -> None:
    """Write the table of wrong predictions.

    Raises:
        RunFailedError: The file cannot be written.
    """
    from rnncli.files import write_atomically

    lines = ["\t".join(HEADER)]
    for wrong in predictions:
        texts = map(escape_line, (wrong.source, wrong.prediction, wrong.target))
        cells = str(wrong.example), *texts, str(wrong.edits), alignment_cell(wrong.alignment)
        lines.append("\t".join(map(escape_controls, cells)))
    with explain_os_errors(path, "written"):
        write_atomically(path, "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace"))
