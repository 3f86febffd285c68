"""Atomic writes that are on disk when the call returns, and reads that accept regular files only."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import secrets
import select
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

from rnncli.errors import InputError, command_line, explain_os_errors, reason_of

GZIP = b"\x1f\x8b"
"""The first bytes of a gzip file."""

MAX_JSON = 4 * 2**20
"""Bytes of a JSON file: parsed, it may take twenty times as much memory."""

_TEMPORARY = re.compile(r"\..+-[0-9a-f]{16}", re.DOTALL)
MAX_PREFIX_BYTES = 200
"""Bytes of a name that its temporary name begins with: with all of a long name it would be too long."""

PIPE = re.compile(r"/dev/stdin|/dev/fd/[0-9]+")
"""Paths of pipes that are read like files, as shells make them."""


def cache_folder(*names: str) -> Path | None:
    """Return a folder of rnncli's cache, which belongs to the user alone; it is made if need be.

    Args:
        names: Its name below the cache, and those of folders in it.

    Returns:
        The folder; None for a user without a home.

    Raises:
        OSError: It cannot be made, or others could have written into it.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 (Path raises without HOME)
    if not os.path.isabs(base):  # noqa: PTH117 (base may be "~/.cache")
        return None
    Path(base).mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(base)
    for name in ("rnncli", *names):
        folder /= name
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.stat()
        if status.st_uid == os.getuid() and stat.S_IMODE(status.st_mode) != 0o700 and not status.st_mode & 0o022:
            folder.chmod(0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(0, "others can write into it, or it is behind a link", str(folder))
    return folder


def write_synced(
    path: Path, data: bytes | bytearray, mode: Literal["wb", "ab"] = "wb", name: Path | None = None
) -> None:
    """Write a file, or append to it, and wait until it is on disk; errors name the file `name`."""
    try:
        with path.open(mode) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # a full disk is reported without a name
        raise OSError(error.errno, error.strerror, str(name or path)) from error


def sync(path: Path) -> None:
    """Wait until the bytes of a file, or the entries of a directory, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_path(path: Path) -> Path:
    """Return a new hidden path in the same directory; unlike `tempfile`, the mode is left to the umask."""
    return path.with_name(_prefix(path) + secrets.token_hex(8))


def _prefix(path: Path) -> str:
    name = f".{path.name}"
    while len(os.fsencode(name)) > MAX_PREFIX_BYTES:
        name = name[:-1]
    return f"{name}-"


def is_temporary_of(path: Path, final: Path) -> bool:
    """Return True if a path in the same directory is one that `temporary_path` makes for another."""
    return path.name[:-16] == _prefix(final) and _TEMPORARY.fullmatch(path.name) is not None


def exchange(one: Path, other: Path) -> bool:
    """Exchange two existing paths of a file system in one step; return False where the system cannot.

    Python has no such call: it is renameat2 with RENAME_EXCHANGE on Linux, and renamex_np with RENAME_SWAP on macOS.
    """
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(one.absolute()), os.fsencode(other.absolute())
    try:
        if sys.platform == "darwin":
            status = library.renamex_np(*paths, 2)
        else:
            status = library.renameat2(-1, paths[0], -1, paths[1], 2)  # absolute paths need no directories
    except AttributeError:  # an older C library
        return False
    return bool(status == 0)


@contextlib.contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Make a folder for temporary files, and remove it at the end.

    Raises:
        RunFailedError: There is no place for one.
    """
    hint = "set the environment variable TMPDIR to a directory with room"
    with contextlib.ExitStack() as stack:
        with explain_os_errors("temporary files", "written", hint=hint):
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True))
        yield Path(name)


def remove_temporaries(folder: Path, seconds: float = 0.0) -> None:
    """Remove the temporary files of a directory, which a killed process left.

    Args:
        folder: The directory.
        seconds: Those that were written to within so many seconds stay, as others may be writing them.
    """
    for path in folder.iterdir() if folder.exists() else ():
        if _TEMPORARY.fullmatch(path.name) and not (seconds and time.time() - _last_change(path) < seconds):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _last_change(path: Path) -> float:
    """Return the time at which a file, or a file in a directory, was last written to; 0 if it is gone."""
    last = 0.0
    for each in (path, *paths_below(path)):
        with contextlib.suppress(OSError):
            last = max(last, each.lstat().st_mtime)
    return last


def paths_below(folder: Path) -> Iterator[Path]:
    """Yield what is in a folder and in the folders in it, as far as it can be read; no link is followed."""
    waiting = [folder]
    while waiting:
        path, found = waiting.pop(), list[Path]()
        if not path.is_symlink():
            with contextlib.suppress(OSError):  # a file, or nothing
                found = sorted(path.iterdir())
        yield from found
        waiting += reversed(found)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file atomically: afterwards it has all of the data, or is as before."""
    temporary = temporary_path(path)
    try:
        write_synced(temporary, data, name=path)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_together(contents: Mapping[Path, bytes | bytearray]) -> None:
    """Write files that belong together: all of them, or none, so that the old ones stay.

    A process that is killed in the last moment leaves old files, new files, or a part of either, but never old ones
    beside new ones.
    """
    new, old = ({path: temporary_path(path) for path in contents} for _ in range(2))
    undo = contextlib.ExitStack()
    try:
        for path, data in contents.items():
            undo.callback(new[path].unlink, missing_ok=True)
            write_synced(new[path], data, name=path)
        for path in [path for path in reversed(list(contents)) if os.path.lexists(path)]:
            path.rename(old[path])
            undo.callback(old[path].replace, path)
        for path in contents:
            new[path].rename(path)
            undo.callback(path.unlink)
    except BaseException:
        with contextlib.suppress(OSError):
            undo.close()
        raise
    for path in old.values():
        path.unlink(missing_ok=True)
    for folder in {path.parent for path in contents}:
        sync(folder)


def check_output_path(
    path: Path, overwrite: bool, is_directory: bool = False, inputs: Iterable[str | Path | None] = ()
) -> None:
    """Refuse an output path that exists or cannot be written.

    Args:
        path: The path.
        overwrite: Whether an existing output may be replaced.
        is_directory: Whether the output is a directory.
        inputs: Files that the command reads, which are never replaced, nor a directory with them.

    Raises:
        InputError: The path exists, has another kind, is an input, or its directory does not exist.
    """
    if not path.name:
        raise InputError(f"{path}: not a file name")
    if not path.parent.is_dir():
        raise InputError(f"{path}: cannot be written: there is no directory {path.parent}")
    if not os.path.lexists(path):
        return
    if not is_directory and path.is_dir():
        raise InputError(f"{path}: is a directory", "name a file in it")
    if is_directory and not path.is_dir():
        raise InputError(f"{path}: exists and is not a directory")
    if not is_directory and not path.is_file():
        raise InputError(f"{path}: exists and is not a regular file")
    if not overwrite:
        raise InputError(f"{path}: exists already; nothing was written", "choose another path, or use --overwrite")
    if any(_is_or_holds(path, each) for each in inputs):
        what = "holds" if is_directory else "is"
        raise InputError(f"{path}: {what} an input of this command, so it is not overwritten", "choose another path")


def _is_or_holds(path: Path, other: str | Path | None) -> bool:
    """Return True if a file is another one, or a directory has it in it."""
    with contextlib.suppress(OSError, ValueError):
        return other is not None and (path.samefile(other) or path.resolve() in Path(other).resolve().parents)
    return False


def open_plain(path: Path, root: Path | None = None) -> io.BufferedReader:
    """Open a regular file for reading, not a device, which may never end, or a FIFO, which may never begin.

    Args:
        path: The file.
        root: An untrusted directory above the file: no link below it is followed.

    Raises:
        InputError: It is not a regular file, or behind a link.
        OSError: It cannot be opened.
    """
    parts = [str(path)] if root is None else [str(root), *path.relative_to(root).parts]
    follow, directory, opened = 0, None, -1
    try:
        for number, part in enumerate(parts, start=1):
            kind = os.O_DIRECTORY if number < len(parts) else os.O_NONBLOCK
            opened = os.open(part, os.O_RDONLY | os.O_CLOEXEC | kind | follow, dir_fd=directory)
            if directory is not None:
                os.close(directory)
            follow, directory = os.O_NOFOLLOW, opened
    except OSError as error:
        if directory is not None:
            os.close(directory)
        if error.errno == errno.ENXIO or (follow and error.errno in (errno.ELOOP, errno.ENOTDIR)):  # a socket, a link
            hint = "" if root is None else "copy the run with files in place of links: cp -rL"
            raise InputError(f"{path}: not a regular file, or behind a link", hint) from error
        raise OSError(error.errno, error.strerror, str(path)) from error
    status = os.fstat(opened)
    mode = status.st_mode
    is_pipe = stat.S_ISFIFO(mode) and root is None and PIPE.fullmatch(str(path))
    if not is_pipe and not (stat.S_ISREG(mode) and (status.st_size or not _blocks(opened))):
        os.close(opened)
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        raise InputError(f"{path}: not a regular file")
    os.set_blocking(opened, True)
    return io.BufferedReader(NamedFile(opened, str(path)))


class NamedFile(io.FileIO):
    """An unbuffered file to read whose errors name it; those of the system name no file.

    Args:
        file: A path or a descriptor.
        name_of_file: Its name in errors.
        closefd: As for `io.FileIO`.
    """

    def __init__(self, file: str | int, name_of_file: str, closefd: bool = True) -> None:
        super().__init__(file, closefd=closefd)
        self.name_of_file = name_of_file

    def read(self, size: int | None = -1, /) -> bytes:
        """Return bytes; see `io.FileIO.read`."""
        with self._named():
            return super().read(-1 if size is None else size)

    def readall(self) -> bytes:
        """Return all bytes; see `io.FileIO.readall`."""
        with self._named():
            return super().readall()

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; see `io.FileIO.readinto`."""
        with self._named():
            return super().readinto(buffer)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.name_of_file) from error


def _blocks(descriptor: int) -> bool:
    """Return True for what looks like an empty regular file, but is a stream of the kernel's, such as /proc/kmsg.

    A regular file could always be written, whatever it was opened for. Reading alone does not tell a stream that has
    something to say, and blocks afterwards.
    """
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    if not poll.poll(0):
        return True
    try:
        os.read(descriptor, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError:
        return True
    return False


def read_plain(path: Path, limit: int, root: Path | None = None) -> bytes:
    """Return the bytes of a regular file; see `open_plain`.

    Args:
        path: The file.
        limit: Maximum size in bytes.
        root: As for `open_plain`.

    Raises:
        InputError: It is not a regular file, behind a link, or too large.
        OSError: It cannot be read.
    """
    with open_plain(path, root) as file:
        return read_opened(file, path, limit)


def read_opened(file: BinaryIO, path: Path, limit: int) -> bytes:
    """Return the bytes of a file that `open_plain` opened; raises what `read_plain` does."""
    status = os.fstat(file.fileno())
    # reading with a limit allocates as much memory, so only a pipe, whose size is unknown, is read with one
    max_bytes = limit + 1 if stat.S_ISFIFO(status.st_mode) else -1
    if status.st_size <= limit and len(data := file.read(max_bytes)) <= limit:
        return data
    raise InputError(f"{path}: larger than {limit:,} bytes")


def read_json(path: Path, root: Path | None = None, limit: int = MAX_JSON) -> dict[str, Any]:
    """Return the JSON object in a regular file; see `read_plain`.

    Raises:
        InputError: It is missing, cannot be read, or is not a JSON object.
    """
    try:
        data = read_plain(path, limit, root)
    except FileNotFoundError as error:
        hint = "" if root is None else f"{command_line('verify', root)} says what else is wrong with the run"
        raise InputError(f"{path}: missing", hint) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason_of(error)}") from error
    return parse_json(data, path)


def parse_json(data: bytes, path: Path) -> dict[str, Any]:
    """Return the JSON object that is the content of a file.

    Raises:
        InputError: It is not a JSON object.
    """
    try:
        value = json.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path}: not a JSON object")
    return value
