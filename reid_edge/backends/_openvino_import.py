"""`import openvino`, without its report to its makers."""

from __future__ import annotations

import sys
import threading
from typing import Any

_TELEMETRY = "openvino_telemetry"
_lock = threading.Lock()


def load() -> Any:
    """The module `openvino`.

    Where the package openvino-telemetry lies beside it, importing it tells Google Analytics so,
    from a forked child.  People do not expect that of a program that looks at people: the package
    is out of sight while OpenVINO is imported, which then takes the stub that it has for that
    case.  A program that imported either of them before is left alone.

    Raises:
        ImportError: it is not installed.
    """
    with _lock:
        if "openvino" in sys.modules or _TELEMETRY in sys.modules:
            import openvino

            return openvino
        sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # how an import is forbidden
        try:
            import openvino

            return openvino
        finally:
            del sys.modules[_TELEMETRY]
