"""CUDA through pycuda."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import pycuda.driver as cuda
from numpy.typing import NDArray

from ..errors import BackendError, GpuMemoryError
from ._cuda import Event, GpuInfo, Stream


class PycudaGpu:
    """See `Gpu`.

    The context stays retained until exit: pycuda's detach leaves a primary context on the
    thread's stack, and does nothing at all in another thread than the one that retained it.
    """

    def __init__(self, index: int) -> None:
        try:
            cuda.init()
            device = cuda.Device(index)
            self.info = GpuInfo(
                device.name(),
                device.compute_capability(),
                device.get_attribute(cuda.device_attribute.MULTIPROCESSOR_COUNT),
                device.total_memory(),
            )
            self._context = device.retain_primary_context()
            # pycuda's own destructor would try to detach it as if it were no primary context, and
            # complain.  Finalizers run in reverse order: engines, which are younger, go first.
            weakref.finalize(self, _release, self._context)
        except cuda.Error as error:
            raise BackendError(f"CUDA cannot start on GPU {index} ({error})") from error

    @contextmanager
    def current(self) -> Iterator[None]:
        """See `Gpu.current`."""
        try:
            self._context.push()
        except cuda.Error as error:
            raise BackendError(f"CUDA failed ({error}); start the program again") from error
        try:
            yield
        except cuda.MemoryError as error:
            raise GpuMemoryError(_FULL.format(error)) from error
        except cuda.Error as error:
            raise BackendError(f"CUDA failed ({error}); make a new ReId") from error
        finally:
            cuda.Context.pop()

    def stream(self) -> PycudaStream:
        """See `Gpu.stream`."""
        return PycudaStream()

    def buffer(self, size: int) -> PycudaBuffer:
        """See `Gpu.buffer`."""
        return PycudaBuffer(size)


def _release(context: Any) -> None:
    with suppress(cuda.Error):
        context.push()
        context.detach()


_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING, for which pycuda has no name
_FULL = (
    "the GPU is out of memory ({}); close other programs, or use a smaller max_batch or a "
    "smaller model"
)


class PycudaEvent:
    """See `Event`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.event = cuda.Event()

    def record(self) -> None:
        """See `Event.record`."""
        self.event.record(self._stream)

    def since(self, earlier: PycudaEvent) -> float:
        """See `Event.since`."""
        milliseconds: float = self.event.time_since(earlier.event)
        return milliseconds

    def free(self) -> None:
        """See `Event.free`."""
        # pycuda frees in destructors, which need the context that is current now.
        del self.event, self._stream


class PycudaStream:
    """See `Stream`."""

    def __init__(self) -> None:
        # The legacy default stream, which others may use, would wait for a plain stream.
        self.stream = cuda.Stream(_NON_BLOCKING)
        self.handle: int = self.stream.handle

    def event(self) -> Event:
        """See `Stream.event`."""
        return PycudaEvent(self.stream)

    def synchronize(self) -> None:
        """See `Stream.synchronize`."""
        self.stream.synchronize()

    def free(self) -> None:
        """See `Stream.free`."""
        del self.stream


class PycudaBuffer:
    """See `Buffer`."""

    def __init__(self, size: int) -> None:
        self._device = cuda.mem_alloc(size)
        self.host: NDArray[np.uint8] = cuda.pagelocked_empty(size, np.uint8)
        self._pinned: Any = self.host.base
        self.address = int(self._device)

    def upload(self, size: int, stream: Stream) -> None:
        """See `Buffer.upload`."""
        assert isinstance(stream, PycudaStream)
        cuda.memcpy_htod_async(self._device, self.host[:size], stream.stream)

    def download(self, size: int, stream: Stream) -> None:
        """See `Buffer.download`."""
        assert isinstance(stream, PycudaStream)
        cuda.memcpy_dtoh_async(self.host[:size], self._device, stream.stream)

    def free(self) -> None:
        """See `Buffer.free`."""
        self._device.free()
        self._pinned.free()
