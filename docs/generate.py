"""Write the reference pages that follow from the code: `python docs/generate.py`.

A test compares the pages with what this script writes.
"""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import rnncli
from rnncli.api import GeneratedText
from rnncli.cli.main import COMMANDS, main
from rnncli.config import Config
from rnncli.config.base import SectionOf, table_names
from rnncli.config.cells import CELLS
from rnncli.config.json_schema import EDITOR_LINE
from rnncli.config.optimizers import OPTIMIZERS
from rnncli.config.shipped import describe_config, files_needed, shipped_configs
from rnncli.config.tasks import TASKS
from rnncli.export.formats import EXPORTS
from rnncli.inference.evaluation import ClassReport, Evaluation, Scores
from rnncli.inference.prediction import AttentionWeights, Hypothesis, Prediction
from rnncli.metrics import METRICS
from rnncli.runtime.tensorflow_setup import scoped_settings
from rnncli.states.formats import FORMATS
from rnncli.sweep.pruners import PRUNERS
from rnncli.sweep.reader import KEYS
from rnncli.sweep.samplers import SAMPLERS

REFERENCE = Path(__file__).parent / "reference"
WIDTH = 80
NOTE = "<!-- Written by docs/generate.py; do not edit. -->\n\n"


def pages() -> dict[str, str]:
    """Return the text of each generated page by its name."""
    return {
        "command-line.md": NOTE + command_line(),
        "config.md": NOTE + config_keys(),
        "examples.md": NOTE + examples(),
        "python.md": NOTE + python_api(),
        "tables.md": NOTE + tables(),
    }


# The command line


def command_line() -> str:
    """Return the help of every command."""
    lines = ["# Command line", "", "```text", help_of(main, "rnncli"), "```"]
    parent = click.Context(main, info_name="rnncli", **main.context_settings)
    for name in COMMANDS:
        command = main.get_command(parent, name)
        assert command is not None
        lines += ["", f"## rnncli {name}", "", "```text", help_of(command, name, parent), "```"]
        if isinstance(command, click.Group):
            inside = click.Context(command, info_name=name, parent=parent)
            for inner in command.list_commands(inside):
                found = command.get_command(inside, inner)
                assert found is not None
                lines += ["", f"### rnncli {name} {inner}", "", "```text", help_of(found, inner, inside), "```"]
    exits = [
        "## Exit status",
        "",
        "| status | meaning |",
        "|---|---|",
        *(f"| {code} | {text} |" for code, text in EXITS),
    ]
    return "\n".join([*lines, "", *exits]) + "\n"


EXITS = (
    (0, "Success."),
    (1, "Training or prediction failed, or some input lines were invalid."),
    (2, "A command, config, data file or run directory cannot be used."),
    (129, "Hung up by SIGHUP: its terminal was closed. `nohup` prevents it."),
    (130, "Interrupted by Ctrl-C."),
    (143, "Terminated by SIGTERM."),
)


def help_of(command: click.Command, name: str, parent: click.Context | None = None) -> str:
    """Return a command's help, 80 columns wide."""
    settings = main.context_settings | {"max_content_width": WIDTH, "terminal_width": WIDTH, "color": False}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    return click.unstyle(command.get_help(context)).strip()


# Config keys


def config_keys() -> str:
    """Return the tables of config keys, one for each section."""
    lines = [
        "# Config keys",
        "",
        "A config is a YAML file with the sections `task`, `model`, `training`, `checkpoint` and `runtime`. Only",
        "`task` and `model` are required. `rnncli validate CONFIG` lists every mistake with its line, and",
        "`--set KEY=VALUE` changes a key for one command.",
        "",
        "A relative file name starts from the config's directory; in `--set` it starts from the current directory.",
    ]
    for section in dict.fromkeys(key.partition(".")[0] for key, _, _ in key_rows()):
        found = [row for row in key_rows() if row[0].partition(".")[0] == section]
        lines += ["", f"## {section}", "", "| key | default | meaning |", "|---|---|---|"]
        lines += [f"| {key} | `{value}` | {escape(text)} |" for key, value, text in found]
    return "\n".join(lines) + "\n"


def key_rows() -> list[tuple[str, str, str]]:
    """Return key, default and meaning of every config key; keys of several types are listed once."""
    seen: dict[tuple[str, str, str], list[str]] = {}
    for key, value, text in rows(Config):
        name, _, type_ = key.partition(" (")
        seen.setdefault((name, value, text), []).append(type_.rstrip(")"))
    return [
        (f"`{key}`" + (f" ({', '.join(dict.fromkeys(kinds))})" if any(kinds) else ""), value, text)
        for (key, value, text), kinds in seen.items()
    ]


def rows(model: type[BaseModel], prefix: str = "", inside: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield key, default and meaning of every key below a section; `inside` is the type of a union's member."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        members = sections(field)
        if name == "type":
            continue
        if not members or choices(field):
            yield key + inside, default(field), meaning(field)
        for member in members:
            kind = member.model_fields.get("type")
            named = f" ({typing.get_args(kind.annotation)[0]})" if kind else inside
            if types.NoneType in typing.get_args(field.annotation):
                yield key + inside, "null", field.description or (member.__doc__ or "").strip().partition("\n")[0]
            yield from rows(member, f"{key}.", named)


def sections(field: FieldInfo) -> list[type[BaseModel]]:
    """Return the config sections that a field may hold."""
    for annotation in field.metadata:
        if isinstance(annotation, SectionOf):
            return list(annotation.sections.values())
    options = members_of(field.annotation) or [field.annotation]
    return [option for option in options if isinstance(option, type) and issubclass(option, BaseModel)]


def members_of(annotation: object) -> list[object]:
    """Return the members of a union, or the choices of a literal."""
    options = typing.get_args(annotation)
    return [typing.get_args(o)[0] if typing.get_origin(o) is typing.Annotated else o for o in options]


def choices(field: FieldInfo) -> list[str]:
    """Return the words that a field may be."""
    words = [word for kind in members_of(field.annotation) for word in typing.get_args(kind) or (kind,)]
    return [*table_names(field), *(word for word in words if isinstance(word, str))]


def default(field: FieldInfo) -> str:
    """Return the default as YAML shows it."""
    return "required" if field.is_required() else json.dumps(field.default, default=str).strip('"')


def meaning(field: FieldInfo) -> str:
    """Return the choices and the description of a key."""
    words = [", ".join(f"`{choice}`" for choice in choices(field)), field.description or ""]
    return ": ".join(word for word in words if word)


def escape(text: str) -> str:
    """Return text for a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


# Example configs


def examples() -> str:
    """Return the table of example configs, and the header of each."""
    lines = [
        "# Example configs",
        "",
        "The package contains these configs. `rnncli train NAME` trains one from any directory, and",
        "`rnncli configs NAME > my.yaml` copies one.",
        "",
        "| name | what it is | data |",
        "|---|---|---|",
    ]
    for name, path in shipped_configs().items():
        data = ", ".join(f"`{each}`" for each in files_needed(path)) or "-"
        lines.append(f"| [{name}](#{name}) | {describe_config(path)} | {data} |")
    for name, path in shipped_configs().items():
        header = path.read_text(encoding="utf-8").split("\n\n")[0].splitlines()[2:]
        header = [line.removeprefix("#").removeprefix(" ") for line in header if line != EDITOR_LINE]
        text = "\n".join(header).rstrip()
        lines += ["", f"## {name}", "", "```text", text, "```"]
    return "\n".join(lines) + "\n"


# Tables of families


def tables() -> str:
    """Return the members of every family that is one table in the code."""
    lines = [
        "# Tasks, cells, metrics, optimizers, formats, sweeps",
        "",
        "[Extending](../extending.md) says how to add one.",
    ]
    tasks = [(f"`{name}`", summary(entry.section), code(entry.classes)) for name, entry in TASKS.items()]
    lines += table_of("Tasks", ("`task.type`", "what it is", "models"), tasks)
    cells = [
        (f"`{name}`", code(cell.states), str(cell.gates), "yes" if cell.cudnn else "no")
        for name, cell in CELLS.items()
    ]
    lines += table_of("Cells", ("`model.cell`", "states", "gates", "cuDNN"), cells)
    metrics = [(f"`{name}`", "higher" if metric.higher_is_better else "lower") for name, metric in METRICS.items()]
    lines += table_of("Metrics", ("metric", "better"), metrics)
    optimizers = [(f"`{name}`", f"`keras.optimizers.{class_}`") for name, class_ in OPTIMIZERS.items()]
    lines += table_of("Optimizers", ("`training.optimizer`", "class"), optimizers)
    formats = [
        (f"`{name}`", each.description, code(each.extensions) or "-", "yes" if each.reader else "no")
        for name, each in FORMATS.items()
    ]
    lines += table_of("State formats", ("`--format`", "what it is", "extensions", "read back"), formats)
    exports = [(f"`{name}`", each.description, each.extra or "-") for name, each in EXPORTS.items()]
    lines += table_of("Export formats", ("`--format`", "what it is", "extra"), exports)
    keys = [(f"`{key}`", meaning) for key, meaning in KEYS.items()]
    lines += table_of("Sweep files", ("key", "meaning"), keys)
    samplers = [(f"`{name}`", summary(sampler)) for name, sampler in SAMPLERS.items()]
    lines += table_of("Samplers", ("`sampler`", "what it does"), samplers)
    lines += table_of(
        "Pruners", ("`pruning`", "what it does"), [(f"`{name}`", p.help) for name, p in PRUNERS.items()]
    )
    return "\n".join(lines) + "\n"


def table_of(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a section with a table."""
    lines = ["", f"## {title}", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return lines + [f"| {' | '.join(map(escape, row))} |" for row in rows]


def summary(member: object) -> str:
    """Return the first line of a docstring."""
    return (inspect.getdoc(member) or "").partition("\n")[0]


def code(names: Iterable[str]) -> str:
    """Return names as code, separated by commas."""
    return ", ".join(f"`{name}`" for name in names)


# Python


def python_api() -> str:
    """Return the public functions and classes with their docstrings."""
    lines = [
        "# Python",
        "",
        "`import rnncli` is fast and loads no TensorFlow. The functions load it when they need it.",
    ]
    for name, member in public_members().items():
        lines += ["", f"## rnncli.{name}", "", *described(member, name), *described_methods(member)]
    lines += ["", "# Results", "", "What the functions and methods above return; none of them is made by hand."]
    for result in result_types():
        lines += [
            "",
            f"## {result.__name__}",
            "",
            *markdown(inspect.getdoc(result) or ""),
            *described_methods(result),
        ]
    return "\n".join(lines) + "\n"


def result_types() -> list[type]:
    """Return the types of results that no public name of the package has."""
    with scoped_settings():  # imports TensorFlow, as two of them do, without its log
        from rnncli.inference.stepper import Step, Stepper
        from rnncli.inference.target_scores import TargetScore

    measured = [Evaluation, Scores, ClassReport]
    return [Prediction, Hypothesis, AttentionWeights, *measured, TargetScore, GeneratedText, Stepper, Step]


def described_methods(member: object) -> list[str]:
    """Return the methods and properties of a class as Markdown; nothing for what is none."""
    lines: list[str] = []
    if inspect.isclass(member):
        for inner, method in vars(member).items():
            if not inner.startswith("_") and (inspect.isfunction(method) or isinstance(method, property)):
                lines += ["", f"### {member.__name__}.{inner}", "", *described(method, inner)]
    return lines


def public_members() -> dict[str, object]:
    """Return the public functions of the package, then its classes."""
    members = {name: getattr(rnncli, name) for name in rnncli.__all__}
    functions = {name: each for name, each in members.items() if inspect.isfunction(each)}
    return functions | {name: each for name, each in members.items() if inspect.isclass(each)}


def described(member: object, name: str) -> list[str]:
    """Return the signature and the docstring of a function, class or property as Markdown."""
    lines = []
    if isinstance(member, property):
        member = member.fget
    elif callable(member):
        lines = ["```python", f"{name}{signature_of(member)}", "```", ""]
    return lines + markdown(inspect.getdoc(member) or "")


def signature_of(function: Callable[..., object]) -> str:
    """Return a signature, a parameter a line."""
    signature = inspect.signature(function)
    shown = []
    for name, parameter in signature.parameters.items():
        if name == "self":
            continue
        annotation = "" if parameter.annotation is parameter.empty else f": {parameter.annotation}"
        value = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        shown.append(f"    {name}{annotation}{value},\n")
    returned = (
        "" if signature.return_annotation in (signature.empty, "None") else f" -> {signature.return_annotation}"
    )
    return f"(\n{''.join(shown)}){returned}" if shown else f"(){returned}"


def markdown(docstring: str) -> list[str]:
    """Return a docstring in Google style as Markdown: sections are bold, their items a list."""
    lines: list[str] = []
    in_section = False
    for line in docstring.splitlines():
        if re.fullmatch(r"(Args|Returns|Raises|Yields|Attributes|Example|Examples):", line):
            in_section = line not in ("Example:", "Examples:")
            lines += [f"**{line.rstrip(':')}**", ""]
        elif in_section and line.startswith("    ") and not line.startswith("     "):
            name, colon, text = line.strip().partition(": ")
            lines.append(
                f"- `{name}`: {text}" if colon and re.fullmatch(r"[\w.*\[\]]+", name) else f"- {line.strip()}"
            )
        elif in_section and line.startswith("     "):
            lines.append(f"  {line.strip()}")
        else:
            in_section = in_section and not line
            lines.append(line)
    return lines


if __name__ == "__main__":
    for page, text in pages().items():
        (REFERENCE / page).write_text(text, encoding="utf-8")
