"""The packages that only the export needs, imported at the moment they are."""

from __future__ import annotations

import importlib
from typing import Any

from reid_edge.errors import MissingDependencyError


def require(module: str) -> Any:
    """Import a module of the `export` extra.

    Raises:
        MissingDependencyError: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingDependencyError(
            f"the export needs the package {package}: pip install 'reid-edge[export]' ({error})"
        ) from error
