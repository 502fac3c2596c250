"""Reading files that strangers may have written, and writing files that are whole or not there."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

# http://HOST/..., of which Path makes http:/HOST/...; more letters than a drive of Windows has.
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class NotRegularError(OSError):
    """A folder, a named pipe or a device where a file was expected."""


class TooLargeError(OSError):
    """A file over the limit."""


def read_regular(path: str | Path, limit: int) -> bytes:
    """The content of a regular file of at most `limit` bytes.

    A named pipe does not block, a device does not run on for ever, and a file that grows while
    it is read stops at the limit.

    Raises:
        OSError: it cannot be read; `strerror` is the reason.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise NotRegularError(0, "not a regular file")
            content = file.read(limit + 1) if status.st_size <= limit else b""
    except ValueError as error:  # a zero byte, or characters that no file name can have
        raise OSError(0, str(error)) from error
    if status.st_size > limit or len(content) > limit:
        raise TooLargeError(0, f"larger than {limit:,} bytes")
    return content


def is_address(path: str | Path) -> bool:
    """Whether it is a URL, and no file's path."""
    return _ADDRESS.match(str(path)) is not None and not os.path.exists(path)


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file so that no one ever sees half of it; an older one is replaced.

    Raises:
        OSError: it cannot be written; `strerror` is the reason.
    """
    with whole(path, mode) as file:
        file.write(content)


@contextmanager
def whole(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """As `write_whole`, for what is written in pieces; after an error inside nothing is there.

    Raises:
        OSError: it cannot be written; `strerror` is the reason.
    """
    try:
        prefix = f".{path.stem}."
        handle, partial = tempfile.mkstemp(prefix=prefix, suffix=".partial", dir=path.parent)
    except ValueError as error:  # a zero byte, or characters that no file name can have
        raise OSError(0, str(error)) from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(partial, mode)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
