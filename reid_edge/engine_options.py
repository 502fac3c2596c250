"""How TensorRT engines are built and kept: what a caller may say, checked as it is said."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .errors import OptionError

LATENCY_BATCH = 8
_GIB = 1 << 30


def module_of(backend: str) -> str:
    """A backend's name; TensorRT-RTX may be spelled as its package is: tensorrt-rtx."""
    return "tensorrt_rtx" if backend == "tensorrt-rtx" else backend


@dataclass(frozen=True)
class Profile:
    """Batch sizes that an engine is optimised for: the smallest, the best served, the largest."""

    low: int
    best: int
    high: int


@dataclass(frozen=True)
class BuildOptions:
    """How an engine is built.

    Attributes:
        max_batch: the largest batch, 1...1024.
        workspace: scratch memory that a layer may use, in bytes.
        level: TensorRT's builder_optimization_level, 0 (quick build) ... 5 (thorough).
        target: build ahead of time for this compute capability, such as (8, 6), instead of for
            the GPU that is there; TensorRT-RTX only.

    Raises:
        OptionError: a value out of range.
    """

    max_batch: int = 32
    workspace: int = _GIB
    level: int = 3
    target: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name, low, high in (("max_batch", 1, 1024), ("workspace", 1 << 20, 1 << 40)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise OptionError(f"{name}={value!r}: give a whole number, {low} to {high}")
        if self.level not in range(6):
            raise OptionError(f"level={self.level!r}: give a builder optimisation level, 0 to 5")

    def profiles(self) -> tuple[Profile, ...]:
        """The latency profile, 1 to 8 pictures, and the throughput profile above it."""
        small = min(LATENCY_BATCH, self.max_batch)
        latency = Profile(1, min(2, small), small)  # 2: the two pictures of one comparison
        if self.max_batch <= LATENCY_BATCH:
            return (latency,)
        return (latency, Profile(LATENCY_BATCH, self.max_batch, self.max_batch))


@dataclass(frozen=True)
class EngineOptions:
    """What a caller may say about engines.

    Attributes:
        folder: where they are kept; None takes `engine_cache.folder_for`.
        build: how they are built.
        cuda_graphs: replay recorded launches; off until it has been run on hardware.
    """

    folder: str | Path | None = None
    build: BuildOptions = field(default_factory=BuildOptions)
    cuda_graphs: bool = False
