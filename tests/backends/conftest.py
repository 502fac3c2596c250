"""A GPU, a TensorRT and a bundle with all four graphs, none of them real."""

from __future__ import annotations

import _fake_gpu
import _fake_tensorrt
import _tiny
import pytest

from reid_edge import bundle
from reid_edge.backends import _cuda, _engine


@pytest.fixture
def full_folder(tmp_path):
    return _tiny.write_all_graphs(tmp_path / "full", fp16=True, int8=True, int8_fp16=True)


@pytest.fixture
def full_bundle(full_folder):
    return bundle.load(full_folder)


@pytest.fixture
def gpu(monkeypatch):
    found = _fake_gpu.FakeGpu()
    monkeypatch.setattr(_cuda, "driver_present", lambda: True)
    monkeypatch.setattr(_cuda, "driver_version", lambda: (13, 0))
    monkeypatch.setattr(_cuda, "open_gpu", lambda index=0: found)
    return found


@pytest.fixture
def trt(gpu, monkeypatch):
    module = _fake_tensorrt.make(gpu=gpu)
    monkeypatch.setattr(_engine, "load", lambda *_, **__: module)
    return module
