"""`rnncli summary`."""

from __future__ import annotations

import click

from rnncli.cli.help import Command
from rnncli.cli.options import config_argument, device_option, set_option, verbose_option


@click.command(
    "summary",
    cls=Command,
    examples=("rnncli summary addition", "rnncli summary config.yaml --set model.encoder.units=512"),
)
@config_argument
@set_option
@device_option
@verbose_option
def command(config_path: str, overrides: tuple[str, ...], device: str | None) -> None:
    """Show the layers of a config: output shapes, parameters, and the kernel of each recurrent layer."""
    from rnncli.config import load_config
    from rnncli.runtime.user_code import config_search_path
    from rnncli.training.inputs import TrainingInputs

    more = [f"runtime.device={device}"] if device is not None else []
    config = load_config(config_path, [*overrides, *more])
    inputs = TrainingInputs.read(config, config_search_path(config_path))

    from rnncli.runtime.tensorflow_setup import setup_tensorflow

    runtime = setup_tensorflow(config.runtime)
    from rnncli.models import build_model
    from rnncli.models.summary import describe

    click.echo(describe(build_model(config, inputs.task.sizes, runtime.on_gpu, inputs.search_path)))
