"""Encoded data in files: the cache of `task.data: mapped`.

It is beside the cache of compilations. An entry is a folder whose name follows from the content of the data files and
from all that decides what is read of them; it is written under another name and renamed. Its `about.json` has a
checksum of itself and of each file, so that a damaged entry is found and written again. One process writes at a time,
and others wait for it. Entries that were not used for the longest time make room for new ones; whoever has mapped
their files keeps them.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import math
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rnncli._version import __version__
from rnncli.data.mapped_rows import NoRoomError, Room
from rnncli.data.text_files import GZIP_END, file_digest
from rnncli.errors import InputError, reason_of, warn_user
from rnncli.files import cache_folder, open_plain, read_plain, remove_temporaries, sync, temporary_path, write_synced
from rnncli.terminal import bar

ABOUT = "about.json"
MIN_MAPPED_BYTES = 100_000_000
"""Bytes of text from which `task.data: auto` maps: read again at each start they take a minute, and several times as
much memory."""
MAX_ABOUT = 2**30
"""Bytes of an entry's `about.json`, which has all distinct symbols."""
LOCK = ".lock"
MIN_LEFT_SECONDS = 600.0
"""Seconds after which what nobody writes to was left by a process that was killed: other machines may share the
folder but not its locks."""
HEADER_BYTES = 128
"""Bytes of an `.npy` file of one dimension without values."""


@dataclass(frozen=True)
class Entry:
    """An entry of the cache.

    Attributes:
        path: Its folder.
        facts: What its writer recorded.
        arrays: Its arrays by name, which stay in their files.
        size: Bytes of its files.
        is_new: True if it was written just now.
    """

    path: Path
    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    size: int
    is_new: bool = False

    def note(self, name: str) -> tuple[str, ...]:
        """Return a message for the user on data that were written just now, given their name."""
        if not self.is_new:
            return ()
        unit, words = (10**6, "MB") if self.size >= 10**6 else (10**3, "kB")
        size = f"{math.ceil(self.size / unit):,} {words}"
        return (f"{name}: encoded into {self.path} ({size}), where later runs find it",)


Write = Callable[[Path, Room], dict[str, Any]]
"""A function that writes the files of an entry into a folder, and returns its facts."""


def is_mapped(data: str, names: Sequence[str]) -> bool:
    """Return True if data are to be mapped.

    Args:
        data: The key `task.data`.
        names: Their files.

    Raises:
        InputError: They are to be mapped, and one of them cannot be read twice.
    """
    if data == "memory":
        return False
    regular = [Path(name).is_file() for name in names]
    if data == "auto":
        return all(regular) and sum(os.stat(name).st_size for name in names) >= MIN_MAPPED_BYTES  # noqa: PTH116
    for name, is_regular in zip(names, regular, strict=True):
        if not is_regular and Path(name).exists() and not Path(name).is_dir():  # which nothing reads as a file
            what = "not a regular file, which task.data: mapped needs"
            raise InputError(f"{name}: {what}", "task.data: memory reads it")
    return True


def fetch(decides: dict[str, Any], names: Sequence[str], limit: float, write: Write) -> Entry | None:
    """Return the entry of some files, which is written if need be; None, after a warning, where that cannot be done.

    Args:
        decides: All that decides what is read of the files, besides their content.
        names: The files.
        limit: Gigabytes that the cache may take.
        write: Writes the entry.

    Raises:
        InputError: A file cannot be read, or changed meanwhile.
    """
    key = _key(decides, names)
    try:
        folder = cache_folder("data")
        if folder is None:
            raise PermissionError(0, "there is no home directory")
        if (found := _sound(folder / key)) is not None:
            return found
        with _locked(folder):
            remove_temporaries(folder, MIN_LEFT_SECONDS)
            if (found := _sound(folder / key, mend=True)) is not None:
                return found  # another process has written it
            _write_entry(folder / key, int(limit * 1e9), write, lambda: _key(decides, names))
            return replace(_read_entry(folder / key), is_new=True)
    except (OSError, NoRoomError) as error:
        place = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        warn_user(f"encoded data are kept in memory, not in files: {place}{reason_of(error)}")
        return None


def _key(decides: dict[str, Any], names: Sequence[str]) -> str:
    """Return the name of an entry, in which files have no names: resumed runs know them by absolute ones."""
    everything = {
        "decides": decides,
        "files": [[name.endswith(GZIP_END), file_digest(name)] for name in names],
        "software": [__version__, unicodedata.unidata_version, sys.byteorder],
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()[:32]


def changed() -> InputError:
    """Return the error for files that changed while they were read."""
    return InputError("the data changed while they were read", "try again when nobody writes the files")


def _sound(path: Path, mend: bool = False) -> Entry | None:
    """Return an entry; None if there is none, or a damaged one.

    Args:
        path: Its folder.
        mend: True to warn of a damaged one, and to remove it.
    """
    try:
        entry = _read_entry(path)
    except (OSError, InputError, ValueError, LookupError, TypeError) as error:
        if mend and os.path.lexists(path):
            warn_user(f"{path}: damaged encoded data, which are written again: {reason_of(error)}")
            _remove(path)
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # used now
    return entry


def _read_entry(path: Path) -> Entry:
    """Return an entry whose files are as they were written.

    Raises:
        InputError: They are not.
        OSError: One cannot be read.
    """
    digest, _, data = read_plain(path / ABOUT, MAX_ABOUT, path).partition(b"\n")
    if hashlib.sha256(data).hexdigest().encode() != digest:
        raise InputError(f"{ABOUT} has another checksum")
    about = json.loads(data)
    if about["key"] != path.name:
        raise InputError("it is another entry's")
    size, arrays = len(data), {}
    for name, recorded in about["files"].items():
        with open_plain(path / name, path) as file:
            size += (own := os.fstat(file.fileno()).st_size)
            if hashlib.file_digest(file, "sha256").hexdigest() != recorded:
                raise InputError(f"{name} has another checksum")
        mode: Literal["r"] | None = "r" if own > HEADER_BYTES else None  # nothing cannot be mapped
        arrays[Path(name).stem] = np.asarray(np.load(path / name, mmap_mode=mode, allow_pickle=False))
    return Entry(path, about["facts"], arrays, size)


def _write_entry(path: Path, limit: int, write: Write, key: Callable[[], str]) -> None:
    temporary, room = temporary_path(path), Room(limit)
    temporary.mkdir(mode=0o700)
    try:
        with room:
            facts = write(temporary, room)
        if key() != path.name:
            raise changed()
        files = {}
        for each in sorted(temporary.iterdir()):
            with each.open("rb") as file:
                files[each.name] = hashlib.file_digest(file, "sha256").hexdigest()
        data = json.dumps({"key": path.name, "files": files, "facts": facts}).encode()
        about = hashlib.sha256(data).hexdigest().encode() + b"\n" + data
        if len(about) > MAX_ABOUT:  # which nobody would read again
            raise NoRoomError(f"their distinct symbols take more than {MAX_ABOUT / 1e9:,.3g} GB")
        room.take(len(about))
        write_synced(temporary / ABOUT, about)
        sync(temporary)
        _make_room(path.parent, limit - _size(temporary))
        try:
            temporary.rename(path)
        except OSError:
            if not (path / ABOUT).exists():  # another process's, where there are no locks
                raise
        sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until no other process writes into the cache; where the file system has no locks, several may."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            stack.callback(os.close, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                warn_user(f"{folder}: waiting for another process that encodes data")
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def _make_room(folder: Path, limit: int) -> None:
    """Remove the entries that were not used for the longest time, until they take no more bytes than the limit."""
    entries = [each for each in folder.iterdir() if (each / ABOUT).exists() and not each.name.startswith(".")]
    sizes = {each: _size(each) for each in sorted(entries, key=lambda each: each.stat().st_mtime)}
    total = sum(sizes.values())
    for each, size in sizes.items():
        if total <= limit:
            return
        _remove(each)
        total -= size


def _size(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.iterdir())


def _remove(path: Path) -> None:
    """Remove an entry as a whole: a process that opens it meanwhile finds it or does not."""
    removed = temporary_path(path)
    with contextlib.suppress(OSError):
        path.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)
        removed.unlink(missing_ok=True)  # a link or a file in the place of the folder


BAR_DELAY = 0.5
"""Seconds before a bar of reading is shown; small files are read by then."""
_bar_shown: ContextVar[bool] = ContextVar("bar_shown", default=False)


@contextlib.contextmanager
def showing_bar(shown: bool) -> Iterator[None]:
    """Let a bar on the terminal show how far data are read in the block."""
    token = _bar_shown.set(shown)
    try:
        yield
    finally:
        _bar_shown.reset(token)


@contextlib.contextmanager
def reading_bar(names: Sequence[str], passes: int = 1, label: str = "encoding") -> Iterator[Callable[[int], object]]:
    """Show a bar while files are read; yields a function that is told of bytes that were read.

    Args:
        names: The files.
        passes: How many times each is read.
        label: What is done, for the bar.
    """
    total = passes * sum(path.stat().st_size for path in map(Path, names) if path.is_file())
    with bar(total, label, "B", shown=_bar_shown.get(), unit_scale=True, delay=BAR_DELAY) as shown:
        yield shown.update
