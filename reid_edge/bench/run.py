"""One benchmark: each precision in turn, its speed and its accuracy, into one report."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, Protocol

from .._command import in_options
from .._files import read_regular
from .._version import __version__
from ..errors import OptionError, PrecisionUnavailableError
from . import accuracy, cache, machine, speed, threads
from .accuracy import Measured
from .galleries import Sheet, sheet
from .stages import TimedReId
from .startup import cold_start
from .tasks import LAYOUTS, RetrievalTask, Task, open_task

SCHEMA = "reid_edge.bench"
SCHEMA_VERSION = 1
SCENARIOS = ("latency", "throughput", "accuracy", "all")
PRECISIONS = ("auto", "fp32", "fp16", "int8")
DEFAULT_PRECISIONS = ("fp32", "auto")
_MOST_BATCH = 1024
_MOST_RECORD = 1 << 20  # bytes
_FEW_PAIRS = 10_000  # ten false accepts at a rate of 0.1 %


@dataclass(frozen=True)
class Options:
    """What to measure; the fields are the command's options."""

    model: str | None = None
    backend: str = "auto"
    precision: Sequence[str] = DEFAULT_PRECISIONS
    device: str | None = None
    batch: Sequence[int] = (1, 8, 32)
    dataset: str | None = None
    scenario: str = "all"
    duration: float = 1.0
    threads: int | None = None
    allow_unverified: bool = False
    cache: bool = True
    galleries: int = 0

    def check(self) -> None:
        """What can be refused before anything is measured.

        Raises:
            OptionError: a value that does not exist, or options that do not go together.
        """
        if self.scenario == "accuracy" and self.dataset is None:
            raise OptionError(
                "--scenario accuracy needs --dataset LAYOUT:PATH, where LAYOUT is "
                f"{', '.join(LAYOUTS[:-1])} or {LAYOUTS[-1]}"
            )
        if self.galleries and self.dataset is None:
            raise OptionError("--galleries shows queries of a dataset: give --dataset LAYOUT:PATH")
        if self.dataset is not None and self.scenario in ("latency", "throughput"):
            raise OptionError(
                f"--scenario {self.scenario} reads no dataset; use --scenario accuracy or all"
            )
        for name in self.precision:  # at once, not after the first ones were measured
            if name not in PRECISIONS:
                raise OptionError(f"--precision {name!r}: give some of {', '.join(PRECISIONS)}")
        if not 0.05 <= self.duration <= 3600:
            raise OptionError("--duration: give seconds in 0.05...3600")
        if not self.batch or any(not 1 <= size <= _MOST_BATCH for size in self.batch):
            raise OptionError(f"--batch: give numbers in 1...{_MOST_BATCH}")
        if not 0 <= self.galleries <= 100:
            raise OptionError("--galleries: give a number in 0...100")

    def model_options(self, precision: str) -> dict[str, Any]:
        """Keyword arguments of `ReId`."""
        return {
            "model": self.model,
            "backend": self.backend,
            "precision": precision,
            "device": self.device,
            "allow_unverified": self.allow_unverified,
            "max_batch": max(32, *self.batch),
        }


class Display(Protocol):
    """Where the user sees how far it is."""

    def step(self, text: str) -> None:
        """What is being done now."""

    def pictures(self, total: int) -> Callable[[int], None]:
        """A bar of `total` pictures, and what to call with the number just done."""


def run(options: Options, display: Display) -> tuple[dict[str, Any], list[Sheet]]:
    """Measure, and describe it as docs/bench.md says.

    Returns:
        The report, and ranked galleries of the last precision where asked for.

    Raises:
        OptionError: options that do not exist or go together.
        DatasetError, BundleError, BackendError: as `ReId` and `tasks.open_task`.
    """
    options.check()
    if options.threads is not None:
        threads.limit(options.threads)
    task = open_task(options.dataset) if options.dataset is not None else None
    if options.galleries and not isinstance(task, RetrievalTask):
        raise OptionError("--galleries needs a dataset with queries and a gallery, not pairs")
    described = machine.describe()
    # Accuracy does not depend on it.
    busy = None if options.scenario == "accuracy" else machine.busy(described)
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "reid_edge": __version__,
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": described,
        "settings": asdict(options),
        "model": None,
        "runs": [],
        "warnings": [busy] if busy else [],
    }
    sheets: list[Sheet] = []
    reference: Measured | None = None
    refusal: PrecisionUnavailableError | None = None
    # FP32 first: the others are held against it.
    for precision in sorted(dict.fromkeys(options.precision), key=lambda name: name != "fp32"):
        display.step(f"{precision}: starting the model")
        try:
            with _opened(options, precision) as (reid, section):
                if any(other["precision"] == section["precision"] for other in report["runs"]):
                    continue
                report["model"] = report["model"] or _model(reid)
                report["runs"].append(section)
                _speed(reid, options, section, display)
                if task is not None:
                    measured = _accuracy(reid, options, task, section, report, display)
                    if section["graph"] == "fp32":
                        reference = measured
                    elif reference is not None:
                        display.step(f"{section['precision']}: drift")
                        found = accuracy.drift(reid, measured, reference)
                        measured.section["drift"] = found
                    if options.galleries and isinstance(measured.task, RetrievalTask):
                        count = options.galleries
                        sheets = sheet(reid, measured.task.test, measured.embeddings, count)
        except PrecisionUnavailableError as error:
            refusal = refusal or error
            report["warnings"].append(f"{precision} was not measured: {in_options(str(error))}")
            continue
    if not report["runs"] and refusal is not None:
        raise refusal
    report["warnings"] += _unstable(report["runs"])
    return report, sheets


@contextmanager
def _opened(options: Options, precision: str) -> Iterator[tuple[TimedReId, dict[str, Any]]]:
    """A running model, and the report's section about it."""
    before = _gpu_memory()
    reid = TimedReId(**options.model_options(precision))
    with reid:
        info = reid.info()
        graph = cache.graph_name(reid)
        on_gpu = not info["device"].lower().startswith("cpu")
        after = _gpu_memory() if on_gpu else None
        yield (
            reid,
            {
                "asked": precision,
                "precision": info["precision"],
                "backend": info["backend"],
                "device": info["device"],
                "graph": graph,
                "graph_sha256": reid.bundle.graph(graph).sha256,
                "engine": _engine(options, precision, info["backend"]),
                "gpu_memory_mib": None if before is None or after is None else after - before,
            },
        )


def _engine(options: Options, precision: str, backend: str) -> dict[str, Any] | None:
    """The plan that a TensorRT backend runs, and how long it took to build, whenever that was."""
    if backend not in ("tensorrt", "tensorrt_rtx"):
        return None
    from ..building import build

    wanted = options.model_options(precision)
    # It was built when the model was opened, so it is there; if not, the disk refused it then.
    found = build(**{**wanted, "backend": backend, "device": options.device or "cuda"})
    record = json.loads(read_regular(found.path.with_suffix(".json"), _MOST_RECORD))
    return {
        "sha256": record["plan_sha256"],
        "bytes": found.path.stat().st_size,
        "build_seconds": record.get("build_seconds"),
    }


def _speed(reid: TimedReId, options: Options, section: dict[str, Any], display: Display) -> None:
    name, duration = section["precision"], options.duration
    if options.scenario in ("latency", "all"):
        display.step(f"{name}: cold start in fresh processes")
        section["cold_start"] = cold_start(options.model_options(section["asked"]))
        display.step(f"{name}: one pair after another")
        section["single_stream"] = speed.single_stream(reid, duration)
        display.step(f"{name}: frames of {speed.CROPS} people")
        section["multi_stream"] = speed.multi_stream(reid, duration)
    if options.scenario in ("throughput", "all"):
        section["throughput"] = []
        for batch in dict.fromkeys(options.batch):
            display.step(f"{name}: batches of {batch}")
            section["throughput"].append(speed.throughput(reid, batch, duration))
    if options.scenario != "accuracy":
        section["process_threads"] = machine.thread_count()
        display.step(f"{name}: stages from file to score")
        section["stages"] = speed.stages(reid, duration)


def _accuracy(
    reid: TimedReId,
    options: Options,
    task: Task,
    section: dict[str, Any],
    report: dict[str, Any],
    display: Display,
) -> Measured:
    assert options.dataset is not None
    display.step(f"{section['precision']}: accuracy on {options.dataset}")
    kept = cache.Cache(reid, cache.folder() if options.cache else None)
    measured = accuracy.measure(
        reid, options.dataset, task, kept, display.pictures(len(task.paths))
    )
    section["accuracy"] = measured.section
    told = [kept.problem] if kept.problem else []
    if measured.section["skipped"]:
        told.append(
            f"unreadable pictures left out: {measured.section['skipped']}, "
            f"the first: {measured.section['skipped_first'][0]}"
        )
    if (count := measured.section["pairs_different"]) < _FEW_PAIRS:
        told.append(
            f"{count} pairs of two people are few: the TPR at FAR 0.1 % hangs on a handful of them"
        )
    report["warnings"] += [text for text in told if text not in report["warnings"]]
    return measured


def _model(reid: TimedReId) -> dict[str, Any]:
    found = reid.bundle
    return {
        "name": found.name,
        "version": found.version,
        "licence": found.licence,
        "input_size": [found.height, found.width],
        "embedding_size": found.embedding_size,
    }


def _unstable(runs: list[dict[str, Any]]) -> list[str]:
    told = []
    for section in runs:
        found = {name: section.get(name) for name in ("single_stream", "multi_stream", "stages")}
        found |= {f"batch {one['batch']}": one for one in section.get("throughput", [])}
        shaky = [
            f"{name.replace('_', ' ')} (± {50 * one['spread']:.0f} %)"
            for name, one in found.items()
            if one is not None and not one["stable"]
        ]
        if shaky:
            told.append(
                f"{section['precision']}: not stable, rounds differ: {', '.join(shaky)}; "
                "quieten the machine, or give --duration more seconds"
            )
    return told


def _gpu_memory() -> float | None:
    """Of the only GPU; with several, nobody knows here which of them is used."""
    found = machine.gpus()
    return machine.leading_number(found[0]["memory.used"]) if len(found) == 1 else None
