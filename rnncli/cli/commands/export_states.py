"""`rnncli export-states`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from rnncli.cli.help import DECODING, OUTPUT, Command, option
from rnncli.cli.input_lines import files_of, open_lines
from rnncli.cli.options import (
    PATH,
    NameOf,
    input_option,
    open_run,
    run_argument,
    run_options,
    show_unknown,
    show_weights,
    start_run,
)
from rnncli.errors import InputError
from rnncli.runs.provenance import describe
from rnncli.states.formats import FORMATS, final_state_formats, final_states_format

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rnncli.runs.directory import SavedRun
    from rnncli.states.batch import StateBatch
    from rnncli.states.writer import StateWriter

EXAMPLE_OPTIONS = {
    "sources": "SOURCE",
    "input_path": "--input",
    "teacher_forced": "--teacher-forced",
    "layers": "--layers",
    "which": "--which",
    "dtype": "--dtype",
}
"""Options that have no meaning with --carried."""


def split(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Return `a,b` as a tuple."""
    return tuple(part.strip() for part in (value or "").split(",") if part.strip())


@click.command(
    "export-states",
    cls=Command,
    examples=(
        'rnncli export-states RUN "123+45" "7+8" --output states.npz',
        "rnncli export-states RUN --input data/sums.txt -o states.h5 --which h,final",
        "rnncli export-states RUN --input data/sums.txt --format projector -o projector",
    ),
)
@run_argument
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@input_option
@option("--teacher-forced", group=DECODING, is_flag=True, help="Feed the targets behind the tabs to the decoder.")
@option(
    "--layers",
    group=OUTPUT,
    callback=split,
    metavar="NAME,...",
    help="Layers, such as encoder/0,decoder/0 [default: all].",
)
@option(
    "--which",
    group=OUTPUT,
    callback=split,
    metavar="NAME,...",
    help="Of h, c, output (layer outputs), final (states after the last step) [default: all but output].",
)
@option("--carried", group=OUTPUT, is_flag=True, help="Write the states that training left.")
@option("-o", "--output", group=OUTPUT, required=True, type=PATH, metavar="PATH", help="File or directory to write.")
@option(
    "--format",
    "form",
    group=OUTPUT,
    type=NameOf(FORMATS),
    metavar="FORMAT",
    help=f"Of {', '.join(FORMATS)} [default: from the file extension].",
)
@option(
    "--dtype",
    group=OUTPUT,
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Type of the numbers.",
)
@run_options
def command(
    run: Path,
    sources: tuple[str, ...],
    input_path: str | None,
    output: Path,
    form: str | None,
    teacher_forced: bool,
    layers: tuple[str, ...],
    which: tuple[str, ...],
    dtype: str,
    carried: bool,
    overwrite: bool,
    checkpoint: str,
    trust_code: bool,
    device: Literal["auto", "cpu", "gpu"] | None,
    quiet: bool,
) -> None:
    """Write the hidden states of every recurrent layer, step by step, to a file.

    Sources are arguments, lines of a file, or lines of stdin. Arrays are named by layer, direction and state:
    encoder/0/forward/h is [examples, steps, units], encoder/0/forward/final/h, the state after the last step,
    [examples, units]. Steps after the end of a sequence are 0.
    """
    from rnncli.states.export import check_extension, check_output

    inputs = files_of(input_path)
    if carried:
        check_options_with_carried(click.get_current_context())
        if form is None and output.suffix:
            check_extension("--carried", output, final_state_formats())
        form = form or final_states_format(output)
    check_output(output, form, overwrite, inputs)
    saved = open_run(run, device, trust_code, checkpoint)
    if carried:
        export_carried(saved, output, overwrite, form)
        show_weights(saved, quiet=quiet)
        if not quiet:
            click.echo(f"{output}: {', '.join(saved.carried)}", err=True)
        return
    with open_lines(input_path, sources) as (name, lines):
        trained = start_run(saved, quiet=quiet)
        from rnncli.inference.state_export import Exporter, Selection
        from rnncli.states.export import open_writer

        exporter = Exporter(trained, Selection(layers, which), teacher_forced)
        manifest = describe(saved, trained.model.kernels, "teacher-forced" if teacher_forced else "free-running")
        chosen = [name for name in exporter.spec if "/final/" in name] if layers else None
        with open_writer(
            output, form, manifest, exporter.spec, dtype, overwrite=overwrite, embeddings=chosen
        ) as writer:
            write(exporter.batches(lines, name), writer, quiet)
    if not quiet:
        show_unknown(saved.task, name)
        report(writer, output)


def check_options_with_carried(context: click.Context) -> None:
    """Refuse options that have no meaning with --carried.

    Raises:
        UsageError: There is one.
    """
    given = click.core.ParameterSource.COMMANDLINE
    for name, shown in EXAMPLE_OPTIONS.items():
        if context.get_parameter_source(name) is given and context.params[name]:
            raise click.UsageError(f"--carried and {shown} exclude each other")
    if context.params["form"] not in (None, *final_state_formats()):
        raise click.UsageError(f"--carried writes {', '.join(final_state_formats())}; choose one of these --format")


def export_carried(saved: SavedRun, output: Path, overwrite: bool, form: str | None) -> None:
    """Write the states that training left.

    Raises:
        InputError: The model carries none.
    """
    from rnncli.files import read_json
    from rnncli.states.final_states import write_final_states

    if not saved.carried:
        raise InputError(f"{saved.path}: --carried: the model is not stateful, so training left no states")
    kernels = read_json(saved.path / "manifest.json", saved.path).get("kernels")
    layers = kernels.items() if isinstance(kernels, dict) else ()
    ran = {prefix: str(layer.get("kernel")) for prefix, layer in layers if isinstance(layer, dict)}
    write_final_states(output, saved.carried, describe(saved, ran, "carried"), overwrite, form)


def write(batches: Iterable[StateBatch], writer: StateWriter, quiet: bool) -> None:
    """Write batches, with a progress bar on a terminal."""
    from rnncli.terminal import bar

    with bar(None, None, " examples", shown=not quiet, unit_scale=True) as shown:
        for batch in batches:
            writer.write(batch)
            shown.update(len(batch))


def report(writer: StateWriter, output: Path) -> None:
    """Print to stderr the arrays that were written, and those that the format cannot hold."""
    counted = f"{writer.count:,} example{'s' * (writer.count != 1)}"
    click.echo(f"{output}: {counted}, {', '.join(writer.kept)}", err=True)
    if writer.left_out:
        click.echo(f"left out, as the format cannot hold them: {', '.join(writer.left_out)}", err=True)
