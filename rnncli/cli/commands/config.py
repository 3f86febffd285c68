"""`rnncli config`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rnncli.cli.help import OUTPUT, Command, option
from rnncli.cli.options import CONFIG, config_argument, set_option, table_or_json_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rnncli.config.origins import Value

COMMENT_COLUMN = 34


@click.command(
    "config",
    cls=Command,
    examples=(
        "rnncli config addition --changed",
        "rnncli config config.yaml --set model.cell=gru > whole.yaml",
        "rnncli config config.yaml --diff runs/first/config.yaml",
    ),
)
@config_argument
@set_option
@option("--changed", group=OUTPUT, is_flag=True, help="Leave out values that are the default.")
@option(
    "--diff",
    "other",
    group=OUTPUT,
    type=CONFIG,
    metavar="CONFIG",
    help="Show only the keys whose values differ from CONFIG.",
)
@table_or_json_option
def command(config_path: str, overrides: tuple[str, ...], changed: bool, other: str | None, style: str) -> None:
    """Show every value of a config, and where it comes from: a line, --set, or the default.

    The output is a config itself, with all its defaults. A difference shows the other value behind the origin.
    """
    if changed and other is not None:
        raise click.UsageError("--changed and --diff exclude each other")
    ours = read_values(config_path, overrides)
    if other is None:
        shown = [value for value in ours if not (changed and value.is_default) or value.path[-1] == "type"]
        click.echo(as_json(shown) if style == "json" else "\n".join(as_yaml(shown)))
        return
    pairs = differences(ours, read_values(other, ()))
    if style == "json":
        click.echo(
            json.dumps({dotted(path): [mine and mine.value, theirs and theirs.value] for path, mine, theirs in pairs})
        )
    else:
        click.echo("".join(f"{line}\n" for line in difference_lines(pairs, config_path, other)), nl=False)


def read_values(path: str, overrides: Sequence[str]) -> list[Value]:
    """Return the values of a config file.

    Raises:
        ConfigError: It is refused.
    """
    from rnncli.config import read_document
    from rnncli.config.file_names import absolute_file_names, directory_of
    from rnncli.config.origins import values_of
    from rnncli.config.yaml_reader import read_file

    text, name = read_file(path)
    config, document = read_document(text, name, overrides, directory_of(path))
    values = values_of(absolute_file_names(config), document)
    short = f"{Path(name).name}:"
    return [each._replace(origin=each.origin.replace(f"{name}:", short, 1)) for each in values]


def as_json(values: Sequence[Value]) -> str:
    """Return values as a JSON object by key, each with its origin."""
    return json.dumps({dotted(each.path): {"value": each.value, "origin": each.origin} for each in values})


def as_yaml(values: Sequence[Value]) -> Iterator[str]:
    """Yield the lines of a config, with origins as comments."""
    above: tuple[Any, ...] = ()
    for path, value, origin, _ in values:
        for depth, key in enumerate(path[:-1]):
            if above[: depth + 1] != path[: depth + 1]:
                yield f"{'  ' * depth}{key}:"
        above = path[:-1]
        line = f"{'  ' * len(above)}{path[-1]}: {as_flow(value)}"
        yield f"{line:<{COMMENT_COLUMN}} # {origin}"


def as_flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    from rnncli.config.yaml_scalars import write_flow

    return write_flow(value)


def differences(
    ours: Sequence[Value], others: Sequence[Value]
) -> list[tuple[tuple[Any, ...], Value | None, Value | None]]:
    """Return the path of each value that is another one, or that only one of both has, with both."""
    mine, theirs = ({each.path: each for each in values} for values in (ours, others))
    pairs = [(path, mine.get(path), theirs.get(path)) for path in dict.fromkeys([*mine, *theirs])]
    return [(path, one, two) for path, one, two in pairs if one is None or two is None or one.value != two.value]


def difference_lines(
    pairs: Sequence[tuple[tuple[Any, ...], Value | None, Value | None]], name: str, other: str
) -> Iterator[str]:
    """Yield a line for each difference: the key, both values, and their origins."""
    for path, *both in pairs:
        yield f"{dotted(path)}:"
        for config, value in zip((name, other), both, strict=True):
            shown = "no such key" if value is None else f"{as_flow(value.value)}  # {value.origin}"
            yield f"  {config}: {shown}"


def dotted(path: tuple[Any, ...]) -> str:
    """Return keys as `--set` takes them."""
    from rnncli.config.yaml_reader import dotted as join

    return join(path)
