"""Packages that only tools need, such as the export, imported at the moment they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from reid_edge._extras import install as install_extra
from reid_edge.errors import MissingDependencyError


def require(module: str, install: str | None = None, user: str = "the export") -> Any:
    """Import a module.

    Args:
        module: its name.
        install: what pip installs it from; None for the export's extra.
        user: who needs it.

    Raises:
        MissingDependencyError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        command = install_extra("export") if install is None else f"pip install {install}"
        raise MissingDependencyError(
            f"{user} needs the package {package}: {command} ({error})"
        ) from error
