"""Run in a process of its own: one adapter over the fake driver.  argv: driver, package."""

from __future__ import annotations

import ctypes
import sys
import threading

import numpy as np
import pytest

fake = ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL)

from reid_edge import errors
from reid_edge.backends import _cuda


def count(what):
    return fake.fake_count(what.encode())


_cuda._installed = lambda package: package == sys.argv[2]
assert _cuda.driver_present()
assert _cuda.driver_version() == (12, 6)
gpu = _cuda.open_gpu()
assert type(gpu).__module__.endswith(
    {"pycuda": "_pycuda", "cuda.bindings": "_cuda_bindings"}[sys.argv[2]]
)
assert gpu is _cuda.open_gpu()
assert gpu.info == _cuda.GpuInfo("Fake GPU", (8, 7), 14, 8 << 30), gpu.info
with pytest.raises(errors.UnknownDeviceError, match="this machine has 1"):
    _cuda.open_gpu(1)


def work():
    with gpu.current():
        assert count("depth") == 1
        with gpu.current():  # nests
            assert count("depth") >= 1
        stream, there, back = gpu.stream(), gpu.buffer(1000), gpu.buffer(1000)
        assert stream.handle
        there.host[:] = np.arange(1000) % 251
        there.upload(600, stream)
        stream.synchronize()
        there.host[:] = 0
        there.download(600, stream)
        assert not there.host.any(), "the copy must wait for its turn"
        stream.synchronize()
        assert (there.host[:600] == np.arange(600) % 251).all()
        assert not there.host[600:].any()
        ctypes.memmove(back.address, there.address, 600)
        first, second = stream.event(), stream.event()
        first.record()
        second.record()
        assert second.since(first) == 1.5
        made = [count(what) for what in ("streams", "device", "host", "events")]
        assert made == [1, 2, 2, 2], made
        for thing in (first, second, there, back, stream):
            thing.free()
    assert count("depth") == 0
    left = [count(what) for what in ("streams", "device", "host", "events")]
    assert left == [0, 0, 0, 0], left


def in_thread(task):
    failures = []

    def run():
        try:
            task()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


work()
in_thread(work)  # pycuda refuses what is not current in the thread
work()

# A GPU without room.
fake.fake_room(ctypes.c_size_t(100))
with pytest.raises(errors.GpuMemoryError, match="out of memory"), gpu.current():
    gpu.buffer(1000)
assert count("depth") == 0
assert count("device") == count("host") == 0
fake.fake_room(ctypes.c_size_t(1 << 30))

# Beside another library whose context is current: it is so again afterwards.
other = ctypes.c_void_p(0x1234)
fake.cuCtxPushCurrent_v2(other)
with gpu.current():
    gpu.stream().free()
current = ctypes.c_void_p()
fake.cuCtxGetCurrent(ctypes.byref(current))
assert current.value == other.value
fake.cuCtxPopCurrent_v2(None)

# An error inside leaves nothing pushed.
with pytest.raises(KeyError), gpu.current():
    raise KeyError
assert count("depth") == 0
assert count("retained") == 1
assert count("blocking streams") == 0
print("all checks passed")
