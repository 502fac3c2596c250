"""The packages that are compared with, imported at the moment they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from reid_edge.errors import MissingDependencyError


def require(module: str, install: str) -> Any:
    """Import a module.

    Args:
        module: its name.
        install: what pip installs it from.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingDependencyError(
            f"this benchmark needs the package {package}: pip install {install} ({error})"
        ) from error
