"""Recurrent sequence-to-sequence models: train them, predict with them, and get their states out.

>>> import rnncli
>>> run = rnncli.train("addition", ["training.epochs=3"])
>>> run.predict(["12+34"])[0].text

Public beside these: the class `Run`, the module `errors`, and `claim_process`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from rnncli._version import __version__

__all__ = ["Run", "__version__", "claim_process", "errors", "load", "train"]

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import keras

    from rnncli import errors
    from rnncli.api import Run
    from rnncli.config import Config
    from rnncli.runtime.tensorflow_setup import claim_process
else:
    _MODULES = {"Run": "api", "claim_process": "runtime.tensorflow_setup"}

    def __getattr__(name: str) -> Any:
        """Import what is first used, so that `import rnncli` imports neither NumPy nor TensorFlow."""
        if name == "errors":
            return import_module("rnncli.errors")
        if name in _MODULES:
            return getattr(import_module(f"rnncli.{_MODULES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        """Return the public names too that are not imported yet."""
        return sorted({*globals(), *__all__})


def load(
    path: str | os.PathLike[str],
    device: Literal["auto", "cpu", "gpu"] = "auto",
    trust_code: bool = False,
    ensemble: Sequence[str | os.PathLike[str]] = (),
    checkpoint: str | int = "best",
) -> Run:
    """Load a trained run for prediction; the settings of the process stay as they are.

    Args:
        path: The run directory, the beginning of its name, or `latest`, as for the command line.
        device: `auto`, `cpu` or `gpu`.
        trust_code: True to import the class of a custom cell, from the run or the current directory.
        ensemble: Directories of further runs, whose probabilities are averaged with those of the first.
        checkpoint: `best` for the weights of the best epoch, `last`, or the number of steps of a checkpoint; of the
            first run, the further ones take their best.

    Raises:
        rnncli.errors.RnncliError: A directory is not a valid run, the runs do not fit together, the device is not
            there, or Keras has another backend than TensorFlow in this process.
    """
    from rnncli.api import Run

    return Run(path, device, trust_code, ensemble, checkpoint)


def train(
    config: str | os.PathLike[str] | Mapping[str, Any] | Config | None = None,
    overrides: Sequence[str] = (),
    *,
    run_dir: str | os.PathLike[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    resume: bool = False,
    progress: bool = True,
    init_from: str | os.PathLike[str] | None = None,
    allow_changed_data: bool = False,
    trust_code: bool = False,
) -> Run:
    """Train a model into a new run directory, or resume a run; the settings of the process stay as they are.

    While it trains, they are set for all threads: in another thread, TensorFlow's random operations need a seed, and
    the global random states are put back at the end to what they were at the start.

    SIGINT, SIGTERM and SIGHUP stop training with a checkpoint, and then do what they do in the process otherwise:
    Ctrl-C raises KeyboardInterrupt. After `claim_process` the bits and the speed are those of `rnncli train`.

    Args:
        config: The path of a config, the name of an example config, a mapping, or a validated config. With
            `resume`, None is that of the run.
        overrides: `KEY.PATH=VALUE`, each in place of what the config says.
        run_dir: A new or empty directory; None is a new dated name under `runs/`. With `resume`, the run.
        callbacks: Keras callbacks; `on_train_batch_end` comes once for several steps.
        resume: True to resume the run from its newest valid checkpoint.
        progress: False to print nothing on stderr.
        init_from: A run whose weights training starts from (warm start, fine-tuning); see `training.init_from`.
        allow_changed_data: With `resume`, True to go on with other data than the run was trained on.
        trust_code: True to import the classes of a custom cell and of callbacks from the run that is resumed, or
            whose `config.yaml` is trained anew.

    Returns:
        The run, with the weights of the best epoch; `finished` is False if a callback stopped training.

    Raises:
        rnncli.errors.RnncliError: The config, the data or the directory cannot be used, or training cannot go on.
    """
    from rnncli.api import train as run_training

    return run_training(
        config,
        overrides,
        run_dir,
        callbacks,
        resume,
        progress,
        init_from,
        allow_changed_data=allow_changed_data,
        trust_code=trust_code,
    )
