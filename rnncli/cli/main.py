"""The `rnncli` command: its subcommands, and the one place where errors become messages and exit statuses."""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import importlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, TextIO

import click

from rnncli._version import __version__
from rnncli.errors import (
    TO_LOWER,
    RnncliError,
    RnncliWarning,
    RunFailedError,
    Terminated,
    is_out_of_memory,
    reason_of,
)
from rnncli.runtime import tensorflow_setup as runtime
from rnncli.runtime.signals import handled
from rnncli.text import printable

COMMANDS = {
    "train": "Train a model from a config file.",
    "predict": "Answer lines with a trained model.",
    "export-states": "Write a trained model's states to a file, by name and step.",
    "plot-states": "Draw exported states.",
    "plot-attention": "Draw what a model looked at while it wrote an answer.",
    "evaluate": "Measure a trained model.",
    "configs": "List the example configs, print one, or write its data.",
    "init": "Look at a file of text pairs and write a config for it.",
    "validate": "Check a config file and say all that is wrong with it.",
    "verify": "Check a run directory, or prove that training resumes exactly.",
    "summary": "Show a config's layers, sizes and kernels.",
    "bench": "Measure how fast a config trains, by which kernels.",
    "devices": "Show CPU, GPUs, CUDA, cuDNN, and which kernels run.",
    "completion": "Print the shell's completion script.",
}
"""Name to short help, so that `rnncli --help` imports no command."""

INTERRUPTED, TERMINATED = 130, 143
COLOR = False if os.environ.get("NO_COLOR") else None
"""None is as the terminal allows."""


class Cli(click.Group):
    """Imports a command's module, `rnncli.cli.NAME`, when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, in the order of `COMMANDS`."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"rnncli.cli.commands.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in `--help`."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a near miss gets a suggestion."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            import difflib

            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(COMMANDS)}"
            ctx.fail(f"no such command: {args[0]}; {hint}")
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> Any:  # type: ignore[override]
        """Run, print what went wrong in one line, and exit with its status."""
        extra["standalone_mode"] = False
        try:
            prepare_streams()
            warnings.showwarning = show_warning
            with stoppable():
                status = super().main(args, prog_name or "rnncli", **extra)
            sys.stdout.flush()
        except click.ClickException as error:
            error.show()
            status = error.exit_code
        except RnncliError as error:
            show_error(error)
            status = error.exit_status
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            status = INTERRUPTED
        except Terminated:
            click.echo("terminated", err=True)
            status = TERMINATED
        except BrokenPipeError:  # the reader of our output went away; what is left has no reader
            drop(sys.stdout)
            status = 1
        except OSError as error:
            show_error(RunFailedError(f"{error.filename or 'output'}: {reason_of(error)}"))
            drop(sys.stdout)
            status = 1
        except Exception as error:
            if os.strerror(errno.ENOSPC) in str(error):
                show_error(RunFailedError(str(error).splitlines()[0]))
            elif is_out_of_memory(error):
                show_error(RunFailedError("out of memory", TO_LOWER))
            else:
                raise
            status = 1
        sys.exit(status if isinstance(status, int) else 0)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGINT raise what ends the process.

    What is raised in a destructor Python drops: then nothing ends, but whatever error comes later is taken for it.

    Raises:
        Terminated: At SIGTERM.
        KeyboardInterrupt: At SIGINT. Either also where TensorFlow, interrupted anywhere, made another error of it.
    """
    told: list[type[BaseException]] = []

    def raising(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_IGN)  # supervisors repeat it, and what tidies up must not be interrupted
        told.append(Terminated if number == signal.SIGTERM else KeyboardInterrupt)
        raise told[-1]

    try:
        with handled(raising):
            yield
    except Exception as error:
        if told:
            raise told[-1] from error
        raise


def prepare_streams() -> None:
    """Make sure that whatever is printed has somewhere to go, as UTF-8 whatever the environment says: so is input."""
    if sys.stderr is None:  # a file that is opened next would be where libraries print
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if sys.stdout is None:
        raise RunFailedError("stdout is closed", "results go there; use >/dev/null to drop them")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def drop(stream: TextIO) -> None:
    """Let what is still buffered go nowhere, so that the interpreter's exit does not fail on it."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def show_error(error: RnncliError) -> None:
    """Print an error and what to do about it on stderr."""
    try:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {printable(error.message)}", err=True, color=COLOR)
        if error.hint:
            click.echo(f"  {click.style('hint:', bold=True)} {printable(error.hint)}", err=True, color=COLOR)
    except OSError:  # stderr is full: the exit status tells the rest
        drop(sys.stderr)


def show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """Print a warning of rnncli in one line; those of other packages as Python does."""
    if issubclass(category, RnncliWarning):
        click.echo(f"warning: {printable(str(message))}", err=True)
    else:
        _python_shows_warning(message, category, *place, **more)


_python_shows_warning = warnings.showwarning


@click.group(
    "rnncli",
    cls=Cli,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "color": COLOR,
    },
    epilog="`rnncli COMMAND --help` tells more. Start with: rnncli train addition",
)
@click.version_option(__version__, "-V", "--version", prog_name="rnncli")
def main() -> None:
    """Train recurrent sequence-to-sequence models, and get their states out."""


def run() -> None:
    """Be the process of the command, in which nobody else needs anything."""
    runtime.own_process = True
    atexit.register(gc.freeze)  # or Python would look for garbage among all that is TensorFlow's: 0.4 s
    try:
        main()
    finally:
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # another one ends what the exit may wait for, in silence
