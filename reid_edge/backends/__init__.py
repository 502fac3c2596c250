"""Backends: one protocol, and the choice among what is installed and what the machine has."""

from __future__ import annotations

from ..engine_options import BuildOptions, EngineOptions
from ._choose import NAMES, choose
from ._protocol import Backend, Fill

__all__ = ["NAMES", "Backend", "BuildOptions", "EngineOptions", "Fill", "choose"]
