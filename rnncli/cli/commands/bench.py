"""`rnncli bench`."""

from __future__ import annotations

import contextlib
import json
import math
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import click

from rnncli import errors
from rnncli.cli.help import INPUT, Command, option
from rnncli.cli.options import (
    PATH,
    config_argument,
    device_option,
    drop_message,
    quiet_option,
    set_option,
    show_message,
    table_or_json_option,
    verbose_option,
)
from rnncli.config.kernels import KERNELS
from rnncli.errors import ConfigError, RnncliError, RunFailedError
from rnncli.files import temporary_folder
from rnncli.runtime.signals import postponed

if TYPE_CHECKING:
    from rnncli.config import Config
    from rnncli.training.benchmark_report import BenchmarkBaseline, BenchmarkReport, KernelTiming
    from rnncli.training.inputs import TrainingInputs

COLUMNS = {
    "examples_per_second": ("examples/s", "{:,.0f}"),
    "ms_per_step": ("ms/step", "{:,.2f}"),
    "least_ms_per_step": ("min ms", "{:,.2f}"),
    "compile_seconds": ("compile s", "{:.1f}"),
    "compilation_cache": ("cache", "{}"),
    "gflop_per_second": ("GFLOP/s", "{:,.1f}"),
    "share_of_peak": ("peak", "{:.1%}"),
    "peak_memory_mib": ("memory MiB", "{:,.0f}"),
    "times_the_first": ("speed", "x {:.2f}"),
    "logits_difference": ("logit diff", "{:.1g}"),
}
"""Key of a kernel's JSON object to its column header and format."""
COMPARISON_KEYS = ("times_the_first", "logits_difference")
"""Columns that are shown only if there are several kernels."""

CONFIG, RESULT, BASELINE = "config.yaml", "result.json", "baseline.safetensors"
"""Files in the folder by which `bench` and the process of a kernel exchange what they know."""
START_CHILD = "import sys; sys.path.append(sys.argv.pop(1)); from rnncli.cli.main import run; run()"
"""Code of a kernel's process: rnncli from the same place as here, and nothing from the current directory."""


def parse_kernel_names(_ctx: click.Context, _param: click.Parameter, value: str | None) -> list[str]:
    """Return the distinct kernel names of `--compare`."""
    names = [name.strip() for name in value.split(",")] if value is not None else []
    for name in names:
        if name not in KERNELS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(KERNELS)}")
    return list(dict.fromkeys(names))


def refuse_nan(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    """Return the number unless it is NaN, which passes click's range check."""
    if math.isnan(value):
        raise click.BadParameter("nan is not a number")
    return value


@click.command(
    "bench",
    cls=Command,
    examples=(
        "rnncli bench addition",
        "rnncli bench addition --compare generic,fused,cudnn --format json",
    ),
)
@config_argument
@set_option
@option(
    "--compare",
    group=INPUT,
    metavar="KERNEL,...",
    callback=parse_kernel_names,
    help=f"Compare these kernels: {', '.join(KERNELS)}.",
)
@option(
    "--seconds",
    group=INPUT,
    type=click.FloatRange(0, 3600, min_open=True),
    metavar="S",
    callback=refuse_nan,
    default=5.0,
    show_default=True,
    help="Time to measure each kernel.",
)
@table_or_json_option
@click.option("--child", type=PATH, hidden=True)
@device_option
@quiet_option
@verbose_option
def command(
    config_path: str,
    overrides: tuple[str, ...],
    compare: list[str],
    seconds: float,
    style: str,
    child: Path | None,
    device: str | None,
    quiet: bool,
) -> None:
    """Measure how fast a config trains here, and the share of the machine's peak it reaches.

    Nothing is saved. With --compare all kernels start from the same weights; the table shows each one's speed and
    largest difference of logits, relative to the first.
    """
    from rnncli.config.file_names import directory_of
    from rnncli.config.yaml_reader import read_file

    if child is not None:
        run_child(child, seconds, config_path, quiet)
        return
    text, name = read_file(config_path)  # once, because it may be stdin
    settings = [*overrides, *([f"runtime.device={device}"] if device is not None else [])]
    configs = variants(text, name, settings, compare, directory_of(config_path))
    report = run(configs, seconds, config_path, quiet)
    click.echo(json.dumps(report.as_json()) if style == "json" else as_text(report))


def variants(
    text: str | bytes, name: str, settings: list[str], kernels: list[str], directory: Path
) -> dict[str, Config | str]:
    """Return the config for each kernel name, or the reason that it is invalid with this kernel.

    Args:
        text: The config file.
        name: Its name, for messages.
        settings: Overrides, as of `--set`.
        kernels: The kernels to compare; if empty, the config as it is.
        directory: The directory that relative file names in the text start from.

    Raises:
        ConfigError: The config is invalid, whatever the kernel.
    """
    from rnncli.config import parse_config

    config = parse_config(text, name, settings, directory)
    found: dict[str, Config | str] = {} if kernels else {config.runtime.kernel: config}
    failure: ConfigError | None = None
    for kernel in kernels:
        try:
            found[kernel] = parse_config(text, name, [*settings, f"runtime.kernel={kernel}"], directory)
        except ConfigError as error:
            failure, found[kernel] = failure or error, error.message
    if failure is not None and all(isinstance(config, str) for config in found.values()):
        raise failure
    return found


def run(configs: dict[str, Config | str], seconds: float, config_path: str, quiet: bool) -> BenchmarkReport:
    """Benchmark the kernels; several of them in a process each, so that they share no threads and no memory.

    Raises:
        RnncliError: No kernel can run; the error of the first one that was tried.
    """
    from rnncli.config import Config
    from rnncli.runtime.flops import needed_flop
    from rnncli.runtime.user_code import config_search_path
    from rnncli.training.benchmark_report import BenchmarkReport, KernelTiming
    from rnncli.training.inputs import TrainingInputs

    config = next(config for config in configs.values() if isinstance(config, Config))
    inputs = TrainingInputs.read(
        config, config_search_path(config_path), note=drop_message if quiet else show_message
    )
    kernels: dict[str, KernelTiming | str] = {}
    failures: list[RnncliError] = []
    with temporary_folder("rnncli-bench-") as folder:
        for name, wanted in configs.items():
            if isinstance(wanted, str):
                kernels[name] = wanted
                continue
            try:
                if len(configs) == 1:
                    kernels[name], _ = measure(inputs, seconds, quiet)
                else:
                    kernels[name] = measure_in_subprocess(name, wanted, seconds, config_path, quiet, folder)
            except RnncliError as error:
                failures.append(error)
                kernels[name] = error.message
    if not any(isinstance(found, KernelTiming) for found in kernels.values()):
        raise failures[0]
    examples, _ = inputs.splits
    rows = min(config.training.batch_size, len(examples))
    flop = needed_flop(config.model, inputs.task.sizes, examples, config.training.samples)
    return BenchmarkReport(rows, len(examples), flop, kernels)


def measure(
    inputs: TrainingInputs, seconds: float, quiet: bool, first: BenchmarkBaseline | None = None
) -> tuple[KernelTiming, BenchmarkBaseline]:
    """Benchmark one kernel in this process; see `rnncli.training.benchmark.Benchmark`."""
    runtime = inputs.setup_tensorflow()
    from rnncli.training.benchmark import Benchmark

    return Benchmark(inputs, runtime).measure(seconds, quiet, first)


def measure_in_subprocess(
    name: str, config: Config, seconds: float, config_path: str, quiet: bool, folder: Path
) -> KernelTiming:
    """Benchmark one kernel in a process of its own.

    Args:
        name: The name of the kernel.
        config: The config that selects it.
        seconds: How long to measure.
        config_path: The path of the config, near which modules of custom cells are found.
        quiet: True shows no progress bar.
        folder: A folder for the exchange of files. The first kernel leaves its baseline there for the others.

    Raises:
        RnncliError: The kernel cannot run, or its process ended before it had a result.
    """
    from rnncli.config import dump_config
    from rnncli.training.benchmark_report import KernelTiming

    (folder / CONFIG).write_text(dump_config(config), encoding="utf-8")
    package = str(Path(errors.__file__).resolve().parents[1])
    options = ["--child", str(folder), "--seconds", str(seconds), *["--quiet"] * quiet]
    # its own process group: Ctrl-C reaches this process only, which then ends the other
    with contextlib.ExitStack() as stack:
        with postponed():
            child = stack.enter_context(
                subprocess.Popen(  # noqa: S603 (nothing that a shell would see)
                    [sys.executable, "-P", "-c", START_CHILD, package, "bench", *options, "--", config_path],
                    stdin=subprocess.PIPE,
                    process_group=0,
                )
            )
            stack.callback(child.wait)  # which its own end does not do after Ctrl-C
            stack.callback(child.kill)
        status = child.wait()
    if status:
        how, hint = (
            (f"by signal {-status}", "was there enough memory?") if status < 0 else (f"with status {status}", "")
        )
        raise RunFailedError(f"the {name} kernel: its process ended {how}", hint)
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    if "error" in result:
        raise getattr(errors, result["error"])(result["message"], result["hint"])
    return KernelTiming(**result)


def run_child(folder: Path, seconds: float, config_path: str, quiet: bool) -> None:
    """Benchmark the kernel of `measure_in_subprocess` and leave the result in the folder."""
    from safetensors.numpy import load_file

    from rnncli.config import load_config
    from rnncli.runs.arrays import format_arrays
    from rnncli.runtime.user_code import config_search_path
    from rnncli.training.benchmark_report import BenchmarkBaseline
    from rnncli.training.inputs import TrainingInputs

    Thread(target=exit_with_parent, daemon=True).start()
    config, baseline = load_config(str(folder / CONFIG)), folder / BASELINE
    first = None
    if baseline.exists():
        weights = load_file(baseline)
        first = BenchmarkBaseline(logits=weights.pop("logits"), weights=weights)
    result: dict[str, Any]
    try:
        inputs = TrainingInputs.read(config, config_search_path(config_path))
        timing, own = measure(inputs, seconds, quiet, first)
    except RnncliError as error:
        result = {"error": type(error).__name__, "message": error.message, "hint": error.hint}
    else:
        result = asdict(timing)
        if first is None:
            baseline.write_bytes(format_arrays({**own.weights, "logits": own.logits}))
    (folder / RESULT).write_text(json.dumps(result), encoding="utf-8")


def exit_with_parent() -> None:
    """End this process when the one that started it ends, which closes the pipe to stdin."""
    os.read(sys.stdin.fileno(), 1)  # not sys.stdin.read, whose lock would abort the exit of the interpreter
    os._exit(1)


def as_text(report: BenchmarkReport) -> str:
    """Return a table of the timings, and a line for the kernel of each recurrent layer."""
    values = report.as_json()
    rows: list[dict[str, Any]] = values["kernels"]
    keys = [key for key in COLUMNS if len(rows) > 1 or key not in COMPARISON_KEYS]
    table = [["kernel", *(COLUMNS[key][0] for key in keys)]]
    for row in rows:
        cells = ["-" if row.get(key) is None else COLUMNS[key][1].format(row[key]) for key in keys]
        table.append([row["kernel"], *cells])
    wide = [max(map(len, column)) for column in zip(*table, strict=True)]
    shards = f"{values['parts']} shard{'s' * (values['parts'] > 1)}"
    flop = values["flop_per_example"]
    needed = "" if flop is None else f", {flop / 1e6:.3g} MFLOP per example"
    lines = [
        f"{values['device'].upper()}: peak {values['peak_gflop_per_second']:,.1f} GFLOP/s (large products)",
        f"{values['examples']:,} examples, batch size {values['batch_size']}, {shards}{needed}",
        "",
        *("  ".join([f"{row[0]:<{wide[0]}}", *map(str.rjust, row[1:], wide[1:])]) for row in table),
        "",
    ]
    for row in rows:
        if "refused" in row:
            lines.append(f"{row['kernel']} did not run: {row['refused']}")
        lines += [f"{k}: {c['kernel']} kernel ({c['reason']})" for k, c in row.get("layers", {}).items()]
    lines += ["", ", ".join(f"{name} {version}" for name, version in values["versions"].items())]
    return "\n".join(lines)
