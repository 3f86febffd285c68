"""`rnncli predict`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from rnncli.cli.decoding_options import decoding_options, ensemble_option, initial_state_options, open_others
from rnncli.cli.help import INPUT, OUTPUT, RUN, Command, option
from rnncli.cli.input_lines import STDIN, files_of, open_lines
from rnncli.cli.options import (
    PATH,
    check_raw,
    input_option,
    raw_option,
    run_argument,
    run_options,
    show_message,
    start_predictor,
)
from rnncli.errors import InputError, RunFailedError
from rnncli.inference.backends import AUTO, BACKENDS
from rnncli.text import escape_controls, escape_json, escape_line

if TYPE_CHECKING:
    from rnncli.data.task import Task
    from rnncli.inference.decoding_options import DecodingOptions
    from rnncli.inference.prediction import Prediction, Predictor
    from rnncli.runs.directory import SavedRun

    SaveAttention = Callable[[Sequence[Prediction]], None]


MAX_ECHOED = 1000
"""Characters of an invalid line that the output repeats."""


@click.command(
    "predict",
    cls=Command,
    examples=(
        'rnncli predict RUN "123+45" "7+8"',
        "rnncli predict RUN --input data/sums.txt --beam 5 --n-best 3",
        "seq 1 9 | sed 's/.*/&+&/' | rnncli predict RUN --ensemble RUN2",
    ),
)
@run_argument
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@input_option
@option("--features", group=INPUT, metavar="FEATURES", help="Features of sources without, such as 'V;PST'.")
@decoding_options
@ensemble_option
@initial_state_options
@option(
    "--format",
    "form",
    group=OUTPUT,
    type=click.Choice(["text", "tsv", "jsonl"]),
    default="text",
    show_default=True,
    help="tsv adds source and score.",
)
@option("--scores", group=OUTPUT, is_flag=True, help="Add log probabilities to text, behind a tab.")
@raw_option
@option(
    "--attention",
    "attention_path",
    group=OUTPUT,
    metavar="FILE",
    type=PATH,
    help="Write attention weights (.npz) for plot attention.",
)
@option(
    "--state-out", group=OUTPUT, type=PATH, metavar="FILE", help="Write the final states (.npz, .h5, .safetensors)."
)
@option("--strict", group=RUN, is_flag=True, help="Stop at the first invalid line.")
@option(
    "--backend",
    group=RUN,
    type=click.Choice([AUTO, *BACKENDS]),
    default=AUTO,
    show_default=True,
    help="onnx needs no TensorFlow; auto uses it if exported.",
)
@run_options
def command(
    run: Path,
    sources: tuple[str, ...],
    input_path: str | None,
    features: str | None,
    form: str,
    scores: bool,
    raw: bool,
    options: DecodingOptions,
    others: tuple[Path, ...],
    attention_path: Path | None,
    state_in: str | None,
    state_row: int | None,
    state_out: Path | None,
    overwrite: bool,
    allow_other_weights: bool,
    strict: bool,
    checkpoint: str,
    backend: str,
    trust_code: bool,
    device: Literal["auto", "cpu", "gpu"] | None,
    quiet: bool,
) -> None:
    """Predict the targets of sources with a trained model, RUN or an exported predict.onnx.

    Sources are arguments, lines of a file, or lines of stdin; each gives one line of output, or K lines with --n-best
    K. An invalid line gives empty predictions and a message; the exit status is then 1. Line n of a stateful model
    continues from line n minus the batch size; the first ones start from --state-in, or where an epoch of training
    does (model.reset).
    """
    check_format(form, scores, raw)
    check_outputs(attention_path, state_out, overwrite, input_path)
    from rnncli.data.task import text_of
    from rnncli.inference.backends import Request, load
    from rnncli.inference.ensembles import check_attention

    saved = load(run, checkpoint, trust_code).on(device or "auto")
    with_states = bool(saved.carried or state_in or state_out)
    if with_states:
        check_options_with_states(options, others, attention_path)
    check_features(saved, features)
    members = open_others(saved, others, device, trust_code)
    options.check(saved.config.model)
    if attention_path is not None:
        check_attention([saved, *members])
    request = Request(saved, members, device or "auto", with_states)
    show = Style(form, options.n_best, scores, saved.task, raw)
    with open_lines(input_path, sources) as (name, input_lines):
        lines = with_features((text_of(saved.task, line) for line in input_lines), features)
        if name == STDIN and sys.stdin.isatty() and not quiet:
            click.echo("reading lines from the terminal; Ctrl-D ends", err=True)
        if with_states:
            from rnncli.cli.stateful_prediction import predict_from_states
            from rnncli.inference.initial_states import InitialStates

            start = InitialStates(saved, state_in, state_row, allow_other_weights)
            predict_from_states(request, backend, start, (state_out, overwrite), (name, lines), show, quiet)
            invalid = 0  # one would have been an error
        elif state_row is not None or allow_other_weights:
            raise click.UsageError("--state-row and --allow-other-weights need --state-in")
        else:
            predictor = start_predictor(request, backend, quiet)
            with attention_writer([saved, *members], predictor, options, attention_path, overwrite) as save_attention:
                shown = Output(name, show, strict, quiet)
                invalid = print_predictions(predictor, lines, shown, options, save_attention)
    if invalid:
        lines_and = "lines (wrote empty predictions)" if invalid > 1 else "line (wrote an empty prediction)"
        raise RunFailedError(f"{invalid} invalid input {lines_and}")


def check_features(saved: SavedRun, features: str | None) -> None:
    """Check that sources have features, if some are given.

    Raises:
        InputError: They have none, or what is given has a tab.
    """
    if features is not None and saved.task.sizes.first_symbols:
        hint = "remove --features, and write first text, tab, second text"
        raise InputError(f"--features: {saved.path} reads two texts", hint)
    if features is not None and saved.task.columns.features is None:
        raise InputError(f"--features: {saved.path} reads sources without features", "remove --features")
    if features is not None and "\t" in features:
        raise InputError("--features: a tab in it", "separate features as in the training data")


def with_features(lines: Iterable[str], features: str | None) -> Iterable[str]:
    """Return sources, with features behind those that have none."""
    return lines if features is None else (line if "\t" in line else f"{line}\t{features}" for line in lines)


def check_format(form: str, scores: bool, raw: bool) -> None:
    """Check that the options of an output format fit to it.

    Raises:
        click.UsageError: They do not.
    """
    if scores and form != "text":
        raise click.UsageError(f"--scores needs --format text; {form} has scores anyway")
    check_raw(raw, form)


def check_options_with_states(options: DecodingOptions, others: tuple[Path, ...], attention: Path | None) -> None:
    """Check that no option needs several predictions or models: states continue from one prediction.

    Raises:
        InputError: Such an option is given.
    """
    from rnncli.inference.decoding_options import DecodingOptions

    options_given = {
        "--beam, --sample, --n-best or --max-length": options != DecodingOptions(),
        "--ensemble": others,
        "--attention": attention,
    }
    if given := [name for name, value in options_given.items() if value]:
        raise InputError(
            f"{given[0]} does not work with states (--state-in, --state-out, stateful models)",
            f"remove {given[0]}",
        )


def check_outputs(attention: Path | None, states: Path | None, overwrite: bool, input_path: str | None) -> None:
    """Check that attention weights and final states can be written to files, which are not those of the input.

    Raises:
        InputError: They cannot.
    """
    if attention is not None:
        from rnncli.states.export import check_option_output
        from rnncli.states.formats import readable_formats

        check_option_output("--attention", attention, readable_formats(), overwrite, files_of(input_path))
    if states is not None:
        from rnncli.cli.stateful_prediction import check_state_out

        check_state_out(states, overwrite, input_path)


@contextlib.contextmanager
def attention_writer(
    runs: Sequence[SavedRun], run: Predictor, options: DecodingOptions, path: Path | None, overwrite: bool
) -> Iterator[SaveAttention | None]:
    """Yield a function that writes the attention of predictions to a file; None without a file."""
    if path is None:
        yield None
        return
    from rnncli.inference.prediction import attention_batch
    from rnncli.runs.provenance import describe
    from rnncli.states.batch import ATTENTION
    from rnncli.states.export import open_writer

    shape = run.decoder.max_length(options), run.task.sizes.source_steps
    manifest = describe(runs[0], run.kernels, "free-running")
    manifest["ensemble"] = [str(saved.path) for saved in runs[1:]]
    with open_writer(path, None, manifest, {ATTENTION: shape}, overwrite=overwrite) as writer:
        yield lambda predictions: writer.write(attention_batch(predictions, shape))


def print_predictions(
    run: Predictor,
    lines: Iterable[str],
    out: Output,
    options: DecodingOptions,
    save_attention: SaveAttention | None,
) -> int:
    """Print predictions as they arrive, and a message for each invalid line; returns the number of these."""
    from rnncli.cli.unknown_symbols import UnknownSymbolNotes

    invalid, number, name = 0, 0, out.name
    unknown = UnknownSymbolNotes(run.task, name, out.quiet)
    for chunk in run.predict_stream(lines, options, attention=save_attention is not None):
        for prediction in chunk:
            number += 1
            unknown.tell(prediction)
            if prediction.error is not None:
                invalid += 1
                if out.strict:
                    raise RunFailedError(f"{name}:{number}: {prediction.error}", prediction.hint)
                hint = f"; {prediction.hint}" if prediction.hint else ""
                show_message(f"{name}:{number}: {prediction.error}{hint}")
            sys.stdout.write(out.show(prediction) + "\n")
        sys.stdout.flush()
        if save_attention is not None:
            save_attention(chunk)
    unknown.tell_total()
    return invalid


@dataclass(frozen=True)
class Output:
    """Settings of what is printed.

    Attributes:
        name: Name of the input, for messages.
        show: Returns a prediction as lines of output.
        strict: Stop at the first invalid line.
        quiet: Print no notes.
    """

    name: str
    show: Callable[[Prediction], str]
    strict: bool
    quiet: bool


@dataclass(frozen=True)
class Style:
    """Output format of predictions.

    Attributes:
        form: text, tsv or jsonl.
        n_best: Predictions for each line.
        scores: Add scores to text.
        task: The task of the predictions.
        raw: Leave control characters of text and tsv as they are.
    """

    form: str
    n_best: int
    scores: bool
    task: Task
    raw: bool = False

    def __call__(self, prediction: Prediction) -> str:
        """Return a prediction as a line, or as one line for each of the n best."""
        if self.form == "jsonl":
            return self._json(prediction)
        from rnncli.data.task import line_of

        safe = str if self.raw else escape_controls
        answers = [(safe(line_of(self.task, text)), f"{score:.6g}") for text, score in prediction.hypotheses]
        answers += [("", "")] * (self.n_best - len(answers))
        if self.form == "text":
            return "\n".join(f"{text}\t{score}" if self.scores else text for text, score in answers)
        source = safe(escape_line(_echoed(prediction)))
        ranks = [f"\t{rank}" if self.n_best > 1 else "" for rank in range(1, self.n_best + 1)]
        rows = zip(answers, ranks, strict=True)
        return "\n".join(f"{source}\t{text}\t{score}{rank}" for (text, score), rank in rows)

    def _json(self, prediction: Prediction) -> str:
        values: dict[str, Any] = {
            "source": _echoed(prediction),
            "prediction": prediction.text,
            "score": prediction.score,
        }
        if self.n_best > 1:
            values["hypotheses"] = [{"prediction": text, "score": score} for text, score in prediction.hypotheses]
        if prediction.probabilities is not None:
            values["probabilities"] = prediction.probabilities
        if prediction.error is not None:
            values |= {"error": prediction.error, "hint": prediction.hint}
        return escape_json(json.dumps(values, ensure_ascii=False))


def _echoed(prediction: Prediction) -> str:
    """Return the source as the output repeats it: of an invalid line of any length only the beginning."""
    if prediction.error is None or len(prediction.source) <= MAX_ECHOED:
        return prediction.source
    return prediction.source[: MAX_ECHOED - 3] + "..."
