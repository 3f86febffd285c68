"""`rnncli generate`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rnncli.cli.decoding_options import initial_state_options
from rnncli.cli.help import DECODING, INPUT, OUTPUT, Command, option
from rnncli.cli.input_lines import STDIN, open_lines
from rnncli.cli.options import (
    PATH,
    check_raw,
    input_option,
    open_run,
    raw_option,
    run_argument,
    run_options,
    show_unknown,
    start_run,
)
from rnncli.errors import DataError, InputError
from rnncli.inference.decoding_options import LIMITS
from rnncli.inference.generation_options import MAX_LENGTH, GenerationOptions
from rnncli.text import escape_json, escape_text, unescape_line

if TYPE_CHECKING:
    from rnncli.inference.decoding import States
    from rnncli.inference.generation import Continuation
    from rnncli.inference.initial_states import InitialStates
    from rnncli.inference.predictor import TrainedRun
    from rnncli.runs.directory import SavedRun

MAX_ROWS = 192
"""Texts that are written at a time."""
SEPARATOR = "----"
"""The line between texts."""


@click.command(
    "generate",
    cls=Command,
    examples=(
        'rnncli generate RUN --prime "KING:" --length 500 --temperature 0.7',
        "rnncli generate RUN --input primes.txt --format jsonl --n 3",
        "rnncli generate RUN --state-in end.npz --state-out next.npz",
    ),
)
@run_argument
@option("--prime", group=INPUT, metavar="TEXT", help="Text to go on from [default: \\n].")
@input_option
@option(
    "--length",
    group=DECODING,
    type=click.IntRange(1, MAX_LENGTH),
    default=GenerationOptions.length,
    metavar="N",
    show_default=True,
    help="Symbols to write.",
)
@option(
    "--temperature",
    group=DECODING,
    type=click.FloatRange(0),
    default=GenerationOptions.temperature,
    metavar="T",
    show_default=True,
    help="Softmax temperature; 0 is greedy.",
)
@option(
    "--top-k",
    group=DECODING,
    type=click.IntRange(*LIMITS["top_k"]),
    metavar="K",
    help="Sample from the K most probable.",
)
@option(
    "--top-p",
    group=DECODING,
    type=click.FloatRange(0, 1, min_open=True),
    metavar="P",
    help="Sample from the most probable of probability P.",
)
@option("--stop", group=DECODING, metavar="TEXT", help="End after this text.")
@option(
    "--n",
    "copies",
    group=DECODING,
    type=click.IntRange(1, 10_000),
    default=1,
    metavar="N",
    help="Texts to write for each prime.",
)
@option(
    "--seed",
    group=DECODING,
    type=click.IntRange(*LIMITS["seed"]),
    default=0,
    metavar="N",
    help="Random seed [default: 0].",
)
@initial_state_options
@option(
    "--format",
    "form",
    group=OUTPUT,
    type=click.Choice(["text", "jsonl"]),
    default="text",
    show_default=True,
    help="Output format.",
)
@raw_option
@option(
    "--state-out", group=OUTPUT, type=PATH, metavar="FILE", help="Write the final states (.npz, .h5, .safetensors)."
)
@run_options
def command(
    run: Path,
    prime: str | None,
    input_path: str | None,
    length: int,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    stop: str | None,
    copies: int,
    seed: int,
    state_in: str | None,
    state_row: int | None,
    allow_other_weights: bool,
    form: str,
    raw: bool,
    state_out: Path | None,
    overwrite: bool,
    checkpoint: str,
    trust_code: bool,
    device: Literal["auto", "cpu", "gpu"] | None,
    quiet: bool,
) -> None:
    r"""Write text with a trained language model.

    The model reads the prime and writes on, each symbol sampled from its probabilities; the same seed writes the same
    text. --state-in goes on from the end, which --state-out kept, as if the text were longer, without a prime unless
    one is given. Each line of --input is a prime. In primes and --stop, \n is a line end. A line of ---- follows each
    of several texts.
    """
    check_raw(raw, form)
    options = GenerationOptions(
        length, temperature, top_k, top_p, seed, None if stop is None else unescape_line(stop)
    )
    if prime is not None and input_path is not None:
        raise click.UsageError("--prime and --input exclude each other")
    if state_in is None and (state_row is not None or allow_other_weights):
        raise click.UsageError("--state-row and --allow-other-weights need --state-in")
    if state_out is not None:
        from rnncli.cli.stateful_prediction import check_state_out

        check_state_out(state_out, overwrite, input_path)
    saved = open_run(run, device, trust_code, checkpoint)
    check_writes(saved)
    start = open_states(saved, state_in, state_row, allow_other_weights)
    primes = read_primes(saved, prime, input_path, copies, start is not None)
    if not quiet:
        show_unknown(saved.task, STDIN if input_path == "-" else input_path or "the prime")
    trained = start_run(saved, quiet=quiet)
    ends: list[Continuation] = []
    for first, chunk in chunks_of(primes, start):
        ends.append(write_texts(trained, chunk, first, options, start, form, raw))
    if state_out is not None:
        write_states(state_out, overwrite, saved, trained, ends)


def check_writes(saved: SavedRun) -> None:
    """Refuse a run whose model does not write texts, before TensorFlow is imported.

    Raises:
        InputError: It does not.
    """
    from rnncli.data.task import WritesText

    if not isinstance(saved.task, WritesText):
        kind = f"model {saved.config.model.type} of task {saved.config.task.type}"
        other = "; `rnncli predict` asks it" if saved.config.task.type != "text" else ""
        raise InputError(f"{saved.path}: only models of task: text write texts, and this is {kind}{other}")


def open_states(saved: SavedRun, source: str | None, row: int | None, allow_other: bool) -> InitialStates | None:
    """Return the states to start from; None starts as a new text."""
    from rnncli.inference.initial_states import InitialStates

    return None if source is None else InitialStates(saved, source, row, allow_other)


def read_primes(saved: SavedRun, prime: str | None, path: str | None, copies: int, goes_on: bool) -> Sequence[str]:
    """Return the primes, each as often as texts are wanted of it.

    Raises:
        DataError: There are none, or the default one is no symbol of the model.
    """
    from rnncli.data.task import WritesText, text_of

    task = saved.task
    assert isinstance(task, WritesText), "as was checked before"
    if path is not None:
        with open_lines(path) as (name, lines):
            primes = [text_of(task, line) for line in lines]
        if not primes:
            raise DataError(f"{name}: no lines, so nothing to go on from")
    elif prime is None:
        primes = ["" if goes_on else "\n"]
        if not goes_on and "\n" not in task.target_vocabulary.ids and "<0x0A>" not in task.target_vocabulary.ids:
            raise InputError(
                f"{saved.path}: its texts have no line ends, so --prime has no default", "give --prime TEXT"
            )
    else:
        primes = [text_of(task, prime)]
    for each in primes:
        task.read_prime(each, count=True)
    return [each for each in primes for _ in range(copies)]


def chunks_of(primes: Sequence[str], start: InitialStates | None) -> Iterator[tuple[int, list[str]]]:
    """Yield the primes in lists that are written together, with the number of the first; with states all of them."""
    if start is not None and len(primes) > MAX_ROWS:
        raise InputError(f"{len(primes)} texts from --state-in; {MAX_ROWS} at most", "give fewer, or a smaller --n")
    for at in range(0, len(primes), MAX_ROWS):
        yield at + 1, list(primes[at : at + MAX_ROWS])


def write_texts(
    run: TrainedRun,
    primes: Sequence[str],
    first: int,
    options: GenerationOptions,
    start: InitialStates | None,
    form: str,
    raw: bool,
) -> Continuation:
    """Write the texts of some primes to stdout, one alone while it is written; return where they go on."""
    from rnncli.inference.generation import TextStream

    before, generator = None, run.generator
    if start is not None:
        states, positions = start.load_rows(run.model.state_spec, len(primes))
        before = generator.go_on(states, positions)
    stream = TextStream(generator, primes, options, before, first)
    safe = str if raw else escape_text
    alone = len(primes) == 1 and form == "text"
    if alone:
        show(safe(primes[0]))
    for new, *_ in stream:
        if alone:
            show(safe(new))
    if form == "jsonl":
        for prime, text in zip(primes, stream.texts, strict=True):
            line = json.dumps({"prime": prime, "text": text}, ensure_ascii=False)
            show(f"{escape_json(line)}\n")
    elif alone:
        show("" if stream.texts[0].endswith("\n") else "\n")
    else:
        texts = [safe(prime + text) for prime, text in zip(primes, stream.texts, strict=True)]
        show("".join(f"{text}{'' if text.endswith(chr(10)) else chr(10)}{SEPARATOR}\n" for text in texts))
    return stream.now


def show(text: str) -> None:
    """Write to stdout at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def write_states(path: Path, overwrite: bool, saved: SavedRun, run: TrainedRun, ends: Sequence[Continuation]) -> None:
    """Write the states at the end of all texts, with the number of symbols that were sampled of each."""
    import numpy as np

    from rnncli.runs.provenance import describe
    from rnncli.states.final_states import write_final_states

    states: States = {name: np.concatenate([end.state[name] for end in ends]) for name in ends[0].state}
    positions = [position for end in ends for position in end.positions]
    manifest = describe(saved, run.model.kernels, "free-running") | {"positions": positions}
    write_final_states(path, states, manifest, overwrite)
