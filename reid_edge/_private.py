"""Folders that hold native code: only their owner, or root, may be able to write there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .errors import EngineCacheError


def check_private(folder: Path) -> None:
    """Hold a folder, and those above it, against the rule.

    Who can write to a folder above could put another one in its place.

    Raises:
        EngineCacheError: other users can write to one of them, or own it.
    """
    resolved = folder.resolve()
    for place in (resolved, *resolved.parents):
        status = place.stat()
        if status.st_uid not in (0, os.geteuid()):
            raise EngineCacheError(_refusal(folder, place, f"belongs to user {status.st_uid}"))
        sticky = place != resolved and status.st_mode & stat.S_ISVTX  # as /tmp is
        if not sticky and _others_write(status):
            raise EngineCacheError(_refusal(folder, place, "can be written to by other users"))


def check_file(path: Path) -> None:
    """As `check_private`, for one file in such a folder."""
    status = path.stat()
    if status.st_uid not in (0, os.geteuid()) or _others_write(status):
        raise EngineCacheError(_refusal(path.parent, path, "can be written to by other users"))


def _others_write(status: os.stat_result) -> bool:
    if status.st_mode & stat.S_IWOTH:
        return True
    # Many systems give each user a group of the same number, with nobody else in it.
    own_group = status.st_gid == os.geteuid() or status.st_gid == 0
    return bool(status.st_mode & stat.S_IWGRP) and not own_group


def _refusal(folder: Path, place: Path, reason: str) -> str:
    return (
        f"engines are native code, and {folder} is not safe to load them from: {place} {reason}; "
        "chmod go-w or chown it, or give another folder as engine_dir or in REID_EDGE_CACHE"
    )
