"""ONNX graph in, TensorRT plan out: one path for TensorRT 10.3 to 11.4 and TensorRT-RTX.

The module (`tensorrt` or `tensorrt_rtx`) is a parameter: both share this part of their interface.
Precision is a matter of the graph alone; builder flags are set in one case, see `_build_once`.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

from .engine_options import BuildOptions
from .errors import DriverError, EngineBuildError, OptionError

INPUT, OUTPUT = "images", "embeddings"
_STRONG_TYPING_COMPLETE = (10, 12)
_logger = logging.getLogger("reid_edge.tensorrt")

Progress = Callable[[str, int, int], None]
"""Called with a phase of the build, the steps done and their number; may raise to stop it."""


@dataclass(frozen=True)
class Built:
    """A plan, and what the next build of the same kind can start from."""

    plan: bytes
    timing_cache: bytes
    seconds: float
    strongly_typed: bool


def version_of(trt: Any) -> tuple[int, ...]:
    """TensorRT's version as numbers: (10, 3, 0)."""
    return tuple(int(part) for part in str(trt.__version__).split(".")[:3] if part.isdigit())


def build_engine(
    trt: Any,
    graph: bytes,
    graph_name: str,
    input_size: tuple[int, int],
    options: BuildOptions | None = None,
    timing_cache: bytes = b"",
    progress: Progress | None = None,
    current: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Built:
    """Build a plan.

    The build runs in a thread of its own, so that Ctrl-C ends it at its next step.

    Args:
        trt: the module `tensorrt` or `tensorrt_rtx`.
        graph: the ONNX file; input uint8 (n, height, width, 3), output float32 (n, d).
        graph_name: `fp32`, `fp16`, `int8` or `int8_fp16`.
        input_size: height and width in pixels.
        options: batch sizes, memory, effort.
        timing_cache: of an earlier build by the same TensorRT on the same GPU model.
        progress: told how far the build is.
        current: makes the GPU's context current in the building thread.

    Raises:
        EngineBuildError: TensorRT refuses the graph or finds no implementation.
        DriverError: the GPU's driver does not serve this TensorRT.
        OptionError: a target that this TensorRT can't build for.
    """
    job = _Job(trt, graph, graph_name, input_size, options or BuildOptions(), timing_cache, current)
    monitor = _monitor(trt, job, progress)
    thread = threading.Thread(target=job.run, args=(monitor,), name="reid_edge build", daemon=True)
    try:
        thread.start()
        # Not Thread.join: before Python 3.13, Ctrl-C in it makes a running thread look finished.
        while not job.done.wait(0.1):
            pass
    except BaseException:  # Ctrl-C above all
        job.cancelled.set()
        # Not if it was never started.  A second Ctrl-C must not leave TensorRT building unseen.
        while thread in threading.enumerate() and not job.done.is_set():
            with suppress(KeyboardInterrupt):
                job.done.wait()
        raise
    if job.error is not None:
        raise job.error
    assert job.built is not None
    return job.built


@dataclass
class _Job:
    """One build; it ends with `built` or `error`."""

    trt: Any
    graph: bytes
    graph_name: str
    input_size: tuple[int, int]
    options: BuildOptions
    timing_cache: bytes
    current: Callable[[], AbstractContextManager[None]]
    cancelled: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    built: Built | None = None
    error: BaseException | None = None

    def run(self, monitor: Any) -> None:
        started = time.monotonic()
        try:
            with self.current():
                plan, cache, strong = self._build(monitor)
            self.built = Built(plan, cache, time.monotonic() - started, strong)
        except BaseException as error:
            self.error = self.error or error  # one from the progress callback came first
        finally:
            self.done.set()

    def _build(self, monitor: Any) -> tuple[bytes, bytes, bool]:
        """Plan, timing cache, and whether it is strongly typed."""
        try:
            return *_build_once(self, monitor, strongly_typed=True), True
        except EngineBuildError as error:
            old = version_of(self.trt) < _STRONG_TYPING_COMPLETE and not is_rtx(self.trt)
            if not old or self.cancelled.is_set() or self.error is not None:
                raise
            _logger.warning("building with weak typing instead: %s", error)
            return *_build_once(self, monitor, strongly_typed=False), False


def _build_once(job: _Job, monitor: Any, strongly_typed: bool) -> tuple[bytes, bytes]:
    """The plan and the new timing cache."""
    trt, options = job.trt, job.options
    log = logger_of(trt)
    log.clear()
    builder = started(trt, trt.Builder)
    kind = trt.NetworkDefinitionCreationFlag
    network = builder.create_network(1 << int(kind.STRONGLY_TYPED) if strongly_typed else 0)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(job.graph):
        reasons = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise EngineBuildError(
            f"TensorRT {trt.__version__} cannot read the {job.graph_name} graph "
            f"({'; '.join(reasons) or log.reason()}); export the bundle again"
        )
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace)
    config.builder_optimization_level = options.level
    config.progress_monitor = monitor
    config.clear_flag(trt.BuilderFlag.TF32)  # fp32 is float32: TF32 has 10 bits of mantissa
    if options.target is not None:
        _aim(trt, config, options.target)
    if not strongly_typed:
        # TensorRT 10.3 to 10.11 only: these flags are gone from 11.0 on.
        for name in {"fp16": ["FP16"], "int8": ["INT8"], "int8_fp16": ["INT8", "FP16"]}.get(
            job.graph_name, []
        ):
            config.set_flag(getattr(trt.BuilderFlag, name))
    height, width = job.input_size
    for batch in options.profiles():
        profile = builder.create_optimization_profile()
        shapes = [(size, height, width, 3) for size in (batch.low, batch.best, batch.high)]
        profile.set_shape(INPUT, *shapes)
        config.add_optimization_profile(profile)
    if not is_rtx(trt):  # which times nothing when it builds
        cache = config.create_timing_cache(job.timing_cache)
        if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
            # One that TensorRT does not take is as good as none, and is replaced afterwards.
            config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineBuildError(
            f"TensorRT {trt.__version__} cannot build the {job.graph_name} graph "
            f"({log.reason() or 'no reason given'}); try another precision or a smaller max_batch"
        )
    timings = None if is_rtx(trt) else config.get_timing_cache()
    return bytes(plan), bytes(timings.serialize()) if timings is not None else b""


def started(trt: Any, kind: Any) -> Any:
    """A `Builder` or `Runtime`, the two objects with which TensorRT starts.

    Raises:
        DriverError: it does not start.
    """
    log = logger_of(trt)
    try:
        return kind(log)
    except Exception as error:  # pybind11 turns what TensorRT reports into several kinds
        raise DriverError(
            f"TensorRT {trt.__version__} cannot start ({log.reason() or error}); the NVIDIA "
            "driver may be too old for it: update the driver, or install the TensorRT "
            "built for your CUDA version (tensorrt-cu12, tensorrt-cu13)"
        ) from error


def _aim(trt: Any, config: Any, target: tuple[int, int]) -> None:
    """Build for a compute capability instead of for the GPU that is there."""
    name = f"SM{target[0]}{target[1]}"
    if not is_rtx(trt):
        raise OptionError(
            "TensorRT builds for the GPU that is there; only TensorRT-RTX takes a target"
        )
    capability = getattr(trt.ComputeCapability, name, None)
    if capability is None:
        raise OptionError(f"TensorRT-RTX {trt.__version__} has no target {name.lower()}")
    config.num_compute_capabilities = 1
    config.set_compute_capability(capability, 0)


def is_rtx(trt: Any) -> bool:
    """Whether the module is TensorRT-RTX."""
    return str(trt.__name__).endswith("tensorrt_rtx")


@functools.cache
def logger_of(trt: Any) -> Any:
    """The TensorRT logger of a module, which keeps the last errors for our own messages.

    There is one for the whole process, for ever: TensorRT itself keeps a pointer to the first.
    Warnings and errors also go to the `logging` logger `reid_edge.tensorrt`, as debug messages:
    what matters of them is raised.
    """

    # The module is a parameter, so its classes have no types to check against.
    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: deque[str] = deque(maxlen=3)

        def log(self, severity: Any, message: str) -> None:
            if severity in (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR):
                self._errors.append(" ".join(message.split()))
                _logger.debug("%s", message)
            elif severity == trt.ILogger.WARNING:
                _logger.debug("%s", message)

        def clear(self) -> None:
            """Forget the errors of earlier work."""
            self._errors.clear()

        def reason(self) -> str:
            """The last errors, the latest last."""
            return "; ".join(self._errors)

    return Log()


def _monitor(trt: Any, job: _Job, progress: Progress | None) -> Any:
    """A progress monitor that reports the outermost phase and ends a cancelled build."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]  # as in logger_of
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if parent_phase is None:
                self._steps[phase_name] = num_steps
                self._report(phase_name, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._report(phase_name, step + 1)
            return not job.cancelled.is_set() and job.error is None

        def phase_finish(self, phase_name: str) -> None:
            self._report(phase_name, self._steps.get(phase_name, 0))
            self._steps.pop(phase_name, None)

        def _report(self, phase_name: str, step: int) -> None:
            if progress is None or phase_name not in self._steps:
                return
            try:
                progress(phase_name, step, self._steps[phase_name])
            except BaseException as error:  # it must not unwind through TensorRT
                job.error = job.error or error

    return Monitor()
