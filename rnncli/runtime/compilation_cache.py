"""The cache of XLA's compilations: a store that lasts, and a session directory that TensorFlow reads and writes.

TensorFlow turns every failure of its cache into a failure of the computation, trusts what it finds, and does not wait
until what it writes is on disk. So it never writes into the store. It gets a session directory of its process, in
memory where possible, with links to the sound entries of the store. `publish` copies new entries to the store; what
fails there is a warning.

The name of an entry in the store ends in the SHA-256 of its content and in the time of its last change. An entry that
was changed at another time, or whose inode was changed long after, is hashed again, and removed if it is damaged.

Entries are machine code that will be executed. So all directories belong to the user alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import resource
import shutil
import stat
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from rnncli.errors import RnncliWarning, reason_of
from rnncli.files import cache_folder, remove_temporaries, temporary_path, write_synced
from rnncli.runtime.host import processor_flags, processor_name

MAX_ENTRIES = 300
"""Entries of the store; the oldest make room for new ones."""

MIN_ROOM = 32 * 2**20
"""Bytes that TensorFlow must be able to write into a session directory; else it only reads from there."""

PROBE = bytes(2**20)
"""Bytes that are written to find out whether a quota or a limit forbids it."""

MAX_RENAMED_NS = 60 * 10**9
"""Time between the last change of an entry and of its inode, which publishing changes last."""

MIN_SESSION_AGE = 60
"""Seconds after which a session directory that no process holds was left by one that was killed."""

MAX_FAILURES = 3
"""Failures of the cache in a process before they end the command."""

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (sessions are made by mkdtemp)

SIGNS = (
    "Serialized cache key does not match",
    "device_executable_persistor",
    "Read less bytes than requested",
    "as binary proto",
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "Input/output error",
)
"""Messages of TensorFlow when its cache fails; it reads and writes no other files while it computes."""

_ENTRY = re.compile(r"(?P<name>.+\.pb)\.(?P<digest>[0-9a-f]{64})\.(?P<changed>\d+)")
_SESSION = "rnncli-xla-{user}-"


def store_directory(versions: dict[str, str]) -> Path | None:
    """Return the private directory of the store for these versions on this processor; None without a home.

    XLA's keys tell computations apart, not the flags that they were compiled with; so the name depends on the flags.

    Args:
        versions: The versions of all packages that decide the machine code.

    Raises:
        OSError: It cannot be made, or others could have written into it.
    """
    decides = (
        f"{sorted(versions.items())} {processor_name()} {sorted(processor_flags())} {os.environ.get('XLA_FLAGS', '')}"
    )
    return cache_folder("compilations", hashlib.sha256(decides.encode()).hexdigest()[:16])


class CompilationCache:
    """The cache of one process; see the module.

    Attributes:
        session: The directory for TensorFlow.
        read_only: True if there is no room for new entries.
        generation: The number of failures so far.
    """

    def __init__(self, store: Path | None, session: Path, read_only: bool) -> None:
        self.store, self.session, self.read_only, self.generation = store, session, read_only, 0
        self._lock, self._process = threading.Lock(), os.getpid()

    @property
    def flags(self) -> str:
        """The TF_XLA_FLAGS by which TensorFlow uses the session directory."""
        values = {
            "directory": self.session,
            "device_types": "CPU",
            "prefix": "rnncli",
            "read_only": str(self.read_only).lower(),
        }
        return " ".join(f"--tf_xla_persistent_cache_{name}={value}" for name, value in values.items())

    def __len__(self) -> int:
        """Return the number of entries that TensorFlow sees."""
        return sum(path.suffix == ".pb" for path in self.session.iterdir())

    def publish(self) -> None:
        """Copy new entries to the store. If that fails, warn and do not try again."""
        with self._lock:
            if self.store is None or self._process != os.getpid():
                return
            try:
                for path in self._new_entries():
                    _publish(path, self.store)
            except OSError as error:
                _warn(self.store, error)
                self.store = None

    def recover(self, error: Exception, generation: int) -> bool:
        """Make the cache usable after an error that it caused, so that the computation can be tried again.

        Args:
            error: What TensorFlow raised.
            generation: That of the cache before the computation.

        Returns:
            True if the computation can be tried again; False if something else caused the error.
        """
        if not is_cache_failure(error, self.session):
            return False
        with self._lock:
            if generation < self.generation:
                return True  # another thread has done it since
            if self.generation == MAX_FAILURES:
                return False
            self.generation += 1
            reason = str(error).splitlines()[0]
            warnings.warn(f"the cache of compilations is not used any more: {reason}", RnncliWarning, stacklevel=2)
            if self.store is not None:
                with contextlib.suppress(OSError):
                    remove_damaged(self.store)
            self.store = None
            return self._empty()

    def close(self) -> None:
        """Publish, and remove the session directory."""
        if self._process != os.getpid():
            return
        self.publish()
        if self.session.is_symlink():
            shutil.rmtree(self.session.resolve(), ignore_errors=True)
            self.session.unlink(missing_ok=True)
        shutil.rmtree(self.session, ignore_errors=True)

    def _new_entries(self) -> Iterator[Path]:
        new = [path for path in self.session.iterdir() if path.suffix == ".pb" and not path.is_symlink()]
        yield from sorted(new, key=lambda path: path.stat().st_mtime_ns)

    def _empty(self) -> bool:
        """Empty the session directory, and put a link to another one in its place if it has no room."""
        shutil.rmtree(self.session, ignore_errors=True)
        try:
            self.session.unlink(missing_ok=True)
            self.session.mkdir(mode=0o700)
            if self.read_only or has_room(self.session):
                return True
            self.session.rmdir()
            other = _make_session()
            if other is None or not has_room(other):
                return False
            self.session.symlink_to(other)
        except OSError:
            return False
        return True


def open_cache(versions: dict[str, str]) -> CompilationCache | None:
    """Return the cache for these versions; None if there can be none. What fails is a warning."""
    store = None
    try:
        store = store_directory(versions)
        names = {} if store is None else _sound_entries(store)
    except OSError as error:
        _warn(store, error)
        return None
    session = None if store is None else _make_session()
    if session is None:
        return None
    try:
        for name, path in names.items():
            (session / name).symlink_to(path)
    except OSError:
        shutil.rmtree(session, ignore_errors=True)
        return None
    return CompilationCache(store, session, not has_room(session))


def without_cache_flags(flags: str) -> str:
    """Return TF_XLA_FLAGS without the session directory of a parent process."""
    ours = r"--tf_xla_persistent_cache_directory=\S*/rnncli-xla-\S+( --tf_xla_persistent_cache_\S+)*"
    return re.sub(ours, "", flags)


def is_cache_failure(error: Exception, session: Path) -> bool:
    """Return True if an error of TensorFlow's names the session directory, or reading or writing of files."""
    if not type(error).__module__.startswith("tensorflow."):
        return False
    text = str(error)
    return str(session) in text or any(sign in text for sign in SIGNS)


def has_room(directory: Path) -> bool:
    """Return True if `MIN_ROOM` bytes can be written into a directory."""
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    probe = directory / "probe"
    try:
        status = os.statvfs(directory)
        if status.f_bavail * status.f_frsize < MIN_ROOM or 0 <= limit < MIN_ROOM:
            return False
        probe.write_bytes(PROBE)
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return True


def remove_damaged(store: Path) -> int:
    """Remove all entries whose content has not the digest of their name; returns how many."""
    removed = 0
    for path in store.iterdir():
        found = _ENTRY.fullmatch(path.name)
        if found and _digest(path) != found["digest"]:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def _sound_entries(store: Path) -> dict[str, Path]:
    """Return the sound entries by the name that TensorFlow gave them; remove others, and the oldest if many."""
    entries: list[tuple[int, str, Path]] = []
    removed = 0
    with contextlib.suppress(OSError):
        _remove_old_temporaries(store)
    for each in os.scandir(store):
        found, path = _ENTRY.fullmatch(each.name), Path(each.path)
        if each.name.startswith("."):
            continue  # another process is writing it
        if found is None or not (kept := _checked(path, found, each.stat(follow_symlinks=False))):
            _remove(path)
            removed += 1
        else:
            entries.append((each.stat(follow_symlinks=False).st_mtime_ns, found["name"], kept))
    newest = {name: path for _, name, path in sorted(entries)}
    names = dict(list(newest.items())[-MAX_ENTRIES:])
    for path in {path for _, _, path in entries} - set(names.values()):
        _remove(path)
    if removed:
        what = "1 damaged compilation" if removed == 1 else f"{removed} damaged compilations"
        warnings.warn(f"{store}: removed {what}; the cache is filled again", RnncliWarning, stacklevel=2)
    return names


def _checked(path: Path, found: re.Match[str], status: os.stat_result) -> Path | None:
    """Return an entry's path, which changes if it was in doubt and is sound; None if it is damaged."""
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
        return None
    unchanged = status.st_mtime_ns == int(found["changed"])
    if unchanged and status.st_ctime_ns - status.st_mtime_ns <= MAX_RENAMED_NS:
        return path
    if _digest(path) != found["digest"]:
        return None
    try:
        return _settle(path, path.parent, found["name"], found["digest"])
    except OSError:
        return path  # of a directory that cannot be written


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file; empty if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _publish(path: Path, store: Path) -> None:
    """Copy a new entry to the store, and put a link in its place."""
    data = path.read_bytes()
    temporary = temporary_path(store / path.name)
    try:
        write_synced(temporary, data)
        temporary.chmod(0o600)
        kept = _settle(temporary, store, path.name, hashlib.sha256(data).hexdigest())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    link = path.with_suffix(".link")
    link.symlink_to(kept)
    link.replace(path)


def _settle(path: Path, store: Path, name: str, digest: str) -> Path:
    """Rename a file to what the store calls it; returns its new path."""
    os.utime(path)
    kept = store / f"{name}.{digest}.{path.stat().st_mtime_ns}"
    path.rename(kept)
    return kept


def _remove(path: Path) -> None:
    """Remove a file, link or directory of the store, if that can be done."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _remove_old_temporaries(store: Path) -> None:
    """Remove what a process that was killed while it published has left."""
    if time.time() - store.stat().st_mtime > MIN_SESSION_AGE:  # nobody is publishing now
        remove_temporaries(store)


def _make_session() -> Path | None:
    """Return a new session directory, in the first place that has room or else takes links; None if none does."""
    made = None
    for base in _places():
        try:
            _remove_left_sessions(base)
            directory = Path(tempfile.mkdtemp(prefix=_SESSION.format(user=os.getuid()), dir=base))
            _hold(directory)
        except OSError:
            continue
        if has_room(directory):
            if made is not None:
                made.rmdir()
            return directory
        if made is None:
            made = directory
        else:
            directory.rmdir()
    return made


def _places() -> Iterator[Path]:
    yield SHARED_MEMORY
    with contextlib.suppress(OSError):
        place = Path(tempfile.gettempdir()).absolute()
        if not re.search(r"[\s'\"]", str(place)):  # TF_XLA_FLAGS is split at white space
            yield place


def _hold(directory: Path) -> int:
    """Lock a session directory until the process ends; returns the descriptor."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove_left_sessions(base: Path) -> None:
    """Remove the session directories that no process holds any more."""
    for path in base.glob(_SESSION.format(user=os.getuid()) + "*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < MIN_SESSION_AGE:
                continue
            if stat.S_ISLNK(status.st_mode):
                continue
            os.close(_hold(path))
            shutil.rmtree(path, ignore_errors=True)


def _warn(store: Path | None, error: OSError) -> None:
    """Warn that compilations are not kept."""
    place = error.filename or store
    warnings.warn(f"compilations are not kept: {place}: {reason_of(error)}", RnncliWarning, stacklevel=3)
