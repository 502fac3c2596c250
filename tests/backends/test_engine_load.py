"""What TensorRT needs and is not there, or too old: driver, packages, release."""

from __future__ import annotations

import sys
import types

import _fake_tensorrt
import pytest
from tensorrt_double import start

from reid_edge import errors
from reid_edge.backends import _cuda, _engine


def test_without_a_driver_tensorrt_is_never_touched(full_bundle, engine_dir, monkeypatch):
    monkeypatch.setattr(_cuda, "driver_present", lambda: False)
    monkeypatch.setattr(_engine, "load", lambda name: pytest.fail("TensorRT was loaded"))
    with pytest.raises(errors.DriverError, match="no NVIDIA driver"):
        start(full_bundle, engine_dir)


@pytest.mark.parametrize("module", _engine.MODULES)
def test_without_the_package_the_extra_is_named(module, gpu, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(errors.MissingDependencyError, match="pip install"):
        _engine.load(module)


def test_a_driver_older_than_the_packages_cuda_is_named_before_it_is_loaded(gpu, monkeypatch):
    monkeypatch.setattr(_cuda, "driver_version", lambda: (12, 4))
    monkeypatch.setattr(_engine, "_cuda_major", lambda module: 13)
    monkeypatch.setitem(sys.modules, "tensorrt", _fake_tensorrt.make())
    with pytest.raises(errors.DriverError, match=r"serves CUDA 12.4, but .* built for CUDA 13"):
        _engine.load("tensorrt")
    monkeypatch.setattr(_engine, "_cuda_major", lambda module: 12)
    assert _engine.load("tensorrt").__name__ == "tensorrt"


def test_a_tensorrt_that_is_too_old_is_named(gpu, monkeypatch):
    old = types.ModuleType("tensorrt")
    old.__version__ = "8.6.2"  # of JetPack 6.0
    monkeypatch.setitem(sys.modules, "tensorrt", old)
    with pytest.raises(errors.BackendError, match=r"8.6.2 is too old: install 10.3 .*JetPack 6.1"):
        _engine.load("tensorrt")


def test_an_empty_package_in_its_place_counts_as_missing(gpu, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", types.ModuleType("tensorrt"))
    with pytest.raises(errors.MissingDependencyError, match="needs NVIDIA's tensorrt"):
        _engine.load("tensorrt")


def test_without_filelock_the_extra_is_named(trt, full_bundle, engine_dir, monkeypatch):
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(errors.MissingDependencyError, match="needs filelock"):
        start(full_bundle, engine_dir)
