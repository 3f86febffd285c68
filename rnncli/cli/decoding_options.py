"""Options of decoding, and the runs of an ensemble."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

from rnncli.cli.complete import complete_runs
from rnncli.cli.help import DECODING, option
from rnncli.cli.options import PATH, open_run

if TYPE_CHECKING:
    from rnncli.inference.decoding_options import Search
    from rnncli.runs.directory import SavedRun

Function = TypeVar("Function", bound=Callable[..., Any])

BEAM_OPTIONS: list[Callable[[Any], Any]] = [
    option(
        "--beam",
        group=DECODING,
        type=click.IntRange(1, 512),
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
        type=click.IntRange(1, 512),
        default=1,
        metavar="K",
        help="Predictions to print for each source.",
    ),
    option(
        "--max-length",
        group=DECODING,
        type=click.IntRange(1, 10_000),
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
        "--seed",
        group=DECODING,
        type=click.IntRange(0, 2**63 - 1),
        metavar="N",
        help="Random seed of --sample [default: 0].",
    ),
]

ensemble_option = option(
    "--ensemble",
    "others",
    group=DECODING,
    metavar="RUN2",
    multiple=True,
    type=PATH,
    shell_complete=complete_runs,
    help="Average probabilities with RUN2's; repeatable.",
)


def beam_options(function: Function) -> Function:
    """Add `--beam` and `--length-penalty` to a command; it gets a `search`."""
    return _with_search(function, BEAM_OPTIONS)


def search_options(function: Function) -> Function:
    """Add all options of decoding to a command; it gets a `search`."""
    return _with_search(function, BEAM_OPTIONS + OTHER_OPTIONS)


def _with_search(function: Function, options: list[Callable[[Any], Any]]) -> Function:
    names = ("beam", "length_penalty", "n_best", "max_length", "sample", "temperature", "seed")

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        given = {name: values.pop(name) for name in names if name in values}
        return function(**values, search=make_search(**given))

    for add_option in reversed(options):
        add_option(command)
    return cast(Function, command)


def make_search(
    beam: int,
    length_penalty: float | None,
    n_best: int = 1,
    max_length: int | None = None,
    sample: bool = False,
    temperature: float | None = None,
    seed: int | None = None,
) -> Search:
    """Return the decoding options that the command line gives.

    Raises:
        click.UsageError: Two of them contradict each other.
        InputError: Likewise.
    """
    from rnncli.inference.decoding_options import Search

    if sample and beam > 1:
        raise click.UsageError("--sample and --beam exclude each other")
    for name, value in (("--temperature", temperature), ("--seed", seed)):
        if value is not None and not sample:
            raise click.UsageError(f"{name} needs --sample")
    if length_penalty is not None and beam == 1:
        raise click.UsageError("--length-penalty needs --beam 2 or more")
    if n_best > beam and not sample:
        raise click.UsageError(f"--n-best {n_best} needs --beam {n_best} or more, or --sample")
    drawn = (1.0 if temperature is None else temperature) if sample else None
    return Search(beam, n_best, length_penalty or 0.0, max_length, drawn, seed or 0)


def open_others(
    saved: SavedRun, paths: tuple[Path, ...], device: Literal["auto", "cpu", "gpu"] | None, trust_code: bool
) -> list[SavedRun]:
    """Load the other runs of an ensemble.

    Raises:
        RunDirError: One is not a valid run directory.
        InputError: One is not compatible with the first.
    """
    from rnncli.inference.ensembles import check_members

    others = [open_run(path, device, trust_code) for path in paths]
    check_members(saved, others)
    return others
