"""One worker of a TensorRT engine: its stream, its memory, its execution contexts."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..engines import INPUT, OUTPUT
from ..errors import BackendError
from . import _cuda_graph
from ._cuda import Gpu


class Worker:
    """One stream, one pair of buffers a direction, one execution context; made and used in turn.

    With CUDA graphs, each batch size has a context of its own, which never changes afterwards: a
    recorded launch must find its context as it was (TensorRT's guide to CUDA graphs).

    Args:
        gpu: its context must be current here and in every call.
        engine: the ICudaEngine.
        log: the module's logger, for reasons.
        ranges: batch sizes, low and high, of each optimisation profile.
        pictures: shape of the largest batch: (n, height, width, 3).
        size: of an embedding.
        cuda_graphs: record launches and replay them.
    """

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
        self._engine = engine
        del engine  # else the traceback of an error would keep it alive beyond `close`
        self._picture = int(np.prod(pictures[1:]))
        self._row = 4 * size
        self._contexts: dict[int, _Context] = {}
        self._graphs: dict[int, _cuda_graph.CudaGraph] = {}
        self._made: list[Any] = []  # what must be freed, in the order in which it was made
        try:
            self._stream = self._keep(gpu.stream())
            self._input = self._keep(gpu.buffer(pictures[0] * self._picture))
            self._output = self._keep(gpu.buffer(pictures[0] * self._row))
            self._context(pictures[0] if cuda_graphs else 0)
        except BaseException:
            self.close()
            raise
        self.pictures: NDArray[np.uint8] = self._input.host.reshape(pictures)
        self.embeddings: NDArray[np.float32] = self._output.host.view(np.float32).reshape(
            pictures[0], size
        )

    def submit(self, count: int) -> None:
        """Queue copy, computation and copy back of the first `count` pictures."""
        if not self._cuda_graphs:
            self._select(self._context(0), count)
            self._queue(self._context(0), count)
            return
        bucket = min(1 << (count - 1).bit_length(), len(self.pictures))
        if bucket not in self._graphs:
            context = self._context(bucket)
            self._select(context, bucket)
            # TensorRT finishes its setup in the first launch, which must not be recorded.
            self._queue(context, bucket)
            self._stream.synchronize()
            self._graphs[bucket] = _cuda_graph.capture(
                self._stream.handle, lambda: self._queue(context, bucket)
            )
        self._graphs[bucket].launch(self._stream.handle)

    def wait(self) -> None:
        """Wait until the embeddings of the last `submit` are there."""
        self._stream.synchronize()

    def stages(self, count: int) -> dict[str, float]:
        """Milliseconds of one batch's copy in, computation and copy back."""
        if not 1 <= count <= len(self.pictures):
            raise BackendError(f"a batch of {count}: this engine takes 1 to {len(self.pictures)}")
        context = self._context(count if self._cuda_graphs else 0)
        self._select(context, count)
        events = []
        try:
            for step in (None, self._upload, self._compute, self._download):
                if step is not None:
                    step(context, count)
                events.append(self._stream.event())
                events[-1].record()
            self._stream.synchronize()
            return {
                name: events[index + 1].since(events[index])
                for index, name in enumerate(("h2d", "compute", "d2h"))
            }
        finally:
            self.drain()
            for event in events:
                event.free()

    def drain(self) -> None:
        """Wait, whatever became of it."""
        with contextlib.suppress(Exception):  # the error that led here is the one to show
            self._stream.synchronize()

    def close(self) -> None:
        """Free all."""
        if hasattr(self, "_stream"):
            self.drain()
        for graph in self._graphs.values():
            graph.free()
        self._graphs.clear()
        self._contexts.clear()
        self._engine = None
        self.__dict__.pop("pictures", None)  # views of memory that goes now
        self.__dict__.pop("embeddings", None)
        while self._made:
            self._made.pop().free()

    def _keep(self, thing: Any) -> Any:
        self._made.append(thing)
        return thing

    def _context(self, key: int) -> _Context:
        """The context for a batch size with a recorded launch, or 0 for the one for all sizes."""
        if key not in self._contexts:
            context = self._engine.create_execution_context()
            if context is None:
                raise BackendError(
                    f"TensorRT cannot make an execution context ({self._log.reason()}); the GPU "
                    "may be out of memory: close other programs, or use a smaller max_batch"
                )
            context.set_tensor_address(INPUT, self._input.address)
            context.set_tensor_address(OUTPUT, self._output.address)
            self._contexts[key] = _Context(context)
        return self._contexts[key]

    def _select(self, held: _Context, count: int) -> None:
        """Bring a context to a batch size, with the profile that was optimised for it."""
        if count == held.batch:
            return
        held.batch = 0
        profile = next(
            index for index, (low, high) in enumerate(self._ranges) if low <= count <= high
        )
        context = held.context
        accepted = True
        if profile != held.profile:
            accepted = context.set_optimization_profile_async(profile, self._stream.handle)
            held.profile = profile if accepted else -1
        if accepted and context.set_input_shape(INPUT, (count, *self.pictures.shape[1:])):
            held.batch = count
            return
        raise BackendError(
            f"TensorRT refuses a batch of {count} ({self._log.reason()}); build the engine "
            "again on this device"
        )

    def _queue(self, held: _Context, count: int) -> None:
        self._upload(held, count)
        self._compute(held, count)
        self._download(held, count)

    def _upload(self, held: _Context, count: int) -> None:
        self._input.upload(count * self._picture, self._stream)

    def _compute(self, held: _Context, count: int) -> None:
        if not held.context.execute_async_v3(self._stream.handle):
            raise BackendError(f"TensorRT failed ({self._log.reason()}); make a new ReId")

    def _download(self, held: _Context, count: int) -> None:
        self._output.download(count * self._row, self._stream)


class _Context:
    """An execution context, and the profile and batch size that it is set to."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.profile, self.batch = -1, 0
