"""Modules of custom cells and callbacks, imported from the folders of a config or a run. Imports no TensorFlow.

A module that is a plain file outside of what is installed is executed anew each time, under a name of its own in
`sys.modules`, so that two runs may have different files of one name in one process.
"""

from __future__ import annotations

import difflib
import importlib.util
import sys
import sysconfig
import traceback
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

from rnncli.config.shipped import CONFIGS
from rnncli.config.user_classes import UserClass
from rnncli.errors import InputError, RunDirError, in_command_line
from rnncli.runtime.run_files import CODE, CONFIG, RUN_MARKERS
from rnncli.text import summarize_error


class ModuleSearchPath(NamedTuple):
    """Folders that modules are imported from, beside Python's own path.

    Attributes:
        after: Folders after Python's own path.
        own: A folder before it: the code of a run.
        refused: Folders that are left out, since they are in a run directory.
    """

    after: tuple[Path, ...] = ()
    own: Path | None = None
    refused: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return ", ".join(str(folder) for folder in (self.own, *self.after) if folder is not None)


NO_SEARCH_PATH = ModuleSearchPath()


def config_search_path(config_path: str, trust_code: bool = False) -> ModuleSearchPath:
    """Return the search path for the modules of a config: its directory, then the current one.

    A run directory, and a folder in one, is left out: its code is imported only with `--trust-code`.

    Args:
        config_path: The path of the config; `-` is standard input.
        trust_code: True to import the code of the run that the config is in.

    Raises:
        InputError: A run is trusted, and the config is in none.
        RunDirError: The code of the run is behind a link.
    """
    if trust_code:
        run = None if config_path == "-" else run_around(Path(config_path).resolve().parent)
        if run is None:
            option = "--trust-code" if in_command_line() else "trust_code"
            raise InputError(f"{config_path}: not the config of a run, and {option} trusts the code of one")
        return run_search_path(run, "", trusted=True)
    folders = [Path.cwd()]
    if config_path != "-":
        folders.insert(0, Path(config_path).resolve().parent)
    refused = tuple(dict.fromkeys(folder for folder in folders if in_run(folder)))
    return ModuleSearchPath(
        tuple(dict.fromkeys(folder for folder in folders if folder not in refused)), refused=refused
    )


def in_run(folder: Path) -> bool:
    """Return True if a folder is a run directory or inside one."""
    return run_around(folder) is not None


def run_around(folder: Path) -> Path | None:
    """Return the run directory that a folder is or is inside of: it has config.yaml and one of RUN_MARKERS."""
    for run in (folder, *folder.parents):
        if (run / CONFIG).exists() and any((run / sign).exists() for sign in RUN_MARKERS):
            return run
    return None


def run_search_path(run: Path, code: str, trusted: bool) -> ModuleSearchPath:
    """Return the search path for the modules of a trained run: its own code, then the current directory.

    The current directory is left out if it is a run directory, or inside one: trust in one run is none in another.

    Args:
        run: The run directory.
        code: What is executed, such as `cell my_cell:Cell`, for the message.
        trusted: True if the user trusts the run's code.

    Raises:
        RunDirError: The code is not trusted, or is behind a link.
    """
    if not trusted:
        raise RunDirError(
            f"{run}: its {code} is code, which is executed only where you say so",
            "if you know who made the run, use --trust-code, or from Python rnncli.load(run, trust_code=True)",
        )
    folder = run / CODE
    inside = list(folder.rglob("*")) if folder.is_dir() and not folder.is_symlink() else []
    if any(path.is_symlink() or not (path.is_file() or path.is_dir()) for path in (folder, *inside) if _there(path)):
        raise RunDirError(
            f"{folder}: must hold plain files only, and no links; the code of a run is in the run itself"
        )
    here = Path.cwd()
    return ModuleSearchPath(own=folder, refused=(here,)) if in_run(here) else ModuleSearchPath((here,), own=folder)


def _there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def source_file(module: str, search_path: ModuleSearchPath, key: str = "model.cell") -> Path | None:
    """Return the file of a module that is a plain file of the user's; None if it is installed, or in a package.

    Nothing is imported.

    Args:
        module: Its dotted name.
        search_path: Folders that it is looked for in, beside Python's own path.
        key: The config key of what is imported, for messages.

    Raises:
        InputError: There is no such module.
    """
    importlib.invalidate_caches()
    with _on_path(search_path):
        spec = _found(module.partition(".")[0], search_path)
    if spec is None:
        known = "among the installed modules"
        where = f"in {search_path}, and {known}" if search_path.after or search_path.own else known
        if search_path.refused:
            where += f"; {', '.join(map(str, search_path.refused))} was not searched: it is in a run directory, "
            where += "whose code only `rnncli train --trust-code` and commands that take a run import"
        raise InputError(f"{key}.class: there is no module {module}", f"it was looked for {where}")
    file = _plain_file(module, spec)
    if file is None and search_path.refused and search_path.own is None:
        raise InputError(
            f"{key}.class: {module} is installed code, and {search_path.refused[0]} is a run directory",
            "if you know who made it, copy its config.yaml out of there",
        )
    return file


def _plain_file(module: str, spec: ModuleSpec) -> Path | None:
    if "." in module or spec.origin is None or not spec.origin.endswith(".py") or spec.submodule_search_locations:
        return None
    file = Path(spec.origin).resolve()
    standard = Path(sysconfig.get_path("stdlib"))
    installed = {"site-packages", "dist-packages"} & set(file.parts) or file.is_relative_to(standard.resolve())
    return (
        None if installed and file.parent != CONFIGS.resolve() else file
    )  # an example config's cell is a user's file


def _found(name: str, search_path: ModuleSearchPath) -> ModuleSpec | None:
    before = [] if search_path.own is None else [str(search_path.own)]
    for path in (before, sys.path):
        if (spec := PathFinder.find_spec(name, path)) is not None:
            return spec
    with suppress(ValueError):  # modules without a spec, such as __main__
        return importlib.util.find_spec(name)  # also finds what is built in, or installed in other ways
    return None


def import_module(module: str, search_path: ModuleSearchPath, key: str = "model.cell") -> ModuleType:
    """Import a module, looked for as by `source_file`; what it imports itself is looked for in the same folders.

    Raises:
        InputError: There is none, or it fails while it is imported; says where.
    """
    file = source_file(module, search_path, key)
    with explained(f"{key}.class: {module} cannot be imported", file), _on_path(search_path):
        if file is None:
            return importlib.import_module(module)
        name = f"{module}@{zlib.crc32(bytes(file)):08x}"
        loader = _SourceLoader(name, str(file))
        spec = importlib.util.spec_from_file_location(name, file, loader=loader)
        assert spec is not None, "it has a loader"
        imported = importlib.util.module_from_spec(spec)
        sys.modules[name] = imported  # where dataclasses and the like look for a class's module
        loader.exec_module(imported)
        return imported


def load_class(user_class: UserClass, search_path: ModuleSearchPath) -> tuple[Callable[..., Any], str | None]:
    """Import a class of the user; return it and the file of its module.

    Args:
        user_class: The class.
        search_path: Where to look for its module.

    Raises:
        InputError: It cannot be imported, or is not a class.
    """
    key, name = user_class.key, user_class.class_name
    module = import_module(user_class.module, search_path, key)
    made, file = getattr(module, name, None), getattr(module, "__file__", None)
    if made is None:
        names = [name for name, value in vars(module).items() if callable(value)]
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {user_class.module}:{close[0]}?" if close else ""
        if hidden := shadowed(user_class.module, search_path):
            hint = f"another module of that name is found before {hidden}; rename the file"
        raise InputError(f"{key}.class: {user_class.module} has no {name} ({file or 'built in'})", hint)
    if not callable(made):
        raise InputError(f"{key}.class: {user_class.class_} is {type(made).__name__}, not a class")
    return made, file


@contextmanager
def _on_path(search_path: ModuleSearchPath) -> Iterator[None]:
    """Extend `sys.path` by `after`, behind what is installed, inside the context; leave `refused` out."""
    before = list(sys.path)
    sys.path[:] = [
        folder for folder in before if Path(folder).absolute() not in search_path.refused
    ]  # "" is the current
    sys.path.extend(map(str, search_path.after))
    try:
        yield
    finally:
        sys.path[:] = before


def shadowed(module: str, search_path: ModuleSearchPath) -> Path | None:
    """Return a user's file that an installed module of the same name shadows; None if there is none."""
    files = [folder / f"{module}.py" for folder in search_path.after if search_path.own is None]
    used = source_file(module, search_path)
    return next((file for file in files if file.is_file() and file.resolve() != used), None)


class _SourceLoader(SourceFileLoader):
    """Reads the source alone: a run directory gets no compiled files, and nobody else's are executed."""

    def path_stats(self, path: Any) -> NoReturn:
        raise OSError(f"compiled files of {path} are not looked for")


@contextmanager
def explained(what: str, file: Path | str | None) -> Iterator[None]:
    """Turn an exception of the user's code into an error of one line, with the place in the user's file.

    Args:
        what: The action that failed, for the message.
        file: The user's file.

    Raises:
        InputError: In place of any other exception.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # it is code of any kind
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        if isinstance(error, SyntaxError) and error.filename:
            file, lines = error.filename, [error.lineno]
        place = f" ({file}, line {lines[-1]})" if lines else ""
        raise InputError(f"{what}: {summarize_error(error)}{place}") from error
