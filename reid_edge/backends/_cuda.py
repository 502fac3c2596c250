"""Is there a CUDA driver with a GPU?  Asked of the driver itself, before any engine is loaded."""

from __future__ import annotations

import ctypes
import functools


@functools.cache
def driver_present() -> bool:
    """Whether libcuda loads, initialises and counts at least one GPU."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        count = ctypes.c_int()
        started: bool = driver.cuInit(0) == 0
        return started and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False
