"""The `rnncli` command: its subcommands, and the one place that turns errors into messages and exit statuses."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import click

from rnncli._version import __version__
from rnncli.cli.stderr import replace_stderr, write_if_possible
from rnncli.errors import (
    MEMORY_HINT,
    InputError,
    RnncliError,
    RnncliWarning,
    RunFailedError,
    Terminated,
    is_out_of_memory,
    is_out_of_room,
    reason_of,
    words_of_the_command_line,
)
from rnncli.runtime import tensorflow_setup as runtime
from rnncli.runtime.signals import handled
from rnncli.text import printable, shorten

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Entry(NamedTuple):
    """A command in the table.

    Attributes:
        group: Its heading in `rnncli --help`.
        help: Its one line there.
    """

    group: str
    help: str


TRAIN, USE, COMPARE, INSPECT = "Train", "Use a trained model", "Find and compare runs", "Look inside a model"
OTHER = "More"
COMMANDS = {
    "configs": Entry(TRAIN, "List the example configs, print one, or write its data."),
    "init": Entry(TRAIN, "Write a config for a file of text pairs."),
    "validate": Entry(TRAIN, "Check a config file."),
    "config": Entry(TRAIN, "Show every value of a config, and where it comes from."),
    "summary": Entry(TRAIN, "Show a config's layers, parameters and kernels."),
    "train": Entry(TRAIN, "Train the model of a config file."),
    "sweep": Entry(TRAIN, "Train with many settings and seeds, and compare them."),
    "predict": Entry(USE, "Predict the targets of sources."),
    "generate": Entry(USE, "Write text with a language model."),
    "export": Entry(USE, "Write a model as ONNX, SavedModel, Keras or LiteRT."),
    "serve": Entry(USE, "Answer by HTTP: predictions, states, single steps."),
    "evaluate": Entry(USE, "Measure accuracy on held-out or other data."),
    "score": Entry(USE, "Print the log probability of given targets or texts."),
    "average": Entry(USE, "Average the weights of checkpoints of a run."),
    "verify": Entry(USE, "Check a run directory, or that training resumes exactly."),
    "runs": Entry(COMPARE, "List runs: what differs, the best metric, the state."),
    "compare": Entry(COMPARE, "Compare runs: config keys, metrics, and a paired test."),
    "report": Entry(COMPARE, "Write a page on runs: metrics, curves, wrong answers."),
    "export-states": Entry(INSPECT, "Write hidden states of every layer and step to a file."),
    "plot": Entry(INSPECT, "Draw curves, lengths, confusions, states, attention."),
    "explore": Entry(INSPECT, "Serve a page to see a network read and write."),
    "bench": Entry(OTHER, "Measure training speed, and compare kernels."),
    "devices": Entry(OTHER, "Show CPU, GPUs, CUDA, cuDNN and the kernels they run."),
    "schema": Entry(OTHER, "Print the JSON schema of configs, for editors."),
    "completion": Entry(OTHER, "Print the completion script of a shell."),
    "help": Entry(OTHER, "Show the help of a command."),
}
"""The table of commands; `NAME` is the `command` of the module `rnncli.cli.commands.NAME`.

It is here so that `rnncli --help` imports no command.
"""

EARLIER_NAMES = {"plot-states": ("plot", "states"), "plot-attention": ("plot", "attention")}
"""Names that commands of groups had alone; they keep working, and no list shows them."""

INTERRUPTED = 128 + signal.SIGINT
ENDINGS: dict[int, str] = {signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
"""Signals that end a command once it has tidied up, and how that is said; the status is 128 and the number."""

COLOR = False if os.environ.get("NO_COLOR") else None
"""None lets the terminal decide."""


class Cli(click.Group):
    """The group of all commands; imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of `COMMANDS`."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name, or None."""
        if cmd_name in EARLIER_NAMES:
            group, name = EARLIER_NAMES[cmd_name]
            found = self.get_command(ctx, group)
            return found.get_command(ctx, name) if isinstance(found, click.Group) else None
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"rnncli.cli.commands.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, group by group."""
        del ctx
        width = max(map(len, COMMANDS))
        for group in dict.fromkeys(entry.group for entry in COMMANDS.values()):
            with formatter.section(group):
                formatter.write_dl(
                    [(name.ljust(width), entry.help) for name, entry in COMMANDS.items() if entry.group == group]
                )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin so; imports no command."""
        from click.shell_completion import CompletionItem

        names = [name for name in COMMANDS if name.startswith(incomplete)]
        return [
            *(CompletionItem(name, help=COMMANDS[name].help) for name in names),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command.

        Raises:
            InputError: There is none of that name.
        """
        if args[0] not in COMMANDS and args[0] not in EARLIER_NAMES:
            raise no_such_command(args[0])
        return super().resolve_command(ctx, args)

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any) -> Any:  # type: ignore[override]
        """Run a command, print an error in one line, and exit with its status."""
        extra["standalone_mode"] = False
        try:
            prepare_streams()
            warnings.showwarning = show_warning
            with signals_as_exceptions(), words_of_the_command_line():
                status = super().main(args, prog_name or "rnncli", **extra)
            sys.stdout.flush()
        except click.ClickException as error:
            status = show_usage_error(error)
        except RnncliError as error:
            show_error(error)
            status = error.exit_status
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            status = INTERRUPTED
        except Terminated as error:
            click.echo(ENDINGS[error.signal], err=True)
            status = 128 + error.signal
        except BrokenPipeError:  # the reader of our output is gone
            discard_buffered(sys.stdout)
            status = 1
        except OSError as error:
            show_error(RunFailedError(f"{error.filename or 'output'}: {reason_of(error)}"))
            discard_buffered(sys.stdout)
            status = 1
        except Exception as error:
            if is_out_of_room(error):
                show_error(RunFailedError(str(error).splitlines()[0]))
            elif is_out_of_memory(error):
                show_error(RunFailedError("out of memory", MEMORY_HINT))
            else:
                raise
            status = 1
        sys.exit(status if isinstance(status, int) else 0)


def register_shells() -> None:
    """Make click complete by our scripts; imported only while a shell asks."""
    from click.shell_completion import add_completion_class

    from rnncli.cli.shells import CLASSES

    for name, kind in CLASSES.items():
        add_completion_class(kind, name)


def no_such_command(name: str) -> InputError:
    """Return the error of an unknown command, with the one that may be meant."""
    import difflib

    close = difflib.get_close_matches(name, COMMANDS, n=1)
    return InputError(
        f"no such command: {shorten(name)}",
        f"did you mean {close[0]}?" if close else "rnncli --help lists the commands",
    )


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Raise an exception at SIGTERM, SIGHUP and SIGINT.

    Python drops exceptions of destructors; then the next error of any kind counts as the signal.

    Raises:
        Terminated: At SIGTERM and SIGHUP.
        KeyboardInterrupt: At SIGINT. TensorFlow may turn either into an error of its own, which is turned back.
    """
    received: list[BaseException] = []

    def raise_exception(number: int, _frame: FrameType | None) -> None:
        if number in ENDINGS:
            for each in ENDINGS:  # supervisors and shells repeat them, and what tidies up must not be interrupted
                signal.signal(each, signal.SIG_IGN)
        received.append(Terminated(number) if number in ENDINGS else KeyboardInterrupt())
        raise received[-1]

    try:
        with handled(raise_exception):
            yield
    except Exception as error:
        if received:
            raise received[-1] from error
        raise


def prepare_streams() -> None:
    """Make sure that stdout and stderr are open, and write UTF-8 in every locale, as input is read."""
    if sys.stderr is None:  # or libraries would print into the next file that is opened
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if sys.stdout is None:
        raise RunFailedError("stdout is closed", "results go there; to drop them use >/dev/null")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def discard_buffered(stream: TextIO) -> None:
    """Drop what is still buffered, so that Python's exit does not fail on it."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def show_error(error: RnncliError) -> None:
    """Print an error and what to do about it on stderr."""
    try:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {printable(error.message)}", err=True, color=COLOR)
        if error.hint:
            click.echo(f"  {click.style('hint:', bold=True)} {printable(error.hint)}", err=True, color=COLOR)
    except OSError:  # stderr is full; the exit status remains
        discard_buffered(sys.stderr)


def show_warning(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
    """Print a warning of rnncli in one line; those of other packages as Python does."""
    if issubclass(category, RnncliWarning):
        click.echo(f"warning: {printable(str(message))}", err=True)
    else:
        _python_shows_warning(message, category, *place, **more)


_python_shows_warning = warnings.showwarning


def show_usage_error(error: click.ClickException) -> int:
    """Print an error of click's like all others; returns the exit status."""
    from rnncli.cli.usage_errors import explain_usage_error

    if type(error).__name__ == "NoArgsIsHelpError":  # of click 8.2: no command was given, and this shows the help
        error.show()
    else:
        show_error(explain_usage_error(error))
    return error.exit_code


LOADING = "loading TensorFlow ..."


@contextlib.contextmanager
def loading_notice(after: float = 1.0) -> Iterator[None]:
    """Say on a terminal that TensorFlow is loading, until it has loaded; not with --quiet.

    Args:
        after: Seconds; a start that takes less is not explained.
    """
    context = click.get_current_context(silent=True)
    if not sys.stderr.isatty() or (context is not None and context.params.get("quiet")):
        yield
        return
    terminal = os.dup(2)  # as TensorFlow's own messages are held back meanwhile
    shown = threading.Event()

    def show() -> None:
        shown.set()
        write_if_possible(terminal, LOADING.encode())

    timer = threading.Timer(after, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if shown.is_set():
            write_if_possible(terminal, f"\r{' ' * len(LOADING)}\r".encode())
        os.close(terminal)


def end_process(status: Sequence[int]) -> None:
    """End the process with an exit status, if there is one, without destructors.

    Those of TensorFlow take a while, and run beside its threads, which may still use what they destroy: now and then
    such an exit ends in an abort, whatever the command has done.
    """
    if status:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status[0])


@click.group(
    "rnncli",
    cls=Cli,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "color": COLOR,
    },
    epilog="""\b
`rnncli COMMAND --help` shows options and examples. Start with:
  rnncli train addition""",
)
@click.version_option(__version__, "-V", "--version", prog_name="rnncli")
def main() -> None:
    """Train recurrent sequence-to-sequence models, predict, and export their hidden states."""


def run() -> None:
    """Run the command line in a process of its own."""
    replace_stderr()
    runtime.claim_process(loading_notice)
    if "_RNNCLI_COMPLETE" in os.environ:
        register_shells()
    status: list[int] = []
    atexit.register(end_process, status)  # is called after all that registers itself from here on
    try:
        main()
    except SystemExit as ending:
        if isinstance(ending.code, int):
            status.append(ending.code)
        raise
    finally:
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # another one ends what the exit may wait for, in silence
