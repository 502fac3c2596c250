"""pycuda and cuda-bindings themselves, over a driver of our own (fake_cuda.c)."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reid_edge import errors
from reid_edge.backends import _cuda, _cuda_graph

HERE = Path(__file__).parent
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fake driver is for Linux")


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler for the fake driver")
    folder = tmp_path_factory.mktemp("driver")
    stubs = folder / "stubs.h"
    source = HERE / "fake_cuda.c"
    there = set(re.findall(r"^int (cu\w+)\(", source.read_text(), re.M))
    stubs.write_text("".join(f"STUB({name})\n" for name in sorted(_linked_names() - there)))
    library = folder / "libcuda.so.1"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-w", f'-DUNUSED="{stubs}"', "-o", library, source, "-ldl"],
        check=True,
    )
    return library


def _linked_names():
    """The driver functions that pycuda's extension, where it is installed, links to."""
    spec = importlib.util.find_spec("pycuda")
    if spec is None or spec.origin is None:
        return set()
    (extension,) = Path(spec.origin).parent.glob("_driver*.so")
    return {
        name.decode()
        for name in re.findall(rb"\bcu[A-Z][A-Za-z0-9]*(?:_v\d)?\b", extension.read_bytes())
    }


def _installed(package):
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("package", ["pycuda", "cuda.bindings"])
def test_an_adapter_keeps_its_promises_over_a_strict_driver(driver, package):
    if not _installed(package):
        pytest.skip(f"{package} is not installed")
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(driver.parent),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, HERE / "adapter_check.py", driver, package],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "all checks passed"
    assert done.stderr == ""


def test_without_a_driver_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setattr(_cuda, "driver_present", lambda: False)
    with pytest.raises(errors.DriverError, match=r"install the driver .*backend='openvino'"):
        _cuda.open_gpu()


@pytest.fixture
def one_gpu(monkeypatch):
    class Driver:
        def cuDeviceGetCount(self, pointer):  # noqa: N802
            pointer._obj.value = 1
            return 0

    monkeypatch.setattr(_cuda, "driver_present", lambda: True)
    monkeypatch.setattr(_cuda, "_driver", Driver)
    monkeypatch.setattr(_cuda, "_opened", {})


def test_without_either_package_the_extras_are_named(one_gpu, monkeypatch):
    monkeypatch.setattr(_cuda, "_installed", lambda package: False)
    with pytest.raises(
        errors.MissingDependencyError, match=r"tensorrt\].*extra jetson.*cuda-bindings"
    ):
        _cuda.open_gpu()


def test_a_package_that_cannot_be_loaded_is_named(one_gpu, monkeypatch):
    monkeypatch.setattr(_cuda, "_installed", lambda package: package == "pycuda")
    monkeypatch.setitem(sys.modules, "reid_edge.backends._pycuda", None)
    with pytest.raises(errors.BackendError, match="install pycuda again"):
        _cuda.open_gpu()


def test_a_gpu_that_is_not_there_is_named(one_gpu):
    with pytest.raises(errors.UnknownDeviceError, match=r"'cuda:3': this machine has 1"):
        _cuda.open_gpu(3)


def test_cuda_graphs_without_cuda_bindings_name_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda", None)
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    with pytest.raises(errors.MissingDependencyError, match="pip install cuda-bindings"):
        _cuda_graph.require()
