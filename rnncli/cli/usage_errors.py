"""Errors of the command line in the form of all others: one line, and a hint that works."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from rnncli.cli.help import ARGUMENTS, parameter_name, value_name
from rnncli.errors import ConfigError, InputError, override_words
from rnncli.text import CONFIG_SUFFIXES, shorten

TEXTS = ("sources", "given")
"""Arguments of commands that are texts, which may begin with a dash."""
MAX_SHOWN = 8
"""Config keys that a hint lists."""


def explain_usage_error(error: click.ClickException) -> InputError:
    """Return an error of click's as one of ours."""
    if isinstance(error, click.NoSuchOption):
        return _unknown_option(error)
    if isinstance(error, click.MissingParameter):
        return _missing_parameter(error)
    if isinstance(error, click.BadParameter):
        return _bad_value(error)
    if isinstance(error, click.BadOptionUsage):
        return _bad_option_usage(error)
    if isinstance(error, click.UsageError):
        return _other_usage_error(error)
    return InputError(error.format_message())


def _unknown_option(error: click.NoSuchOption) -> InputError:
    name = error.option_name
    message = f"unknown option {name}"
    if error.ctx is None:
        return InputError(message)
    arguments: list[str] = error.ctx.meta.get(ARGUMENTS, [])
    command = error.ctx.command
    given = next((each for each in arguments if each.partition("=")[0] == name), None)
    if given is None:  # -1+2: click reads the letters behind a dash as options of their own
        given = next((each for each in arguments if each.startswith(name)), name)
        message = f"unknown option {shorten(given)}"
    options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
    close = difflib.get_close_matches(name, [*options, "--help"], n=1, cutoff=0.75)
    if name == "--output" and "--format" in options:
        return InputError(message, f"the result is written to standard output: add > {_value_of(given, arguments)}")
    if "--set" in options and (hint := _hint_of_key(name, given, arguments, exactly=bool(close))):
        return InputError(message, hint)
    if close:
        return InputError(message, f"did you mean {close[0]}?")
    several = [parameter for parameter in command.params if parameter.nargs == -1 and parameter.name in TEXTS]
    if several and not name.startswith("--"):
        usage = f"{error.ctx.command_path} {_with_dashes(arguments, given, command)}"
        return InputError(message, f"write -- before a {value_name(several[0])} that begins with -: {usage}")
    return InputError(message, _hint_of_help(error.ctx))


def _with_dashes(arguments: Sequence[str], given: str, command: click.Command) -> str:
    """Return the arguments with `--` before the one that is no option, and those behind it."""
    place = arguments.index(given) if given in arguments else 0
    before, behind = arguments[:place], arguments[place:]
    if not before or any(each.startswith("--") for each in behind):  # options cannot stand behind `--`
        return f"{' '.join(_required(command))} -- {shlex.quote(given)}"
    return shlex.join([*before, "--", *behind])


def _value_of(given: str, arguments: Sequence[str]) -> str:
    """Return the value of an option that is none: behind `=`, or the next argument."""
    if "=" in given:
        return given.partition("=")[2]
    following = [*arguments, "--"][arguments.index(given) + 1]
    return "VALUE" if following.startswith("-") or Path(following).suffix in CONFIG_SUFFIXES else following


def _hint_of_key(name: str, given: str, arguments: Sequence[str], exactly: bool) -> str:
    """Return how to set the config key that an option means; empty where it means none.

    Args:
        name: The option.
        given: The argument that it stands in, perhaps with its value.
        arguments: All arguments.
        exactly: Whether the key must have this very name.
    """
    from rnncli.config.keys import all_keys

    value = _value_of(given, arguments)
    typed = name.removeprefix("--").replace("-", "_")
    keys = list(all_keys())
    found = _keys_ending_in(typed, keys)
    if not found and not exactly:
        parts = sorted({part for key in keys for part in (key, key.rpartition(".")[2])})
        close = difflib.get_close_matches(typed, parts, n=1, cutoff=0.8)
        found = _keys_ending_in(close[0], keys) if close else []
    here = _keys_of_config(arguments)
    found = [key for key in found if key in here] or found
    if not found:
        return ""
    if len(found) == 1:
        wrong = "" if value == "VALUE" else _problem_with(found[0], value, arguments)
        return f"the config key is {found[0]}; {wrong}" if wrong else f"use --set {found[0]}={shlex.quote(value)}"
    listed = ", ".join(found[:MAX_SHOWN]) + (", ..." if len(found) > MAX_SHOWN else "")
    return f"use --set KEY={shlex.quote(value)}; KEY is one of {listed}"


def _problem_with(key: str, value: str, arguments: Sequence[str]) -> str:
    """Return the reason for which a key of the config among the arguments cannot have a value; empty if it can."""
    from rnncli.config import load_config
    from rnncli.config.shipped import find_config

    label = override_words(f"{key}={value}")
    for path in (path for path in map(find_config, arguments) if Path(path).suffix in CONFIG_SUFFIXES):
        try:
            load_config(path, [f"{key}={value}"])
        except ConfigError as error:
            text = error.message.splitlines()[0]
            return text.removeprefix(f"{label}: ") if text.startswith(label) else ""
    return ""


def _keys_ending_in(name: str, keys: Sequence[str]) -> list[str]:
    """Return the keys with this last part, or this whole name; of a section the keys in it."""
    found = [key for key in keys if key == name or key.endswith(f".{name}")]
    return found or [key for key in keys if key.startswith(f"{name}.") or f".{name}." in key]


def _keys_of_config(arguments: Sequence[str]) -> set[str]:
    """Return the keys of the models and tasks of a config file among the arguments; none without one."""
    from rnncli.config.keys import keys_of_data
    from rnncli.config.shipped import find_config
    from rnncli.config.yaml_reader import read_file, read_yaml

    for path in map(find_config, arguments):
        if Path(path).suffix in CONFIG_SUFFIXES:
            try:
                return set(keys_of_data(read_yaml(*read_file(path)).data))
            except ConfigError:
                return set()
    return set()


def _missing_parameter(error: click.MissingParameter) -> InputError:
    parameter, context = error.param, error.ctx
    if parameter is None or context is None:
        return InputError(error.format_message())
    name = parameter_name(parameter)
    if isinstance(parameter, click.Option):
        return InputError(f"missing option {name}", f"add {name} {value_name(parameter)}")
    return InputError(f"missing argument {name}", _hint_of_usage(context))


def _bad_value(error: click.BadParameter) -> InputError:
    name = parameter_name(error.param) if error.param is not None else error.param_hint or "argument"
    kind = error.param.type if error.param is not None else None
    message = error.message.rstrip(".")
    value, _, _ = message.partition(" is not ")
    hint = ""
    if isinstance(kind, click.Choice) and " is not one of " in message:
        names = [str(choice) for choice in kind.choices]
        close = difflib.get_close_matches(value.strip("'\"").lower(), names, n=1)
        message = f"{value} is not one of {', '.join(names)}"
        hint = f"did you mean {close[0]}?" if close else ""
    elif isinstance(kind, click.IntRange | click.FloatRange):
        message = f"{value} is not {_describe_range(kind)}"
    return InputError(f"{name}: {message}", hint)


def _describe_range(kind: click.IntRange | click.FloatRange) -> str:
    """Return a range in words, such as: a whole number of at least 1 and at most 512."""
    bounds = []
    if kind.min is not None:
        bounds.append(f"{'more than' if kind.min_open else 'at least'} {kind.min}")
    if kind.max is not None:
        bounds.append(f"{'less than' if kind.max_open else 'at most'} {kind.max}")
    number = "a whole number" if isinstance(kind, click.IntRange) else "a number"
    return f"{number} of {' and '.join(bounds)}"


def _bad_option_usage(error: click.BadOptionUsage) -> InputError:
    name = error.option_name
    message = error.format_message().rstrip(".")
    if "does not take a value" in message:
        return InputError(f"{name} takes no value", f"write {name} alone")
    parameters = error.ctx.command.params if error.ctx is not None else []
    values = [value_name(parameter) for parameter in parameters if name in parameter.opts]
    return InputError(f"{name} needs a value", f"write {name} {values[0]}" if values else "")


def _other_usage_error(error: click.UsageError) -> InputError:
    message = error.format_message().rstrip(".")
    if error.ctx is None:
        return InputError(message)
    from rnncli.runs.folders import is_run

    found = re.match(r"Got unexpected extra arguments? \((.*)\)$", message, re.DOTALL)
    if found is None:
        return InputError(message, _hint_of_help(error.ctx))
    extra = found[1]
    takes_set = any("--set" in parameter.opts for parameter in error.ctx.command.params)
    hint = f"use --set {extra}" if takes_set and re.fullmatch(r"[\w.]+=\S+", extra) else ""
    if "RUN" in _required(error.ctx.command) and is_run(Path(extra)):
        given = next((value for value in error.ctx.meta.get(ARGUMENTS, []) if not value.startswith("-")), "")
        if is_run(Path(given)):
            return InputError(f"{error.ctx.command_path} takes one RUN, not {shorten(extra)} too", hint)
        hint = _hint_of_order(error.ctx, extra)
    takes_input = any("--input" in parameter.opts for parameter in error.ctx.command.params)
    if takes_input and Path(extra).is_file():
        hint = f"use --input {shlex.quote(extra)}"
    return InputError(f"unexpected argument {shorten(extra)}", hint or _hint_of_usage(error.ctx))


def refuse_swapped(context: click.Context, run: Path) -> None:
    """Refuse a run that is given behind the texts, in place of before them.

    Args:
        context: That of the command.
        run: What is given as the run.

    Raises:
        InputError: It is none, and one of the texts is.
    """
    from rnncli.runs.folders import is_run

    texts = [text for name in TEXTS for text in context.params.get(name) or ()]
    found = next((text for text in texts if is_run(Path(text))), None)
    if found is not None and run.suffix != ".onnx" and not is_run(run):
        message = f"RUN: {shorten(str(run))} is no run, and {shorten(found)} is"
        raise InputError(message, _hint_of_order(context, found))


def _hint_of_order(context: click.Context, run: str) -> str:
    """Return the command with a run before what was given in its place, a file by `--input`; empty if unknown."""
    arguments: list[str] = context.meta.get(ARGUMENTS, [])
    first = next((each for each in arguments if not each.startswith("-")), run)
    if run not in arguments or first == run:
        return ""
    is_file = any("--input" in each.opts for each in context.command.params) and Path(first).is_file()
    moved = {first: [run], run: ["--input", first] if is_file else [first]}
    ordered = [word for each in arguments for word in moved.get(each, [each])]
    return f"write RUN first: {context.command_path} {shlex.join(ordered)}"


def _required(command: click.Command) -> list[str]:
    """Return the names of the arguments that must be given."""
    return [value_name(each) for each in command.params if isinstance(each, click.Argument) and each.required]


def _hint_of_usage(context: click.Context) -> str:
    return f"usage: {context.command_path} {' '.join(context.command.collect_usage_pieces(context))}"


def _hint_of_help(context: click.Context) -> str:
    return f"see {context.command_path} --help"
