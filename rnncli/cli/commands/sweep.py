"""`rnncli sweep`."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from rnncli.cli.figures import check_figure, write_figure
from rnncli.cli.help import INPUT, OUTPUT, RUN, Command, option
from rnncli.cli.options import (
    CONFIG,
    PATH,
    check_ray_options,
    drop_message,
    engine_options,
    overwrite_option,
    quiet_option,
    set_option,
    show_message,
    table_or_json_option,
)
from rnncli.cli.tables import fit_columns
from rnncli.engines import LOCAL, require_ray
from rnncli.errors import InputError, Terminated, command_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rnncli.sweep.report import Point
    from rnncli.sweep.spec import SweepSpec
    from rnncli.sweep.study import Sweep

SWEEPS = Path("sweeps")
"""The directory of new sweeps that are given no path."""
MAX_SHOWN_POINTS = 10
SHOW = "show"


@click.command(
    "sweep",
    cls=Command,
    examples=(
        "rnncli sweep addition --set model.cell=lstm,gru --set training.seed=0,1,2",
        "rnncli sweep sweep.yaml --jobs 4",
        "rnncli sweep show sweeps/addition",
    ),
)
@click.argument("arguments", metavar="SWEEP | show DIR", type=CONFIG, nargs=-1, required=True)
@set_option
@option("--trials", group=INPUT, type=click.IntRange(min=1), metavar="N", help="Number of trainings.")
@option("--sampler", group=INPUT, metavar="NAME", help="grid, random or tpe [default: grid for lists].")
@option("--max-time", group=RUN, metavar="TIME", help="Stop after a time, such as '2 hours'; go on later.")
@option(
    "--jobs", group=RUN, type=click.IntRange(1, 1024), metavar="N", help="Trials at a time; they divide the cores."
)
@option("--dir", "directory", group=OUTPUT, type=PATH, metavar="DIR", help="Directory [default: sweeps/NAME].")
@option(
    "--ensemble", "members", group=OUTPUT, type=click.IntRange(min=2), metavar="K", help="show: ensemble of the best."
)
@option("-o", "--output", group=OUTPUT, type=PATH, metavar="FILE", help="show: figure to write, .png, .svg or .pdf.")
@engine_options
@option("--trust-code", group=RUN, is_flag=True, help="Run code that DIR has; only for one you trust.")
@overwrite_option
@table_or_json_option
@quiet_option
def command(
    arguments: tuple[str, ...],
    overrides: tuple[str, ...],
    directory: Path | None,
    members: int | None,
    output: Path | None,
    engine: str,
    ray_address: str | None,
    trust_code: bool,
    overwrite: bool,
    style: str,
    quiet: bool,
    **options: Any,
) -> int:
    """Train a config with many settings and seeds, and compare the results on held-out data.

    SWEEP is a sweep file, a config whose --set gives a key several values, or the directory of a sweep to go on with.
    Any number of processes may work on one directory. `show` shows the best settings, and writes their config.
    Needs the package optuna.
    """
    from rnncli.sweep import require_optuna

    check_ray_options(engine, ray_address=ray_address)
    given = {key: value for key, value in options.items() if value is not None}
    if arguments == (SHOW,) and not Path(SHOW).exists():
        raise click.UsageError("show needs the directory of a sweep: rnncli sweep show DIR")
    if arguments[0] == SHOW and len(arguments) > 1:
        if given or overrides or directory or quiet or trust_code or engine != LOCAL or len(arguments) > 2:
            raise click.UsageError("show takes the directory of a sweep, --ensemble, --output and --format")
        if overwrite and output is None:
            raise click.UsageError("--overwrite needs --output")
        require_optuna()
        return show(Path(arguments[1]), members, output, overwrite, style)
    if len(arguments) > 1:
        raise click.UsageError("give one sweep file, config or directory")
    if members is not None or output is not None or overwrite or style != "text":
        raise click.UsageError("--ensemble, --output, --overwrite and --format need show: rnncli sweep show DIR")
    require_optuna()
    report = drop_message if quiet else show_message
    address = check_engine(engine, ray_address)
    sweep = open_sweep(arguments[0], overrides, directory, given, trust_code, report)
    return work(sweep, engine, address, given.get("jobs"), report)


def check_engine(engine: str, ray_address: str | None) -> str:
    """Refuse an engine that is not installed, or an address that is none; returns the address of the cluster."""
    if engine == LOCAL:
        return ""
    from rnncli.engines.connection import read_address

    address = read_address(ray_address)
    require_ray()
    return address


def work(sweep: Sweep, engine: str, address: str, jobs: int | None, report: Callable[[str], None]) -> int:
    """Train the trials of a sweep; returns the exit status.

    Args:
        sweep: The sweep.
        engine: The name of what trains them.
        address: The address of a cluster, for engines that have one.
        jobs: Trials at a time, if they were given.
        report: Is given what happens.
    """
    from rnncli.sweep.engines import ENGINES
    from rnncli.sweep.report import best_trials, points_of, write_best
    from rnncli.sweep.runner import Runner

    go_on = go_on_command(sweep, engine)
    try:
        with ENGINES[engine](sweep.spec, address, jobs) as opened:
            ended = Runner(sweep, opened, report).run()
    except (KeyboardInterrupt, Terminated):
        click.echo(f"stopped; go on with: {go_on}", err=True)
        raise
    best = write_best(sweep, points_of(sweep))
    if best is not None:
        report(f"best config: {best}; compare with: {command_line('sweep', SHOW, sweep.path)}")
    if not ended:
        report(f"the time is over, {sweep.unfinished()} trials are left; go on with: {go_on}")
    click.echo(sweep.path)
    return 0 if best_trials(sweep) or not ended else 1


def open_sweep(
    target: str,
    overrides: Sequence[str],
    directory: Path | None,
    options: dict[str, Any],
    trust_code: bool,
    report: Callable[[str], None],
) -> Sweep:
    """Return the sweep of a directory, or make one of a sweep file or a config."""
    from rnncli.sweep.reader import read_sweep
    from rnncli.sweep.study import SWEEP, Sweep, begin, change, refuse_code

    if Path(target).is_dir():
        if overrides or directory is not None:
            raise click.UsageError("--set and --dir need a sweep file or a config, not a directory")
        change(Path(target), options, trust_code)
        return Sweep(Path(target))
    if target == "-":
        raise InputError("-: a sweep is read from a file", "give its path")
    spec = read_sweep(target, overrides, options)
    path = directory or SWEEPS / Path(target).stem
    if (path / SWEEP).exists() and not trust_code:  # the code of its trials is not that of the config
        refuse_code(spec, path)
    check_data(spec, report)
    return begin(spec, path)


def go_on_command(sweep: Sweep, engine: str = LOCAL) -> str:
    """Return the command that goes on with a sweep."""
    from rnncli.sweep.study import has_code

    trust, where = ["--trust-code"] * has_code(sweep.spec), ["--engine", engine] * (engine != LOCAL)
    return command_line("sweep", sweep.path, *trust, *where)


def check_data(spec: SweepSpec, report: Callable[[str], None]) -> None:
    """Refuse a sweep whose data cannot be used, before there is a directory."""
    from rnncli.runtime.user_code import config_search_path
    from rnncli.training.inputs import TrainingInputs

    first = {key: parameter.samples[0] for key, parameter in spec.space.items()}
    search_path = config_search_path(spec.config_path)
    TrainingInputs.read(spec.config(first, spec.seeds[0]), search_path, note=report)


def show(path: Path, members: int | None, output: Path | None, overwrite: bool, style: str) -> int:
    """Print the results of a sweep, and write its best config; returns the exit status."""
    from rnncli.sweep.report import points_of, write_best
    from rnncli.sweep.study import Sweep

    if output is not None:
        check_figure(output, overwrite)
    sweep = Sweep(path, read_only=True)
    points = points_of(sweep)
    best = write_best(sweep, points)
    facts = facts_of(sweep, points, best)
    if members is not None:
        facts["ensemble"] = ensemble_command(sweep, members)
    if output is not None:
        draw(sweep, output)
    if style == "json":
        click.echo(json.dumps(facts, indent=2))
    else:
        show_text(sweep, points, facts)
    if output is not None:
        click.echo(output, err=True)
    return 0


def facts_of(sweep: Sweep, points: Sequence[Point], best: str | None) -> dict[str, Any]:
    """Return the results of a sweep as JSON has them."""
    from rnncli.sweep.report import failures, importances

    return {
        "metric": sweep.spec.metric,
        "higher_is_better": sweep.spec.higher_is_better,
        "trials": sweep.spec.trials,
        "unfinished": sweep.unfinished(),
        "points": [point_facts(sweep, point) for point in points],
        "importance": importances(sweep),
        "failures": [{"trial": number, "error": error} for number, error in failures(sweep)],
        "best_config": best,
    }


def point_facts(sweep: Sweep, point: Point) -> dict[str, Any]:
    """Return a point as JSON has it."""
    mean, half, count = point.mean, point.half_width, len(sweep.spec.seeds)
    return {
        "settings": point.settings,
        "mean": mean,
        "interval": None if mean is None or half is None else [mean - half, mean + half],
        "trials": [
            {
                "trial": trial.number,
                "seed": sweep.spec.seeds[trial.number % count],
                "value": trial.value,
                "run": str(sweep.run_of(trial.number)),
            }
            for trial in point.trials
        ],
        "states": point.states,
    }


def show_text(sweep: Sweep, points: Sequence[Point], facts: dict[str, Any]) -> None:
    """Print the results of a sweep as a table."""
    from rnncli.metrics import MONITORED
    from rnncli.sweep.runner import show_value

    metric, keys = MONITORED[sweep.spec.metric], list(sweep.spec.space)
    rows = [(sweep.spec.metric, "95% interval", "seeds", *(key.rpartition(".")[2] for key in keys), "trials")]
    for point in points[:MAX_SHOWN_POINTS]:
        mean, half = point.mean, point.half_width
        numbers = " ".join(str(trial.number) for trial in point.trials) or ", ".join(dict.fromkeys(point.states))
        ends = None if mean is None or half is None else (mean - half, mean + half)
        if ends is not None and metric.number_format.endswith("%"):  # Student's t knows of no bounds
            ends = max(0.0, ends[0]), min(1.0, ends[1]) if metric.higher_is_better else ends[1]
        interval = "" if ends is None else f"{metric.show(ends[0])} to {metric.show(ends[1])}"
        settings = (show_value(point.settings[key]) if key in point.settings else "" for key in keys)
        shown = "" if mean is None else metric.show(mean)
        rows.append((shown, interval, str(len(point.trials)), *settings, numbers))
    for row in fit_columns(rows, get_terminal_size().columns):
        click.echo("  ".join(row).rstrip())
    if len(points) > MAX_SHOWN_POINTS:
        click.echo(f"... and {len(points) - MAX_SHOWN_POINTS} more settings")
    if facts["importance"]:
        shares = (f"{key} {share:.0%}" for key, share in facts["importance"].items())
        click.echo(f"\nimportance: {', '.join(shares)}")
    for each in facts["failures"]:
        click.echo(f"trial {each['trial']} failed: {each['error']}", err=True)
    if facts["unfinished"]:
        go_on = go_on_command(sweep)
        click.echo(f"{facts['unfinished']} of {sweep.spec.trials} trials are left; go on with: {go_on}", err=True)
    if facts["best_config"]:
        click.echo(f"\nbest config: {facts['best_config']}")
    if "ensemble" in facts:
        click.echo(f"ensemble: {facts['ensemble']}")


def ensemble_command(sweep: Sweep, members: int) -> str:
    """Return the command that predicts with the best trials together.

    Raises:
        InputError: There are too few, or their probabilities cannot be averaged.
    """
    from rnncli.config import CustomCell
    from rnncli.inference.ensembles import check_ensemble_compatible
    from rnncli.runs.directory import RunDir
    from rnncli.sweep.report import best_trials

    best = best_trials(sweep)[:members]
    if len(best) < members:
        raise InputError(f"--ensemble {members}: only {len(best)} trials were trained to their end")
    runs = [RunDir(sweep.run_of(trial.number)).load(trust_code=True) for trial in best]
    check_ensemble_compatible(runs[0], runs[1:])
    others = [part for saved in runs[1:] for part in ("--ensemble", saved.path)]
    trust = ["--trust-code"] if any(isinstance(saved.config.model.cell, CustomCell) for saved in runs) else []
    return command_line("predict", runs[0].path, *others, *trust)


def draw(sweep: Sweep, output: Path) -> None:
    """Write a figure of a sweep's course, and of the metric by the values of each key."""
    from rnncli.plots import sweep_course
    from rnncli.plots.figure import FigureOptions
    from rnncli.sweep.report import best_trials
    from rnncli.sweep.study import settings_of

    trials = sorted(best_trials(sweep), key=lambda trial: trial.number)
    if not trials:
        raise InputError(f"{sweep.path}: no trial was trained to its end yet")
    settings = [settings_of(sweep.spec, trial.params) for trial in trials]
    columns = {
        key: ([each[key] for each in settings], getattr(parameter, "log", False))
        for key, parameter in sweep.spec.space.items()
    }
    numbers, values = [trial.number for trial in trials], [float(trial.value or 0) for trial in trials]
    options, spec = FigureOptions(output), sweep.spec
    figure = sweep_course.draw(numbers, values, columns, spec.metric, spec.higher_is_better, sweep.path.name, options)
    write_figure(figure, options)
