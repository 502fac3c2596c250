"""TensorRT and TensorRT-RTX: a built engine on an NVIDIA GPU.

Pictures are resized straight into page-locked memory.  A call with several batches keeps two
workers busy in turn, so that while one batch is computed the next one is resized and copied.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..engines import INPUT, logger_of, started
from ..errors import BackendError, ClosedError, EnginePlanError
from . import _cuda_graph
from ._cuda import Gpu
from ._protocol import Fill, Port, check_ports, run_batch
from ._tensorrt_worker import Worker

# Batches that one call may queue before other threads get their turn.
_TURN = 16
_EXIT_PATIENCE = 10.0  # seconds


class TensorRtBackend:
    """A deserialised plan with up to two workers; calls of several threads take turns.

    Args:
        trt: the module `tensorrt` or `tensorrt_rtx`.
        gpu: where it runs.
        bundle: what the engine must fit.
        plan: the engine; its origin must have been verified, for loading it runs native code.
        precision: of the graph that it was built from; its types are the engine's.
        cuda_graphs: replay recorded launches; not yet run on hardware.

    Raises:
        EnginePlanError: TensorRT does not load it, or it does not fit the bundle.
        DriverError, GpuMemoryError, BackendError: the GPU refuses.
        MissingDependencyError: `cuda_graphs` without cuda-bindings.
    """

    def __init__(
        self,
        trt: Any,
        gpu: Gpu,
        bundle: Bundle,
        plan: bytes,
        precision: str,
        cuda_graphs: bool = False,
    ) -> None:
        if cuda_graphs:
            _cuda_graph.require()
        self.name = str(trt.__name__).rpartition(".")[2]
        self.precision = precision
        self.device = f"{gpu.info.name} ({self.name} {trt.__version__})"
        self._engine = _Engine(trt, gpu, bundle, plan, cuda_graphs)
        # Also runs at exit, while CUDA is still there.
        self._free = weakref.finalize(self, self._engine.close)

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Backend.run`."""
        return run_batch(self, batch)

    def embed(self, count: int, fill: Fill) -> NDArray[np.float32]:
        """See `Backend.embed`."""
        found = np.empty((count, self._engine.size), np.float32)
        turn = _TURN * self._engine.max_batch
        for start in range(0, count, turn):
            self._engine.embed(range(start, min(start + turn, count)), fill, found)
        return found

    def stages(self, count: int) -> dict[str, float]:
        """Milliseconds that one batch spends in its copy in, computation and copy back.

        Args:
            count: pictures in the batch, at most the engine's largest.
        """
        return self._engine.stages(count)

    def close(self) -> None:
        """See `Backend.close`."""
        self._free()


class _Engine:
    """The engine and its workers: used by one thread at a time, freed in the right order."""

    def __init__(self, trt: Any, gpu: Gpu, bundle: Bundle, plan: bytes, cuda_graphs: bool) -> None:
        self._gpu, self._cuda_graphs = gpu, cuda_graphs
        self._shape = (bundle.height, bundle.width, 3)
        self.size = bundle.embedding_size
        self._log = logger_of(trt)
        self._log.clear()
        self._lock = threading.Lock()
        self._closed = False
        self._workers: list[Worker] = []
        self._runtime: Any = None
        self._engine: Any = None
        try:
            with gpu.current():
                self._runtime = started(trt, trt.Runtime)
                self._engine = self._runtime.deserialize_cuda_engine(plan)
                if self._engine is None:
                    raise EnginePlanError(
                        f"TensorRT {trt.__version__} does not load this engine "
                        f"({self._log.reason() or 'no reason given'}); build it again on this "
                        "device"
                    )
                check_ports(bundle, *_ports(trt, self._engine))
                self._ranges = _batch_ranges(self._engine)
                _check_ranges(self._ranges)
            self.max_batch = max(high for _, high in self._ranges)
            self._worker(0)
        except BaseException:
            self.close()
            raise

    def embed(self, rows: range, fill: Fill, found: NDArray[np.float32]) -> None:
        """Embed the pictures `rows` into the rows of `found` that have the same numbers."""
        with self._lock:
            self._check_open()
            self._embed(rows, fill, found)

    def _embed(self, rows: range, fill: Fill, found: NDArray[np.float32]) -> None:
        queued: list[tuple[Worker, slice]] = []
        try:
            for index, place in enumerate(_batches(rows, self.max_batch)):
                if len(queued) == 2:
                    self._collect(queued.pop(0), found)
                worker = self._worker(index % 2)
                fill(worker.pictures[: place.stop - place.start], place)
                # Before it is submitted: an error in the midst may leave work under way, too.
                queued.append((worker, place))
                with self._gpu.current():
                    worker.submit(place.stop - place.start)
            while queued:
                self._collect(queued[0], found)
                queued.pop(0)
        finally:
            # A picture that cannot be read, or Ctrl-C: nothing may be left under way.
            for worker, _ in queued:
                with self._gpu.current():
                    worker.drain()

    def _collect(self, item: tuple[Worker, slice], found: NDArray[np.float32]) -> None:
        worker, place = item
        with self._gpu.current():
            worker.wait()
        found[place] = worker.embeddings[: place.stop - place.start]

    def stages(self, count: int) -> dict[str, float]:
        """See `TensorRtBackend.stages`."""
        with self._lock:
            self._check_open()
            worker = self._worker(0)
            with self._gpu.current():
                return worker.stages(count)

    def _worker(self, index: int) -> Worker:
        """A worker; the second one is made when a call first has a second batch."""
        while len(self._workers) <= index:
            with self._gpu.current():
                self._workers.append(
                    Worker(
                        self._gpu,
                        self._engine,
                        self._log,
                        self._ranges,
                        (self.max_batch, *self._shape),
                        self.size,
                        self._cuda_graphs,
                    )
                )
        return self._workers[index]

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("this model is closed; make a new one")

    def close(self) -> None:
        """Free contexts, then the engine, then the runtime, each after what stands on it.

        At exit, a daemon thread may still be embedding: it is waited for, and if it takes too long
        all is left to the end of the process, for freeing would pull the memory from under it.
        """
        if not self._lock.acquire(timeout=_EXIT_PATIENCE):
            return
        try:
            self._closed = True
            with self._gpu.current():
                while self._workers:
                    self._workers.pop().close()
                self._engine = None
                self._runtime = None
        except BackendError:  # the GPU is gone: there is nothing left to free
            pass
        finally:
            self._lock.release()


def _batches(rows: range, most: int) -> Iterator[slice]:
    """Full batches, then one of what is left: profiles take every size in their range."""
    for start in range(rows.start, rows.stop, most):
        yield slice(start, min(start + most, rows.stop))


def _ports(trt: Any, engine: Any) -> tuple[list[Port], list[Port]]:
    """Inputs and outputs of an engine."""
    kinds = {trt.DataType.UINT8: "uint8", trt.DataType.FLOAT: "float32"}
    inputs: list[Port] = []
    outputs: list[Port] = []
    for index in range(engine.num_io_tensors):
        name = engine.get_tensor_name(index)
        kind = engine.get_tensor_dtype(name)
        shape = [None if size < 0 else int(size) for size in engine.get_tensor_shape(name)]
        is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        (inputs if is_input else outputs).append((name, kinds.get(kind, str(kind)), shape))
    return inputs, outputs


def _batch_ranges(engine: Any) -> list[tuple[int, int]]:
    """The batch sizes, low and high, of each optimisation profile."""
    found = []
    for index in range(engine.num_optimization_profiles):
        low, _, high = engine.get_tensor_profile_shape(INPUT, index)
        found.append((int(low[0]), int(high[0])))
    return found


def _check_ranges(ranges: list[tuple[int, int]]) -> None:
    served = 0
    for low, high in sorted(ranges):
        if low <= served + 1:
            served = max(served, high)
    if served < max([high for _, high in ranges], default=1):
        raise EnginePlanError(
            f"the engine's profiles {ranges} do not serve every batch size; build it again"
        )
