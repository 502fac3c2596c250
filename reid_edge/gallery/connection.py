"""Opening a gallery's file with care, and turning SQLite's errors into ours."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from ..errors import GalleryBusyError, GalleryError, GalleryFileError, GalleryWriteError
from . import schema

BUSY_SECONDS = 10.0
_LEAST_BYTES = 512  # of a database
_MOST_BYTES = 1 << 24  # of one value, or of one SQL statement
_LIMIT_LENGTH, _LIMIT_ATTACHED = 0, 7  # SQLITE_LIMIT_*


def open_file(path: Path, fingerprint: str, model: str, size: int) -> sqlite3.Connection:
    """Open a gallery, or make one where there is no file yet, readable by its owner only.

    An acknowledged change is on the disk (write-ahead log, `synchronous=FULL`).

    Raises:
        GalleryFileError: it cannot be opened, or is no gallery; it is left as it is.
        GalleryBusyError, GalleryWriteError: see there.
    """
    _ensure(path)
    with errors(str(path)):
        # mode=rw: SQLite itself shall make no file, which would be readable by others.
        address = "file:" + quote(os.fsencode(os.path.abspath(path))) + "?mode=rw"
        connection = sqlite3.connect(
            address, BUSY_SECONDS, isolation_level=None, check_same_thread=False, uri=True
        )
        try:
            _harden(connection)
            if _is_blank(connection):
                with transaction(connection):
                    # Another process may have been quicker.
                    if _is_blank(connection):
                        schema.create(connection, fingerprint, model, size)
            schema.check(connection, str(path))
            _use_log(connection, path)
            connection.execute("PRAGMA synchronous = FULL")
        except BaseException:
            connection.close()
            raise
    return connection


def open_memory(fingerprint: str, model: str, size: int) -> sqlite3.Connection:
    """A gallery that is gone when it is closed."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _harden(connection)
    schema.create(connection, fingerprint, model, size)
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, writes: bool = True) -> Iterator[None]:
    """All of it or nothing."""
    try:
        connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        yield
        connection.execute("COMMIT")
    except BaseException:
        # After a full disk SQLite has rolled back by itself already.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


class Place:
    """Where an open file lies, so that its removal, its replacement and a fork are noticed.

    SQLite goes on with a file that has lost its name: what is written then is gone with the
    process, and who reads does not see its successor.

    Args:
        path: the file, open already.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._process = os.path.abspath(path), os.getpid()
        self._file = self._found()

    def check(self) -> None:
        """Refuse to go on where it would be lost.

        Raises:
            GalleryFileError: the path leads to no file any more, or to another one.
            GalleryError: this process was forked since; SQLite's locks do not come along.
        """
        if os.getpid() != self._process:
            raise GalleryError(
                f"{self._path}: was opened before this process was forked; open it anew here"
            )
        if self._file is None or self._found() != self._file:
            raise GalleryFileError(
                f"{self._path}: was removed, renamed or replaced while it was open; nothing was "
                "changed; open the gallery anew, from where it is now"
            )

    def holds(self, path: Path) -> bool:
        """Whether a path is the file, or one of those that SQLite keeps beside it."""
        return any(_is_same(path, self._path + ending) for ending in ("", "-wal", "-shm"))

    def _found(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_dev, status.st_ino


def is_new(path: Path) -> bool:
    """Whether opening would make a gallery there; nothing is made or changed here.

    Raises:
        GalleryFileError: it would, but its folder does not exist or cannot be written.
    """
    # An empty file becomes one, too.
    if os.path.lexists(path) and not (os.path.isfile(path) and os.path.getsize(path) == 0):
        return False
    folder = path.parent
    if not os.path.isdir(folder):
        raise GalleryFileError(
            f"{path}: cannot be made, as {folder} is no folder; give a path in a folder that exists"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise GalleryFileError(
            f"{path}: cannot be made, as nothing may be written in {folder}; give a path in "
            "another folder, or check its owner and mode"
        )
    _refuse_orphan(path)
    return True


@contextmanager
def errors(path: str) -> Iterator[None]:
    """Say in our terms what SQLite complains about."""
    try:
        yield
    # Python gives a damaged name in SQLite's message as the second.
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise _translated(path, error) from error


def _translated(path: str, error: Exception) -> GalleryError:
    # The codes themselves are given since Python 3.11 only.
    text = str(error)
    if "locked" in text or "busy" in text:
        return GalleryBusyError(
            f"{path}: another process kept it locked for {BUSY_SECONDS:.0f} seconds; nothing was "
            "changed; try again, or find out which process holds it"
        )
    if "full" in text or "disk I/O" in text:
        return GalleryWriteError(
            f"{path}: the disk is full or fails ({text}); nothing of this change was kept; "
            "make room and try again"
        )
    if "readonly" in text:
        return GalleryWriteError(
            f"{path}: cannot be written ({text}); check the owner and mode of file and folder"
        )
    if "unable to open" in text:
        return GalleryFileError(
            f"{path}: cannot be opened ({text}); check the owner and mode of file and folder"
        )
    if "not a database" in text:
        return GalleryFileError(
            f"{path}: is no gallery; it was left as it is; give the path of a gallery"
        )
    return GalleryFileError(
        f"{path}: is damaged, or was changed by another program ({text}); restore a backup"
    )


def _ensure(path: Path) -> None:
    """An empty file of the owner's alone, where there is none; SQLite's own files follow it."""
    try:
        if not path.exists():
            _refuse_orphan(path)
            # It fails if there is a file after all; then that one is opened.
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
                _sync_folder(path.parent)
        # A named pipe would block, and a device is no place for people.
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise GalleryFileError(f"{path}: is no file; give the path of a gallery")
        # SQLite takes any file of that size for an empty database and would write over it.
        if 0 < status.st_size < _LEAST_BYTES:
            raise GalleryFileError(
                f"{path}: is no gallery; it was left as it is; give the path of a gallery"
            )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise GalleryFileError(
            f"{path}: cannot be opened ({reason}); give a path in a folder that exists"
        ) from error


def _refuse_orphan(path: Path) -> None:
    """SQLite deletes the log that it finds beside a new file: pictures that were acknowledged."""
    log = Path(f"{path}-wal")
    if log.exists() and log.stat().st_size:
        raise GalleryFileError(
            f"{path}: is not there, but the log of a gallery is, {log.name}, which may hold "
            "pictures of its own; put the gallery back beside it, or delete the log"
        )


def _is_same(path: Path, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):  # one of them is not there, or no name at all
        return False


def _sync_folder(folder: Path) -> None:
    """Else a power cut could take the new file's name."""
    if os.name == "nt":  # where folders cannot be opened
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _harden(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA mmap_size = 0")  # a file cut short would end the process
    connection.execute("PRAGMA secure_delete = ON")  # who was removed is gone
    if hasattr(connection, "setlimit"):  # since Python 3.11, and so are the limits' names
        connection.setlimit(_LIMIT_LENGTH, _MOST_BYTES)
        connection.setlimit(_LIMIT_ATTACHED, 0)


def _is_blank(connection: sqlite3.Connection) -> bool:
    """No file yet, or what is left of one whose maker was killed: SQLite's first page, empty."""
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (kind,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return not (tables or kind or version)


def _use_log(connection: sqlite3.Connection, path: Path) -> None:
    """Readers and a writer side by side; the mode stays in the file."""
    until = time.monotonic() + BUSY_SECONDS
    while True:
        # Where another process opens the file at the same time, SQLite does not wait by itself.
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
    if mode != "wal":
        raise GalleryFileError(
            f"{path}: this file system has no shared memory for the write-ahead log; "
            "put the gallery on a local disk"
        )
