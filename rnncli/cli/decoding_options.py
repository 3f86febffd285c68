"""Options of decoding, and the runs of an ensemble."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

from rnncli.cli.complete import complete_runs
from rnncli.cli.help import DECODING, combine, option
from rnncli.cli.options import RUN_PATH, open_run
from rnncli.inference.decoding_options import LIMITS, DecodingOptions

if TYPE_CHECKING:
    from rnncli.runs.directory import SavedRun

Function = TypeVar("Function", bound=Callable[..., Any])

BEAM_OPTIONS: list[Callable[[Any], Any]] = [
    option(
        "--beam",
        group=DECODING,
        type=click.IntRange(*LIMITS["beam"]),
        default=1,
        metavar="N",
        help="Beam width; 1, the default, decodes greedily.",
    ),
    option(
        "--length-penalty",
        group=DECODING,
        type=click.FloatRange(0),
        metavar="ALPHA",
        help="Divide scores by ((5 + length) / 6)^ALPHA.",
    ),
]
OTHER_OPTIONS: list[Callable[[Any], Any]] = [
    option(
        "--n-best",
        group=DECODING,
        type=click.IntRange(*LIMITS["n_best"]),
        default=1,
        metavar="K",
        help="Predictions to print for each source.",
    ),
    option(
        "--max-length",
        group=DECODING,
        type=click.IntRange(*LIMITS["max_length"]),
        metavar="N",
        help="Maximum length of a prediction.",
    ),
    option("--sample", group=DECODING, is_flag=True, help="Sample from the model instead of decoding greedily."),
    option(
        "--temperature",
        group=DECODING,
        type=click.FloatRange(0, min_open=True),
        metavar="T",
        help="Softmax temperature of --sample [default: 1].",
    ),
    option(
        "--top-k",
        group=DECODING,
        type=click.IntRange(*LIMITS["top_k"]),
        metavar="K",
        help="With --sample: only the K most probable symbols.",
    ),
    option(
        "--top-p",
        group=DECODING,
        type=click.FloatRange(0, 1, min_open=True),
        metavar="P",
        help="With --sample: only those of probability P in all.",
    ),
    option(
        "--seed",
        group=DECODING,
        type=click.IntRange(*LIMITS["seed"]),
        metavar="N",
        help="Random seed of --sample [default: 0].",
    ),
]

initial_state_options = combine(
    option(
        "--state-in",
        group=DECODING,
        metavar="STATES",
        help="Initial states: FILE, zeros, or carried (trained).",
    ),
    option(
        "--state-row",
        group=DECODING,
        type=click.IntRange(min=0),
        metavar="K",
        help="Start every row from row K of these.",
    ),
    option(
        "--allow-other-weights", group=DECODING, is_flag=True, help="Accept states of another run, if shapes match."
    ),
)
"""The options that choose initial states."""

ensemble_option = option(
    "--ensemble",
    "others",
    group=DECODING,
    metavar="RUN2",
    multiple=True,
    type=RUN_PATH,
    shell_complete=complete_runs,
    help="Average probabilities with RUN2's; repeatable.",
)


def beam_options(function: Function) -> Function:
    """Add `--beam` and `--length-penalty` to a command; it gets `options`, a `DecodingOptions`."""
    return _with_options(function, BEAM_OPTIONS)


def decoding_options(function: Function) -> Function:
    """Add all options of decoding to a command; it gets `options`, a `DecodingOptions`."""
    return _with_options(function, BEAM_OPTIONS + OTHER_OPTIONS)


def _with_options(function: Function, added: list[Callable[[Any], Any]]) -> Function:
    names = [field.name for field in fields(DecodingOptions)]

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        given = {name: value for name in names if (value := values.pop(name, None)) is not None}
        return function(**values, options=DecodingOptions(**given))

    return cast(Function, combine(*added)(command))


def open_others(
    saved: SavedRun, paths: tuple[Path, ...], device: Literal["auto", "cpu", "gpu"] | None, trust_code: bool
) -> list[SavedRun]:
    """Load the other runs of an ensemble.

    Raises:
        RunDirError: One is not a valid run directory.
        InputError: One is not compatible with the first.
    """
    from rnncli.inference.ensembles import check_ensemble_compatible

    others = [open_run(path, device, trust_code) for path in paths]
    check_ensemble_compatible(saved, others)
    return others
