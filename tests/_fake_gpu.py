"""A GPU made of Python: memory with addresses, and streams whose work waits until it is awaited.

Because copies happen only when a stream is synchronised, code that forgets to wait, or that writes
into a buffer which is still to be copied, gets wrong numbers here.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager

import numpy as np

from reid_edge.backends._cuda import GpuInfo
from reid_edge.errors import BackendError, GpuMemoryError

ORIN = GpuInfo("Orin", (8, 7), 16, 15 << 30)


class FakeGpu:
    """See `reid_edge.backends._cuda.Gpu`.  `log` records what was done, in order."""

    def __init__(self, info=ORIN, memory=1 << 40):
        self.info, self.free_bytes = info, memory
        self.log, self.live, self.streams = [], set(), {}
        self.memory = {}  # address -> bytes
        self.broken = None  # an error that the next synchronisation raises
        self._local = threading.local()

    @property
    def depth(self):
        return getattr(self._local, "depth", 0)

    @contextmanager
    def current(self):
        self._local.depth = self.depth + 1
        try:
            yield
        finally:
            self._local.depth -= 1

    def check(self):
        assert self.depth > 0, "CUDA was called while no context was current"

    def make(self, thing, *what):
        self.check()
        self.live.add(id(thing))  # not the thing, which is to die
        self.log.append(("make", *what))

    def drop(self, thing, *what):
        self.check()
        self.live.remove(id(thing))  # KeyError: freed twice
        self.log.append(("free", *what))

    def stream(self):
        return FakeStream(self)

    def buffer(self, size):
        return FakeBuffer(self, size)


class FakeStream:
    def __init__(self, gpu):
        self.gpu, self.handle, self.queue = gpu, 0x100 + len(gpu.streams), []
        gpu.streams[self.handle] = self
        gpu.make(self, "stream")

    def event(self):
        return FakeEvent(self)

    def synchronize(self):
        self.gpu.check()
        self.gpu.log.append(("wait", self.handle))
        broken, self.gpu.broken = self.gpu.broken, None
        if broken is not None:
            self.queue.clear()
            raise broken
        while self.queue:
            self.queue.pop(0)()

    def free(self):
        assert not self.queue, "a stream was freed with work in it"
        self.gpu.drop(self, "stream")


class FakeEvent:
    def __init__(self, stream):
        self.stream, self.place = stream, None
        stream.gpu.make(self, "event")

    def record(self):
        self.place = len(self.stream.gpu.log)

    def since(self, earlier):
        assert not self.stream.queue, "the event was not reached yet"
        return float(self.place - earlier.place)

    def free(self):
        self.stream.gpu.drop(self, "event")


class FakeBuffer:
    def __init__(self, gpu, size):
        if size > gpu.free_bytes:
            raise GpuMemoryError("the GPU is out of memory")
        gpu.free_bytes -= size
        self.gpu, self.host = gpu, np.zeros(size, np.uint8)
        self.address = 0x7000_0000 + 0x1000_0000 * len(gpu.memory)
        self.device = gpu.memory[self.address] = np.zeros(size, np.uint8)
        gpu.make(self, "buffer")

    def upload(self, size, stream):
        self._copy("upload", self.device, self.host, size, stream)

    def download(self, size, stream):
        self._copy("download", self.host, self.device, size, stream)

    def _copy(self, what, to, source, size, stream):
        self.gpu.check()
        if size > len(source):
            raise BackendError("a copy beyond the buffer's end")
        self.gpu.log.append((what, stream.handle, size))

        def copy():
            to[:size] = source[:size]

        stream.queue.append(copy)

    def free(self):
        self.gpu.free_bytes += len(self.host)
        self.gpu.drop(self, "buffer")
        self.device[:] = self.host[:] = 0xEE
