"""Built engines on disk: each plan with a sidecar that says what it was built from, and for what.

A plan is native code.  It is loaded only from a folder that nobody else can write to, only if its
SHA-256 is the recorded one, and only if all that it depends on is what is here now.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ._extras import install
from ._files import write_whole
from ._private import private, read_private
from .errors import EngineCacheError, MissingDependencyError

SIDECAR = 1
_MAX_PLAN = 1 << 32
_MAX_SIDECAR = 1 << 16
_MAX_TIMING_CACHE = 1 << 28


@dataclass(frozen=True)
class Wanted:
    """All that one engine depends on; two that are equal may share a plan.

    Attributes:
        engine: `tensorrt` or `tensorrt_rtx`.
        version: the version of that package.
        model, graph, graph_sha256: what is built.
        gpu: the GPU model: name, compute capability, multiprocessors, memory.  Orin modules share
            names, so the name alone would not do.  TensorRT-RTX plans fit a compute capability.
        profiles: low, best and high batch size of each optimisation profile.
        options: workspace and level of the builder.
    """

    engine: str
    version: str
    model: str
    graph: str
    graph_sha256: str
    gpu: dict[str, Any]
    profiles: list[list[int]]
    options: dict[str, int]

    @property
    def stem(self) -> str:
        """The file name, without its ending."""
        text = json.dumps(asdict(self), sort_keys=True)
        model = re.sub(r"[^A-Za-z0-9_-]+", "-", self.model)[:40]
        return f"{model}-{self.graph}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def timing_stem(self) -> str:
        """The file name of the timing cache, which engines of one TensorRT and GPU share."""
        text = json.dumps([self.engine, self.version, self.gpu], sort_keys=True)
        return f"timing-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def folder_for(engine_dir: str | Path | None = None) -> Path:
    """Where engines are kept: `engine_dir`, `REID_EDGE_CACHE`, or the user's cache folder."""
    given = engine_dir if engine_dir is not None else os.environ.get("REID_EDGE_CACHE")
    if given:
        return Path(given).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_path("reid_edge")) / "engines"


@dataclass(frozen=True)
class Found:
    """What the cache has: a plan that may be used, or the reason why there is none."""

    plan: bytes | None
    reason: str = ""
    strongly_typed: bool = True


def find(folder: Path, wanted: Wanted) -> Found:
    """Look for an engine.

    Raises:
        EngineCacheError: the folder cannot be looked at, or other users can write to it.
    """
    try:
        return _find(private(folder), wanted)
    except (FileNotFoundError, NotADirectoryError):
        return Found(None, "first use")
    except OSError as error:
        raise EngineCacheError(
            f"{folder}: engines cannot be looked for there ({error.strerror or error}); give "
            "another folder as engine_dir or in REID_EDGE_CACHE"
        ) from error


def _find(folder: Path, wanted: Wanted) -> Found:
    path = folder / f"{wanted.stem}.plan"
    sidecar = _read_sidecar(path.with_suffix(".json"))
    if sidecar is None:
        missing = "its sidecar is missing" if path.exists() else _difference(folder, wanted)
        return Found(None, missing)
    try:
        plan = read_private(path, _MAX_PLAN)
    except OSError as error:
        return Found(None, f"the plan cannot be read ({error.strerror})")
    if sidecar.get("plan_sha256") != hashlib.sha256(plan).hexdigest():
        return Found(None, "the plan differs from its recorded SHA-256")
    for name, value in asdict(wanted).items():  # the name's hash could be anyone's
        if sidecar.get(name) != value:
            return Found(None, f"its sidecar records {name} {_short(sidecar.get(name))}")
    return Found(plan, strongly_typed=sidecar.get("strongly_typed") is True)


def store(
    folder: Path, wanted: Wanted, plan: bytes, timing_cache: bytes, built: dict[str, Any]
) -> Path:
    """Write a plan, its sidecar and the timing cache, each in one atomic step.

    Returns:
        The plan's path.

    Raises:
        OSError: the disk refuses.
    """
    path = folder / f"{wanted.stem}.plan"
    sidecar = {
        "sidecar": SIDECAR,
        **asdict(wanted),
        "plan_sha256": hashlib.sha256(plan).hexdigest(),
        **built,
    }
    # In this order: a plan without its new sidecar is one with a wrong hash.
    write_whole(path, plan)
    write_whole(path.with_suffix(".json"), (json.dumps(sidecar, indent=2) + "\n").encode())
    if timing_cache:
        digest = hashlib.sha256(timing_cache).digest()
        write_whole(folder / f"{wanted.timing_stem}.cache", digest + timing_cache)
    return path


def timing_cache(folder: Path, wanted: Wanted) -> bytes:
    """The timing cache for builds of this kind; empty where there is none that is whole."""
    path = folder / f"{wanted.timing_stem}.cache"
    try:
        content = read_private(path, _MAX_TIMING_CACHE)
    except OSError:
        return b""
    digest, cache = content[:32], content[32:]
    return cache if hashlib.sha256(cache).digest() == digest else b""


@contextmanager
def building(folder: Path, wanted: Wanted, waiting: Callable[[], None]) -> Iterator[Path]:
    """Hold the lock for building on this GPU, and give the folder's real path; makes the folder.

    One build at a time also keeps TensorRT's timings, and their cache, from disturbing each other.

    Args:
        folder: of the engines.
        wanted: the engine.
        waiting: called once if another process holds the lock.

    Raises:
        EngineCacheError: the folder cannot be made or written to, or others can write to it.
        MissingDependencyError: filelock is not installed.
    """
    try:
        import filelock
    except ImportError as error:
        raise MissingDependencyError(
            f"building engines needs filelock: {install('tensorrt')}, on a Jetson the extra jetson"
        ) from error
    try:
        for place in (*reversed(folder.parents), folder):
            if not place.exists():  # each by itself: mkdir(parents=True) leaves these to the umask
                place.mkdir(mode=0o755, exist_ok=True)
        folder = private(folder)
        lock = filelock.FileLock(folder / f".{wanted.timing_stem}.lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            waiting()
            lock.acquire()
    except (OSError, NotImplementedError) as error:  # the latter: no locks on this file system
        raise EngineCacheError(
            f"{folder}: engines cannot be kept there ({error}); give another "
            "folder as engine_dir or in REID_EDGE_CACHE, or build them beforehand with "
            "python -m reid_edge build"
        ) from error
    try:
        for stem in (wanted.stem, wanted.timing_stem):
            for left in folder.glob(f".{stem}.*.partial"):  # of a process that was killed
                left.unlink(missing_ok=True)
        yield folder
    finally:
        lock.release()


def keep(folder: Path, wanted: Wanted, built: Any, must: bool) -> Path | None:
    """Store what `build_engine` made.

    Args:
        folder: of the engines.
        wanted: what was built.
        built: the plan and what is known of it.
        must: raise where the disk refuses; else only warn, for the engine itself is fine.
    """
    known = {"build_seconds": round(built.seconds, 1), "strongly_typed": built.strongly_typed}
    try:
        return store(folder, wanted, built.plan, built.timing_cache, known)
    except OSError as error:
        message = f"{folder}: the engine cannot be kept ({error.strerror or error})"
        if must:
            raise EngineCacheError(f"{message}; make room, or give another folder") from error
        warnings.warn(f"{message}; it will be built again", RuntimeWarning, stacklevel=2)
        return None


def _read_sidecar(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(read_private(path, _MAX_SIDECAR))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("sidecar") == SIDECAR else None


def _difference(folder: Path, wanted: Wanted) -> str:
    """In what the nearest engine of this model and graph differs from the one that is wanted."""
    described = asdict(wanted)
    best: list[str] | None = None
    for path in sorted(folder.glob("*.json")):
        sidecar = _read_sidecar(path)
        if sidecar is None or any(sidecar.get(n) != described[n] for n in ("model", "graph")):
            continue
        differing = [name for name in described if sidecar.get(name) != described[name]]
        if best is None or len(differing) < len(best):
            best = differing
            told = [
                f"{name} {_short(sidecar.get(name))} there, {_short(described[name])} here"
                for name in differing
            ]
    return f"the one that is there differs: {'; '.join(told)}" if best else "first use"


def _short(value: Any) -> str:
    text = value[:12] if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."
