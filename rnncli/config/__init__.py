"""Read and check configs. Imports no TensorFlow.

>>> config = load_config("config.yaml", ["training.epochs=3"])
>>> config.training.epochs
3
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import TypeAdapter, ValidationError

from rnncli.config.base import Section
from rnncli.config.cells import CELLS, BuiltInCell, CustomCell, name_of
from rnncli.config.earlier_versions import complete_recorded
from rnncli.config.error_messages import explain
from rnncli.config.file_names import (
    CURRENT_DIRECTORY,
    RELATIVE_PATHS,
    absolute_file_names,
    directory_of,
    missing_files,
    resolve_file_names,
)
from rnncli.config.models import (
    ClassifierModel,
    DecoderConfig,
    Encoder,
    EncoderDecoderModel,
    NextStepModel,
    RepeatVectorModel,
    Stack,
)
from rnncli.config.overrides import apply_overrides
from rnncli.config.pairs import Columns, Files, PairsTask, Tokenize
from rnncli.config.resume_rules import describe_differences, refuse_differences
from rnncli.config.schema import (
    CheckpointConfig,
    Config,
    EarlyStopping,
    InitialWeights,
    Model,
    Plateau,
    RuntimeConfig,
    ScheduledSampling,
    Training,
    uneven_batches,
)
from rnncli.config.tasks import AdditionTask, AlphabetTask, ClassifyTask, ImageRowsTask, NestedTask, TextTask
from rnncli.config.user_classes import UserClass
from rnncli.config.yaml_reader import Document, read_file, read_yaml
from rnncli.config.yaml_scalars import write_yaml
from rnncli.errors import ConfigError

__all__ = [
    "CELLS",
    "AdditionTask",
    "AlphabetTask",
    "BuiltInCell",
    "CheckpointConfig",
    "ClassifierModel",
    "ClassifyTask",
    "Columns",
    "Config",
    "CustomCell",
    "DecoderConfig",
    "EarlyStopping",
    "Encoder",
    "EncoderDecoderModel",
    "Files",
    "ImageRowsTask",
    "InitialWeights",
    "Model",
    "NestedTask",
    "NextStepModel",
    "PairsTask",
    "Plateau",
    "RepeatVectorModel",
    "RuntimeConfig",
    "ScheduledSampling",
    "Stack",
    "TextTask",
    "Tokenize",
    "Training",
    "UserClass",
    "describe_differences",
    "dump_config",
    "load_config",
    "name_of",
    "parse_config",
    "read_document",
    "refuse_differences",
    "uneven_batches",
]


def load_config(
    path: str | os.PathLike[str],
    overrides: Sequence[str] = (),
    run: Config | None = None,
    *,
    files_exist: bool = False,
) -> Config:
    """Read and check a config file.

    Args:
        path: The file; `-` is standard input. Relative file names in it start from its directory.
        overrides: `KEY.PATH=VALUE`, each in place of what the file says; later ones win. Relative file names in
            them start from the current directory.
        run: The config of a run to resume: keys that the file lacks and earlier versions did not have are as there.
        files_exist: True to refuse a config whose data files are not there.

    Raises:
        ConfigError: The file or an override cannot be used; lists every problem with its line.
    """
    text, name = read_file(path)
    directory = directory_of(path)
    return parse_config(text, name, overrides, directory, recorded=run or False, files_exist=files_exist)


def parse_config(
    text: str | bytes,
    name: str,
    overrides: Sequence[str] = (),
    directory: Path = CURRENT_DIRECTORY,
    *,
    recorded: bool | Config = False,
    files_exist: bool = False,
) -> Config:
    """Check the text of a config; see `read_document`."""
    return read_document(text, name, overrides, directory, recorded=recorded, files_exist=files_exist)[0]


def read_document(
    text: str | bytes,
    name: str,
    overrides: Sequence[str] = (),
    directory: Path = CURRENT_DIRECTORY,
    *,
    recorded: bool | Config = False,
    files_exist: bool = False,
) -> tuple[Config, Document]:
    """Check the text of a config, and return the document too, which knows the place of each key.

    Args:
        text: The YAML; bytes are UTF-8.
        name: The name of the text in messages.
        overrides: As for `load_config`.
        directory: The directory that relative file names in the text start from.
        recorded: True for the config of a run, in which keys may be missing that its version did not have; they get
            the values that it was trained with. A config is that of the run to resume: the values are as there.
        files_exist: As for `load_config`.

    Raises:
        ConfigError: The text or an override cannot be used; lists every problem with its line.
    """
    document = read_yaml(text, name)
    if recorded:
        run = recorded.task if isinstance(recorded, Config) else None
        document = replace(document, data=complete_recorded(document.data, run))
    document = apply_overrides(document, overrides)
    try:
        config = Config.model_validate(document.data)
    except ValidationError as error:
        explained = explain(error, document)
        if files_exist and (missing := _missing_of_task(document, directory)):
            explained = ConfigError("\n".join([explained.message, *missing]), explained.hint or RELATIVE_PATHS)
        raise explained from error
    config = resolve_file_names(config, document, directory)
    if files_exist and (missing := missing_files(config, document)):
        raise ConfigError("\n".join(missing), RELATIVE_PATHS)
    return config, document


def _missing_of_task(document: Document, directory: Path) -> list[str]:
    """Return a message for each missing data file of a config that is invalid; none if its task is."""
    field = Config.model_fields["task"]
    data = document.data.get("task") if isinstance(document.data, dict) else None
    try:
        adapter: TypeAdapter[Section] = TypeAdapter(Annotated[field.annotation, field])  # type: ignore[arg-type]
        task = adapter.validate_python(data)
    except ValidationError:
        return []
    return missing_files(resolve_file_names(task, document, directory, ("task",)), document, ("task",))


def dump_config(config: Config) -> str:
    """Return the whole config as YAML, with all defaults, and with absolute file names, valid from anywhere."""
    return write_yaml(absolute_file_names(config).model_dump(by_alias=True))
