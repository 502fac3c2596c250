"""Bundles, where engines go, TensorRT over a double, and choosing without starting."""

from __future__ import annotations

import _tiny
import pytest
from tensorrt_double import make

from reid_edge import bundle, errors
from reid_edge.backends import _choose, _cuda, _processor


@pytest.fixture
def full_folder(tmp_path):
    return _tiny.write_all_graphs(tmp_path / "full", fp16=True, int8=True, int8_fp16=True)


@pytest.fixture
def full_bundle(full_folder):
    return bundle.load(full_folder)


@pytest.fixture
def engine_dir(tmp_path):
    return tmp_path / "engines"


@pytest.fixture
def trt_backend(trt, full_bundle):
    """A TensorRT backend over the double, with an empty log."""
    made = make(trt, full_bundle)
    trt.world.log.clear()
    yield made
    made.close()


@pytest.fixture
def tiny_bundle(tiny_folder):
    return bundle.load(tiny_folder)


@pytest.fixture
def started(monkeypatch):
    """Record what would be started; names in `broken` fail."""

    class Started(list):
        broken = ()

        def start(self, name, found, graph, device, engine):
            self.append((name, graph, device))
            if (name, device) in self.broken:
                raise errors.BackendError(f"{name} is broken")

            class Fake:
                pass

            fake = Fake()
            fake.name, fake.device = name, device
            return fake

    record = Started()
    monkeypatch.setattr(_choose, "_start", record.start)
    return record


@pytest.fixture
def cuda(monkeypatch):
    """Pretend that a driver and packages are there, or not, and what the CPU has for INT8."""

    def pretend(driver, package=True, tensorrt=False, cpu=("avx2", "vnni", "amx")):
        monkeypatch.setattr(_cuda, "driver_present", lambda: driver)
        monkeypatch.setattr(_choose, "_onnxruntime_has_cuda", lambda: package)
        monkeypatch.setattr(_choose, "_has_tensorrt", lambda: tensorrt)
        assert {"avx2", "vnni", "amx"}.issuperset(cpu)
        monkeypatch.setattr(_processor, "has_avx2", lambda: "avx2" in cpu)
        monkeypatch.setattr(_processor, "has_fast_int8", lambda: "vnni" in cpu or "amx" in cpu)
        monkeypatch.setattr(_processor, "has_amx_int8", lambda: "amx" in cpu)

    return pretend
