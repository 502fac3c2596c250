"""The few CUDA calls of the TensorRT backend: pycuda, or cuda-bindings where that is absent.

The primary context of a device is shared with torch and every other library in the process.  It is
pushed for a piece of work and popped afterwards, so any thread may do the work, and nobody else's
current context is lost.  All that is made here is made, used and freed inside `Gpu.current()`.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .._extras import install
from ..errors import BackendError, DriverError, MissingDependencyError, UnknownDeviceError


@dataclass(frozen=True)
class GpuInfo:
    """What tells one GPU model from another; memory is in bytes."""

    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    memory: int


class Event(Protocol):
    """A point in a stream's work."""

    def record(self) -> None:
        """Mark the present end of the stream's work."""

    def since(self, earlier: Any) -> float:
        """Milliseconds since an earlier event; both must have been reached."""

    def free(self) -> None:
        """Destroy it."""


class Stream(Protocol):
    """A queue of work on the GPU."""

    @property
    def handle(self) -> int:
        """The CUstream, as TensorRT takes it."""

    def event(self) -> Event:
        """A new event of this stream."""

    def synchronize(self) -> None:
        """Wait until all its work is done."""

    def free(self) -> None:
        """Destroy it."""


class Buffer(Protocol):
    """Equally long page-locked memory on the host and memory on the device."""

    @property
    def host(self) -> NDArray[np.uint8]:
        """The page-locked bytes: uint8 (size,)."""

    @property
    def address(self) -> int:
        """Where the device's bytes begin."""

    def upload(self, size: int, stream: Stream) -> None:
        """Queue the copy of the first `size` bytes to the device."""

    def download(self, size: int, stream: Stream) -> None:
        """Queue the copy of the first `size` bytes from the device."""

    def free(self) -> None:
        """Give both back."""


class Gpu(Protocol):
    """One GPU's primary context."""

    @property
    def info(self) -> GpuInfo:
        """Which GPU it is."""

    def current(self) -> AbstractContextManager[None]:
        """Make the context current for this thread.

        Raises:
            GpuMemoryError, BackendError: when left by an error of CUDA.
        """

    def stream(self) -> Stream:
        """A new stream."""

    def buffer(self, size: int) -> Buffer:
        """A new pair of buffers of `size` bytes."""


@functools.cache
def driver_present() -> bool:
    """Whether libcuda loads, initialises and counts at least one GPU.

    Asked of the driver itself: TensorRT crashes the process where there is none.
    """
    try:
        driver = _driver()
        count = ctypes.c_int()
        started: bool = driver.cuInit(0) == 0
        return started and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False


def check_driver() -> None:
    """Refuse to go on without a GPU.

    Raises:
        DriverError: there is no driver or no GPU; it says how to run on the CPU.
    """
    if not driver_present():
        raise DriverError(
            "no NVIDIA driver with a GPU was found; install the driver (in a container: start it "
            "with --gpus all or --runtime nvidia), or run on the CPU with backend='openvino' and "
            "device='cpu'"
        )


def driver_version() -> tuple[int, int]:
    """The newest CUDA version that the driver serves, such as (13, 0)."""
    version = ctypes.c_int()
    _driver().cuDriverGetVersion(ctypes.byref(version))
    return version.value // 1000, version.value % 1000 // 10


_opened: dict[int, Gpu] = {}
_opening = threading.Lock()


def open_gpu(index: int = 0) -> Gpu:
    """The primary context of a GPU; it stays retained until the process ends.

    Raises:
        DriverError: there is no driver or no GPU.
        UnknownDeviceError: there are fewer GPUs.
        MissingDependencyError: neither pycuda nor cuda-bindings is installed.
    """
    check_driver()
    with _opening:  # one context object a device: pycuda tells contexts apart by identity
        if index not in _opened:
            _opened[index] = _open(index)
        return _opened[index]


def _driver() -> ctypes.CDLL:
    return ctypes.CDLL("libcuda.so.1")


def _open(index: int) -> Gpu:
    count = ctypes.c_int()
    _driver().cuDeviceGetCount(ctypes.byref(count))
    if index >= count.value:
        raise UnknownDeviceError(
            f"no device 'cuda:{index}': this machine has {count.value}, counted from cuda:0"
        )
    try:
        if _installed("pycuda"):
            from ._pycuda import PycudaGpu

            return PycudaGpu(index)
        if _installed("cuda.bindings"):
            from ._cuda_bindings import BindingsGpu

            return BindingsGpu(index)
    except ImportError as error:
        raise BackendError(
            f"the CUDA package that is installed cannot be loaded ({error}); install pycuda again "
            "with the CUDA toolkit of this machine, or uninstall it and take cuda-bindings"
        ) from error
    raise MissingDependencyError(
        f"the TensorRT backend needs pycuda: {install('tensorrt')}, on a Jetson the extra jetson; "
        "without a CUDA toolkit to compile it, pip install cuda-bindings"
    )


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # of the parent package
        return False
