"""Options that say how answers are looked for, and by which runs together."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import click

from rnncli.cli.options import PATH, open_run

if TYPE_CHECKING:
    from rnncli.inference.decoding_options import Search
    from rnncli.runs.directory import SavedRun

Function = TypeVar("Function", bound=Callable[..., Any])

BEAM: list[Callable[[Any], Any]] = [
    click.option(
        "--beam",
        type=click.IntRange(1, 512),
        default=1,
        metavar="N",
        help="Keep the N best unfinished answers at every step; 1, the default, is greedy.",
    ),
    click.option(
        "--length-penalty",
        type=click.FloatRange(0),
        metavar="A",
        help="Rank the beam's answers by score / ((5 + symbols) / 6)^A; 0, the default, by the score alone.",
    ),
]
OTHERS: list[Callable[[Any], Any]] = [
    click.option(
        "--n-best",
        type=click.IntRange(1, 512),
        default=1,
        metavar="K",
        help="The K best answers of the beam, K lines for each source; or K samples.",
    ),
    click.option(
        "--max-length",
        type=click.IntRange(1, 10_000),
        metavar="N",
        help="Most symbols of an answer, its end included; by default as in training.",
    ),
    click.option("--sample", is_flag=True, help="Draw answers by chance, as likely as the model finds them."),
    click.option(
        "--temperature",
        type=click.FloatRange(0, min_open=True),
        metavar="T",
        help="Of --sample: below 1 likely symbols become likelier, above 1 all more alike.",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, 2**63 - 1),
        metavar="N",
        help="Of --sample, 0 by default: it and a source's line number decide its samples.",
    ),
]

ensemble_option = click.option(
    "--ensemble",
    "others",
    metavar="RUN2",
    multiple=True,
    type=PATH,
    help="Answer together with this run: by the mean of the probabilities, symbol by symbol; may be repeated.",
)


def beam_options(function: Function) -> Function:
    """`--beam` and `--length-penalty`; the function gets a `search`."""
    return _with_search(function, BEAM)


def search_options(function: Function) -> Function:
    """All options of a search; the function gets a `search`."""
    return _with_search(function, BEAM + OTHERS)


def _with_search(function: Function, options: list[Callable[[Any], Any]]) -> Function:
    names = ("beam", "length_penalty", "n_best", "max_length", "sample", "temperature", "seed")

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        given = {name: values.pop(name) for name in names if name in values}
        return function(**values, search=make_search(**given))

    for option in reversed(options):
        option(command)
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
    """What the options say.

    Raises:
        click.UsageError: Two of them do not go together.
        InputError: Likewise.
    """
    from rnncli.inference.decoding_options import Search

    if sample and beam > 1:
        raise click.UsageError("give --sample or --beam, not both")
    for name, value in (("--temperature", temperature), ("--seed", seed)):
        if value is not None and not sample:
            raise click.UsageError(f"{name} goes with --sample")
    if length_penalty is not None and beam == 1:
        raise click.UsageError("--length-penalty goes with --beam 2 or more")
    if n_best > beam and not sample:
        raise click.UsageError(f"--n-best {n_best} needs --beam {n_best} or more, or --sample")
    drawn = (1.0 if temperature is None else temperature) if sample else None
    return Search(beam, n_best, length_penalty or 0.0, max_length, drawn, seed or 0)


def open_others(
    saved: SavedRun, paths: tuple[Path, ...], device: Literal["auto", "cpu", "gpu"] | None, trust_code: bool
) -> list[SavedRun]:
    """The other runs of an ensemble.

    Raises:
        RunDirError: One is not a sound run directory.
        InputError: One cannot answer together with the first.
    """
    from rnncli.inference.ensembles import check_members

    others = [open_run(path, device, trust_code) for path in paths]
    check_members(saved, others)
    return others
