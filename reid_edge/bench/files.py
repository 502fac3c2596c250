"""Reports on disk: written whole, read back with care."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from .._files import read_regular, write_whole
from ..errors import ReportError
from .run import SCHEMA, SCHEMA_VERSION

_MAX_BYTES = 64 << 20


def check_writable(path: Path) -> None:
    """Refuse an output that cannot be written, before anything is measured.

    Raises:
        ReportError: it is a folder or a device, or its folder is missing or closed.
    """
    if path.is_dir():
        raise ReportError(f"{path}: is a folder; give a file")
    if path.exists() and not path.is_file():  # a pipe or /dev/stdout would be replaced by a file
        raise ReportError(f"{path}: is not a regular file; give a new file")
    if not path.parent.is_dir():
        raise ReportError(f"{path}: there is no folder {path.parent}; make it first")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ReportError(f"{path}: cannot be written ({error.strerror})") from error


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a report, for those to read whom `mode` allows it.

    Raises:
        ReportError: it cannot be written.
    """
    try:
        write_whole(path, text.encode(), mode)
    except OSError as error:
        raise ReportError(f"{path}: cannot be written ({error.strerror})") from error


def dump(report: dict[str, Any]) -> str:
    """The report as JSON; a NaN would be no JSON and is an error."""
    return json.dumps(report, indent=2, allow_nan=False) + "\n"


def read(path: Path) -> dict[str, Any]:
    """An earlier report.

    Raises:
        ReportError: it cannot be read, is no report, or is of another schema version.
    """
    try:
        found = json.loads(read_regular(path, _MAX_BYTES))
    except OSError as error:
        raise ReportError(
            f"{path}: cannot be read ({error.strerror}); give a file that --json wrote"
        ) from error
    except (ValueError, RecursionError):
        raise ReportError(f"{path}: is no JSON; give a file that --json wrote") from None
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise ReportError(f"{path}: is no report of this command; give a file that --json wrote")
    version = found.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ReportError(
            f"{path}: has schema version {str(version)[:20]}, this reid_edge compares with "
            f"version {SCHEMA_VERSION}; measure again with one version of reid_edge"
        )
    return found
