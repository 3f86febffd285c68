"""`rnncli predict`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from rnncli.cli.lines import STDIN, open_lines
from rnncli.cli.options import (
    device_option,
    input_option,
    open_run,
    quiet_option,
    run_argument,
    show_unknown,
    start_run,
    trust_option,
    verbose_option,
)
from rnncli.cli.tsv import cell
from rnncli.errors import RunFailedError

if TYPE_CHECKING:
    from rnncli.prediction import Prediction, TrainedRun


@click.command("predict")
@run_argument
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@input_option
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "tsv", "jsonl"]),
    default="text",
    show_default=True,
    help="text: the prediction. tsv: source, prediction, score. jsonl: all there is.",
)
@click.option("--state-in", metavar="FILE|zeros|carried", help="States to start from; carried: those training left.")
@click.option("--state-row", type=click.IntRange(min=0), metavar="K", help="Start every row from row K of them.")
@click.option("--state-out", type=click.Path(path_type=Path), help="Write the states that prediction ends with.")
@click.option("--overwrite", is_flag=True, help="Replace a file of states that is there.")
@click.option("--allow-other-weights", is_flag=True, help="Take states of another run of equal shape.")
@click.option("--strict", is_flag=True, help="Stop at the first bad line.")
@trust_option
@device_option
@quiet_option
@verbose_option
def command(
    run: Path,
    sources: tuple[str, ...],
    input_path: str | None,
    style: str,
    state_in: str | None,
    state_row: int | None,
    state_out: Path | None,
    overwrite: bool,
    allow_other_weights: bool,
    strict: bool,
    trust_code: bool,
    device: Literal["auto", "cpu", "gpu"] | None,
    quiet: bool,
) -> None:
    """Answer sources with the trained model in the run directory RUN.

    Sources are arguments, lines of a file, or lines of stdin. One line in gives one line out, in order. A bad line
    gives an empty answer and a message on stderr, and the exit status is 1 at the end. For pairs with features a line
    is the source, a tab and the features.

    A stateful model takes lines in batches of the size that it was trained in, and starts from the states that
    training left. With --state-in the decoder of an encoder-decoder starts from the given states, and sources are
    only counted; other models read on from them. RUN is never changed.

    \b
      rnncli predict RUN "123+45" "7+8"
      rnncli predict RUN --input data/sums.txt --format jsonl
      seq 1 9 | sed 's/.*/&+&/' | rnncli predict RUN
    """  # noqa: D301 (\b keeps click from filling the lines)
    saved = open_run(run, device, trust_code)
    with open_lines(input_path, sources) as (name, lines):
        if name == STDIN and sys.stdin.isatty() and not quiet:
            click.echo("reading lines from the terminal; Ctrl-D ends", err=True)
        if saved.carried or state_in or state_out:
            from rnncli.cli.stateful import Start, answer_from_states

            start = Start(saved, state_in, state_row, allow_other_weights)
            answer_from_states(saved, start, (state_out, overwrite), (name, lines), FORMATS[style], quiet)
            return
        if state_row is not None or allow_other_weights:
            raise click.UsageError("--state-row and --allow-other-weights go with --state-in")
        bad = answer(start_run(saved), lines, name, FORMATS[style], strict)
    if not quiet:
        show_unknown(saved.task, name)
    if bad:
        raise RunFailedError(f"{bad} bad line{'s' if bad > 1 else ''}, answered by nothing")


def answer(run: TrainedRun, lines: Iterable[str], name: str, show: Callable[[Prediction], str], strict: bool) -> int:
    """Print predictions as they come, and a message for each bad line; returns how many were bad."""
    bad = number = 0
    for chunk in run.predict_stream(lines):
        for prediction in chunk:
            number += 1
            if prediction.error is not None:
                bad += 1
                if strict:
                    raise RunFailedError(f"{name}:{number}: {prediction.error}", prediction.hint)
                hint = f"; {prediction.hint}" if prediction.hint else ""
                click.echo(f"{name}:{number}: {prediction.error}{hint}", err=True)
            sys.stdout.write(show(prediction) + "\n")
        sys.stdout.flush()
    return bad


def as_text(prediction: Prediction) -> str:
    """The prediction alone."""
    return prediction.text


def as_tsv(prediction: Prediction) -> str:
    """Source, prediction and score; tabs and line ends inside a source are escaped by a backslash."""
    score = "" if prediction.score is None else f"{prediction.score:.6g}"
    return f"{cell(prediction.source)}\t{prediction.text}\t{score}"


def as_json(prediction: Prediction) -> str:
    """Everything, as one JSON object."""
    values: dict[str, Any] = {"source": prediction.source, "prediction": prediction.text, "score": prediction.score}
    if prediction.probabilities is not None:
        values["probabilities"] = prediction.probabilities
    if prediction.error is not None:
        values |= {"error": prediction.error, "hint": prediction.hint}
    return json.dumps(values, ensure_ascii=False)


FORMATS = {"text": as_text, "tsv": as_tsv, "jsonl": as_json}
