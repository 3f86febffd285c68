"""Help of the commands: options in groups, examples, at most 80 columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

INPUT, DECODING, OUTPUT, RUN = "Input", "Decoding", "Output", "Run"
GROUPS = (INPUT, DECODING, OUTPUT, RUN)
"""Headings of the options, in the order of `--help`."""
MAX_NAME_WIDTH = 24
"""Longer names of options take a line of their own."""
ARGUMENTS = "rnncli.arguments"
"""Key of the command's own arguments, as they were given, in `click.Context.meta`."""


class Option(click.Option):
    """An option with a group; its help has no range and no type, which error messages tell.

    Args:
        arguments: As of `click.Option`.
        group: One of `GROUPS`.
        settings: As of `click.Option`.
    """

    def __init__(self, *arguments: Any, group: str = RUN, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.group = group

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option with its value, and its meaning; None if it is hidden."""
        del ctx
        if self.hidden:
            return None
        names = ", ".join(sorted(self.opts, key=len))
        value = "" if self.is_flag else f" {value_name(self)}"
        default = f" [default: {self.default}]" if self.show_default else ""
        return f"{names}{value}", f"{self.help or ''}{default}"


class Command(click.Command):
    """A command whose help shows examples, and its options in groups.

    Args:
        arguments: As of `click.Command`.
        examples: Complete command lines.
        settings: As of `click.Command`.
    """

    def __init__(self, *arguments: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = tuple(examples)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, which stay in `ctx.meta` for error messages."""
        ctx.meta[ARGUMENTS] = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # so that a hint can name the command
            raise

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; values whose type can resolve them are resolved now that the command line is right."""
        for parameter in self.params:
            resolve = getattr(parameter.type, "resolve", None)
            value = ctx.params.get(parameter.name or "")
            if resolve is not None and value is not None:
                found = tuple(map(resolve, value)) if isinstance(value, tuple) else resolve(value)
                ctx.params[str(parameter.name)] = found
        return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, then the options, group by group."""
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':{formatter.current_indent}}{example}\n")
        groups: dict[str, list[tuple[str, str]]] = {group: [] for group in GROUPS}
        for parameter in self.get_params(ctx):
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx)):
                groups[getattr(parameter, "group", RUN)].append(record)
        widths = [len(names) for records in groups.values() for names, _ in records]
        width = max(width for width in widths if width <= MAX_NAME_WIDTH)
        for group, records in groups.items():
            if records:
                with formatter.section(group):
                    formatter.write_dl([(names.ljust(width), text) for names, text in records], col_max=width)


def option(*names: str, group: str, **settings: Any) -> Callable[[Function], Function]:
    """Return a decorator that adds an option to a command; settings are those of `click.option`."""
    return click.option(*names, cls=Option, group=group, **settings)


def combine(*decorators: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Return one decorator for several options; help shows them in this order."""

    def add(function: Function) -> Function:
        for decorate in reversed(decorators):
            function = decorate(function)
        return function

    return add


def value_name(parameter: click.Parameter) -> str:
    """Return the name of a parameter's value in help and messages, such as FILE or cpu|gpu."""
    if parameter.metavar:
        return parameter.metavar if isinstance(parameter, click.Option) else parameter.metavar.strip("[].")
    if isinstance(parameter.type, click.Choice):
        return "|".join(map(str, parameter.type.choices))
    return (parameter.name or parameter.type.name).upper()


def parameter_name(parameter: click.Parameter) -> str:
    """Return an option's long name, or an argument's name as in the usage line."""
    return max(parameter.opts, key=len) if isinstance(parameter, click.Option) else value_name(parameter)
