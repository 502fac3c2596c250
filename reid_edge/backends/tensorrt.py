"""TensorRT and TensorRT-RTX: a built engine on an NVIDIA GPU.

Pictures are resized straight into page-locked memory.  A call with several batches keeps two
workers busy in turn, so that while one batch is computed the next one is resized and copied.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..engines import INPUT, OUTPUT, make_logger
from ..errors import BackendError, ClosedError, EnginePlanError
from ._cuda import Gpu
from ._cuda_graph import CudaGraph, capture
from ._protocol import Fill, Port, check_ports, run_batch

# Batches that one call may queue before other threads get their turn.
_TURN = 16


class TensorRtBackend:
    """A deserialised plan with up to two workers; calls of several threads take turns.

    Args:
        trt: the module `tensorrt` or `tensorrt_rtx`.
        gpu: where it runs.
        bundle: what the engine must fit.
        plan: the engine; its origin must have been verified, for loading it runs native code.
        precision: the name of the graph that it was built from.
        cuda_graphs: replay recorded launches; not yet run on hardware.

    Raises:
        EnginePlanError: TensorRT does not load it, or it does not fit the bundle.
        GpuMemoryError, BackendError: the GPU refuses.
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
        self.name = str(trt.__name__).rpartition(".")[2]
        self.precision = precision
        self.device = f"{gpu.info.name} ({self.name} {trt.__version__})"
        self._engine: _Engine | None = _Engine(trt, gpu, bundle, plan, cuda_graphs)
        self._lock = threading.Lock()
        # Also runs at exit, while CUDA is still there.
        self._free = weakref.finalize(self, self._engine.close)

    def run(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Backend.run`."""
        return run_batch(self, batch)

    def embed(self, count: int, fill: Fill) -> NDArray[np.float32]:
        """See `Backend.embed`."""
        engine = self._running()
        found = np.empty((count, engine.size), np.float32)
        turn = _TURN * engine.max_batch
        for start in range(0, count, turn):
            with self._lock:
                self._running().embed(range(start, min(start + turn, count)), fill, found)
        return found

    def close(self) -> None:
        """See `Backend.close`."""
        with self._lock:
            self._engine = None
            self._free()

    def _running(self) -> _Engine:
        if self._engine is None:
            raise ClosedError("this model is closed; make a new one")
        return self._engine


class _Engine:
    """The engine and its workers, freed in the right order by `close`."""

    def __init__(self, trt: Any, gpu: Gpu, bundle: Bundle, plan: bytes, cuda_graphs: bool) -> None:
        self._gpu, self._cuda_graphs = gpu, cuda_graphs
        self._shape = (bundle.height, bundle.width, 3)
        self.size = bundle.embedding_size
        self._log = make_logger(trt)
        self._workers: list[_Worker] = []
        self._runtime: Any = None
        self._engine: Any = None
        try:
            with gpu.current():
                self._runtime = trt.Runtime(self._log)
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
        queued: list[tuple[_Worker, slice]] = []
        try:
            for index, place in enumerate(_batches(rows, self.max_batch)):
                if len(queued) == 2:
                    self._collect(queued.pop(0), found)
                worker = self._worker(index % 2)
                fill(worker.pictures[: place.stop - place.start], place)
                with self._gpu.current():
                    worker.submit(place.stop - place.start)
                queued.append((worker, place))
            while queued:
                self._collect(queued.pop(0), found)
        finally:
            # A picture that cannot be read, or Ctrl-C: nothing may be left under way.
            for worker, _ in queued:
                with self._gpu.current():
                    worker.drain()

    def _collect(self, item: tuple[_Worker, slice], found: NDArray[np.float32]) -> None:
        worker, place = item
        with self._gpu.current():
            worker.wait()
        found[place] = worker.embeddings[: place.stop - place.start]

    def _worker(self, index: int) -> _Worker:
        """A worker; the second one is made when a call first has a second batch."""
        while len(self._workers) <= index:
            with self._gpu.current():
                self._workers.append(
                    _Worker(
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

    def close(self) -> None:
        """Free contexts, then the engine, then the runtime, each after what stands on it."""
        try:
            with self._gpu.current():
                while self._workers:
                    self._workers.pop().close()
                self._engine = None
                self._runtime = None
        except BackendError:  # the GPU is gone: there is nothing left to free
            pass


class _Worker:
    """One execution context, one stream, and one pair of buffers a direction."""

    def __init__(
        self,
        gpu: Gpu,
        engine: Any,
        log: Any,
        ranges: list[tuple[int, int]],
        pictures: tuple[int, int, int, int],
        size: int,
        cuda_graphs: bool,
    ) -> None:
        self._log, self._ranges, self._cuda_graphs = log, ranges, cuda_graphs
        self._picture = int(np.prod(pictures[1:]))
        self._row = 4 * size
        self._graphs: dict[int, CudaGraph] = {}
        self._profile, self._batch = -1, 0
        self._made: list[Any] = []  # what must be freed, in the order in which it was made
        try:
            self._stream = self._keep(gpu.stream())
            self._context: Any = engine.create_execution_context()
            del engine  # else the traceback of an error would keep it alive beyond `close`
            if self._context is None:
                raise BackendError(
                    f"TensorRT cannot make an execution context ({log.reason()}); the GPU may be "
                    "out of memory: close other programs, or use a smaller max_batch"
                )
            self._input = self._keep(gpu.buffer(pictures[0] * self._picture))
            self._output = self._keep(gpu.buffer(pictures[0] * self._row))
            self._context.set_tensor_address(INPUT, self._input.address)
            self._context.set_tensor_address(OUTPUT, self._output.address)
        except BaseException:
            self.close()
            raise
        self.pictures: NDArray[np.uint8] = self._input.host.reshape(pictures)
        self.embeddings: NDArray[np.float32] = self._output.host.view(np.float32).reshape(
            pictures[0], size
        )

    def submit(self, count: int) -> None:
        """Queue copy, computation and copy back of the first `count` pictures."""
        bucket = self._bucket(count) if self._cuda_graphs else count
        self._select(bucket)
        if not self._cuda_graphs:
            self._queue(bucket)
            return
        if bucket not in self._graphs:
            # TensorRT finishes its setup in the first launch, which must not be recorded.
            self._queue(bucket)
            self._stream.synchronize()
            self._graphs[bucket] = capture(self._stream.handle, lambda: self._queue(bucket))
        self._graphs[bucket].launch(self._stream.handle)

    def wait(self) -> None:
        """Wait until the embeddings of the last `submit` are there."""
        self._stream.synchronize()

    def drain(self) -> None:
        """Wait, whatever became of it."""
        with contextlib.suppress(Exception):  # the error that led here is the one to show
            self._stream.synchronize()

    def close(self) -> None:
        """Free all; called with the context current."""
        if hasattr(self, "_stream"):
            self.drain()
        for graph in self._graphs.values():
            graph.free()
        self._graphs.clear()
        self._context = None
        self.__dict__.pop("pictures", None)  # views of memory that goes now
        self.__dict__.pop("embeddings", None)
        while self._made:
            self._made.pop().free()

    def _keep(self, thing: Any) -> Any:
        self._made.append(thing)
        return thing

    def _bucket(self, count: int) -> int:
        """The batch size whose recorded launch serves `count` pictures: the next power of two."""
        return int(min(1 << (count - 1).bit_length(), max(high for _, high in self._ranges)))

    def _select(self, count: int) -> None:
        """Bring the context to a batch size, with the profile that was optimised for it."""
        if count == self._batch:
            return
        profile = next(
            index for index, (low, high) in enumerate(self._ranges) if low <= count <= high
        )
        context = self._context
        accepted = True
        if profile != self._profile:
            accepted = context.set_optimization_profile_async(profile, self._stream.handle)
            self._profile = profile if accepted else -1
        accepted = accepted and context.set_input_shape(INPUT, (count, *self.pictures.shape[1:]))
        self._batch = count if accepted else 0
        if not accepted:
            raise BackendError(
                f"TensorRT refuses a batch of {count} ({self._log.reason()}); build the engine "
                "again on this device"
            )

    def _queue(self, count: int) -> None:
        self._input.upload(count * self._picture, self._stream)
        if not self._context.execute_async_v3(self._stream.handle):
            raise BackendError(f"TensorRT failed ({self._log.reason()}); make a new ReId")
        self._output.download(count * self._row, self._stream)


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
