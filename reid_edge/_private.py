"""Folders that hold native code: only their owner, or root, may be able to write there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ._files import read_regular
from .errors import EngineCacheError


def private(folder: Path) -> Path:
    """A folder's real path, after holding it, and those above it, against the rule.

    Only the real path may be used afterwards: who can write to a folder above, or to one on the
    way through a link, could put another one in its place.

    Raises:
        EngineCacheError: other users can write to one of them, or own it.
        OSError: it cannot be looked at.
    """
    resolved = folder.resolve(strict=True)
    for place in (resolved, *resolved.parents):
        status = place.stat()
        if status.st_uid not in (0, os.geteuid()):
            raise _refusal(folder, place, f"belongs to user {status.st_uid}")
        sticky = place != resolved and status.st_mode & stat.S_ISVTX  # as /tmp is
        if not sticky and _others_write(status):
            raise _refusal(folder, place, "can be written to by other users")
    return resolved


def read_private(path: Path, limit: int) -> bytes:
    """`read_regular`, of a file in such a folder that nobody else can write to.

    Raises:
        EngineCacheError: other users can write to it, or own it.
        OSError: it cannot be read, or is a link.
    """
    status = path.lstat()  # in a folder of ours, it stays what it is
    if stat.S_ISLNK(status.st_mode):
        raise OSError(0, "is a link")
    if status.st_uid not in (0, os.geteuid()) or _others_write(status):
        raise _refusal(path.parent, path, "can be written to by other users")
    return read_regular(path, limit)


def _others_write(status: os.stat_result) -> bool:
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _is_private_group(status)


def _is_private_group(status: os.stat_result) -> bool:
    """Whether the group is the owner's own: many systems give each user one, and umask 002."""
    import grp
    import pwd

    if status.st_gid == 0:  # containers run users of any number in it
        return False
    try:
        name = pwd.getpwuid(status.st_uid).pw_name
        group = grp.getgrgid(status.st_gid)
    except KeyError:
        return False
    return group.gr_name == name and set(group.gr_mem) <= {name}


def _refusal(folder: Path, place: Path, reason: str) -> EngineCacheError:
    return EngineCacheError(
        f"engines are native code, and {folder} is not safe to load them from: {place} {reason}; "
        "chmod go-w or chown it, or give another folder as engine_dir or in REID_EDGE_CACHE"
    )
