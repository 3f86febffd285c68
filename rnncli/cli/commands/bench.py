"""`rnncli bench`."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from rnncli.cli.help import INPUT, Command, option
from rnncli.cli.options import (
    config_argument,
    device_option,
    quiet_option,
    set_option,
    table_or_json_option,
    verbose_option,
)
from rnncli.errors import ConfigError, RnncliError

if TYPE_CHECKING:
    from pathlib import Path

    from rnncli.config import Config
    from rnncli.data.examples import Examples, Sizes
    from rnncli.runtime.user_code import ModuleSearchPath
    from rnncli.training.benchmark_report import Measured, Report, Start

KERNELS = ("generic", "fused", "cudnn", "auto")
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
"""Heading and number format of each column, by the key in a kernel's JSON object."""
COMPARED = ("times_the_first", "logits_difference")


def kernel_names(_ctx: click.Context, _param: click.Parameter, value: str | None) -> list[str]:
    """Return the kernels that `--compare` names, once each."""
    names = [name.strip() for name in value.split(",")] if value is not None else []
    for name in names:
        if name not in KERNELS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(KERNELS)}")
    return list(dict.fromkeys(names))


def finite(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    """Return the number, if it is finite."""
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
    callback=kernel_names,
    help=f"Compare these kernels: {', '.join(KERNELS)}.",
)
@option(
    "--seconds",
    group=INPUT,
    type=click.FloatRange(0, 3600, min_open=True),
    metavar="S",
    callback=finite,
    default=5.0,
    show_default=True,
    help="Time to measure each kernel.",
)
@table_or_json_option
@device_option
@quiet_option
@verbose_option
def command(
    config_path: str,
    overrides: tuple[str, ...],
    compare: list[str],
    seconds: float,
    style: str,
    device: str | None,
    quiet: bool,
) -> None:
    """Measure how fast a config trains here, and the share of the machine's peak it reaches.

    Nothing is saved. With --compare all kernels start from the same weights; the table shows each one's speed and
    largest difference of logits, relative to the first.
    """
    from rnncli.config.file_names import directory_of
    from rnncli.config.yaml_reader import read_file
    from rnncli.runtime.user_code import config_search_path

    text, name = read_file(config_path)  # once, for it may be stdin
    settings = [*overrides, *([f"runtime.device={device}"] if device is not None else [])]
    configs = variants(text, name, settings, compare, directory_of(config_path))
    report = run(configs, seconds, config_search_path(config_path), quiet)
    click.echo(json.dumps(report.as_json()) if style == "json" else as_text(report))


def variants(
    text: str | bytes, name: str, settings: list[str], kernels: list[str], directory: Path
) -> dict[str, Config | str]:
    """Return the config with each kernel, or why that is impossible; without kernels the config itself.

    Raises:
        ConfigError: It is invalid with every kernel.
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


def run(configs: dict[str, Config | str], seconds: float, search_path: ModuleSearchPath, quiet: bool) -> Report:
    """Make the data ready, and measure; several kernels in a process each, as each would train.

    Raises:
        RnncliError: No kernel can run; why the first that was tried cannot.
    """
    from rnncli.config import Config
    from rnncli.data.tasks import build_task
    from rnncli.runtime.flops import needed_flop
    from rnncli.runtime.subprocesses import alone
    from rnncli.training.benchmark_report import Report

    config = next(config for config in configs.values() if isinstance(config, Config))
    task = build_task(config)
    examples, _ = task.splits()
    found: dict[str, Measured | str] = {}
    failures: list[RnncliError] = []
    first: Start | None = None
    for name, wanted in configs.items():
        if isinstance(wanted, str):
            found[name] = wanted
            continue
        job = partial(measure, wanted, task.sizes, examples, seconds, search_path, quiet, first)
        try:
            found[name], start = job() if len(configs) == 1 else alone(job, f"the {name} kernel")
        except RnncliError as error:
            failures.append(error)
            found[name] = error.message
        else:
            first = first or start
    if first is None:
        raise failures[0]
    rows = min(config.training.batch_size, len(examples))
    return Report(rows, len(examples), needed_flop(config.model, task.sizes, examples), found)


def measure(
    config: Config,
    sizes: Sizes,
    examples: Examples,
    seconds: float,
    search_path: ModuleSearchPath,
    quiet: bool,
    first: Start | None,
) -> tuple[Measured, Start]:
    """Make TensorFlow ready, and measure one kernel; see `rnncli.training.bench.Bench`."""
    from rnncli.runtime.parallelism import plan_parallelism
    from rnncli.runtime.tensorflow_setup import start

    ready = start(config.runtime, *plan_parallelism(config, sizes, examples))
    from rnncli.training.benchmark import Bench

    return Bench(config, sizes, examples, ready, search_path).measure(seconds, quiet, first)


def as_text(report: Report) -> str:
    """Return the measurements as a table, and a line on the kernel of each recurrent layer."""
    values = report.as_json()
    rows: list[dict[str, Any]] = values["kernels"]
    keys = [key for key in COLUMNS if len(rows) > 1 or key not in COMPARED]
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
