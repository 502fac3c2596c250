"""CUDA through NVIDIA's cuda-bindings, for machines without pycuda."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from cuda.bindings import driver as cuda
from numpy.typing import NDArray

from ..errors import BackendError, GpuMemoryError
from ._cuda import Event, GpuInfo, Stream

_OUT_OF_MEMORY = cuda.CUresult.CUDA_ERROR_OUT_OF_MEMORY


class BindingsGpu:
    """See `Gpu`."""

    def __init__(self, index: int) -> None:
        call(cuda.cuInit(0))
        device = call(cuda.cuDeviceGet(index))
        attribute = cuda.CUdevice_attribute

        def get(name: Any) -> int:
            return int(call(cuda.cuDeviceGetAttribute(name, device)))

        self.info = GpuInfo(
            call(cuda.cuDeviceGetName(256, device)).split(b"\0")[0].decode(errors="replace"),
            (
                get(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
                get(attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR),
            ),
            get(attribute.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
            int(call(cuda.cuDeviceTotalMem(device))),
        )
        self._context = call(cuda.cuDevicePrimaryCtxRetain(device))

    @contextmanager
    def current(self) -> Iterator[None]:
        """See `Gpu.current`."""
        call(cuda.cuCtxPushCurrent(self._context))
        try:
            yield
        finally:
            cuda.cuCtxPopCurrent()

    def stream(self) -> BindingsStream:
        """See `Gpu.stream`."""
        return BindingsStream()

    def buffer(self, size: int) -> BindingsBuffer:
        """See `Gpu.buffer`."""
        return BindingsBuffer(size)


class BindingsEvent:
    """See `Event`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.event = call(cuda.cuEventCreate(0))

    def record(self) -> None:
        """See `Event.record`."""
        call(cuda.cuEventRecord(self.event, self._stream))

    def since(self, earlier: BindingsEvent) -> float:
        """See `Event.since`."""
        return float(call(cuda.cuEventElapsedTime(earlier.event, self.event)))

    def free(self) -> None:
        """See `Event.free`."""
        call(cuda.cuEventDestroy(self.event))


class BindingsStream:
    """See `Stream`."""

    def __init__(self) -> None:
        # The legacy default stream, which others may use, would wait for a plain stream.
        self._stream = call(cuda.cuStreamCreate(cuda.CUstream_flags.CU_STREAM_NON_BLOCKING.value))
        self.handle = int(self._stream)

    def event(self) -> Event:
        """See `Stream.event`."""
        return BindingsEvent(self._stream)

    def synchronize(self) -> None:
        """See `Stream.synchronize`."""
        call(cuda.cuStreamSynchronize(self._stream))

    def free(self) -> None:
        """See `Stream.free`."""
        call(cuda.cuStreamDestroy(self._stream))


class BindingsBuffer:
    """See `Buffer`."""

    def __init__(self, size: int) -> None:
        self._device = call(cuda.cuMemAlloc(size))
        try:
            self._pinned = int(call(cuda.cuMemAllocHost(size)))
        except BackendError:
            cuda.cuMemFree(self._device)
            raise
        memory = (ctypes.c_uint8 * size).from_address(self._pinned)
        self.host: NDArray[np.uint8] = np.ctypeslib.as_array(memory)
        self.address = int(self._device)

    def upload(self, size: int, stream: Stream) -> None:
        """See `Buffer.upload`."""
        call(cuda.cuMemcpyHtoDAsync(self._device, self._pinned, size, stream.handle))

    def download(self, size: int, stream: Stream) -> None:
        """See `Buffer.download`."""
        call(cuda.cuMemcpyDtoHAsync(self._pinned, self._device, size, stream.handle))

    def free(self) -> None:
        """See `Buffer.free`."""
        call(cuda.cuMemFree(self._device))
        call(cuda.cuMemFreeHost(self._pinned))


def call(answer: tuple[Any, ...]) -> Any:
    """The value of a driver call's answer.

    Raises:
        GpuMemoryError, BackendError: the call failed.
    """
    status, *values = answer
    if status == cuda.CUresult.CUDA_SUCCESS:
        return values[0] if values else None
    if status == _OUT_OF_MEMORY:
        raise GpuMemoryError(
            "the GPU is out of memory; close other programs, or use a smaller max_batch or a "
            "smaller model"
        )
    raise BackendError(f"CUDA failed ({status.name}); make a new ReId")
