"""What is there: the processor's instructions, a driver with a GPU, ONNX Runtime's GPU build."""

from __future__ import annotations

import importlib.machinery

import pytest

from reid_edge.backends import _choose, _cuda, _processor


@pytest.mark.parametrize(
    ("line", "fast"),
    [
        ("flags\t\t: fpu avx2 avx512_vnni", True),
        ("flags\t\t: fpu avx_vnni", True),
        ("flags\t\t: fpu amx_int8", True),
        ("flags\t\t: fpu avx2 avx512f", False),
        ("Features\t: fp asimd i8mm", False),
        ("", False),
    ],
)
def test_the_processor_is_asked_for_vnni_and_amx(tmp_path, line, fast):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"model name: x\n{line}\n")
    assert _processor.has_fast_int8.__wrapped__(cpuinfo) is fast
    assert _processor.has_fast_int8.__wrapped__(tmp_path / "none") is False


@pytest.mark.parametrize(
    ("line", "found"),
    [("flags\t\t: fpu avx avx2", True), ("flags: sse4_1 avx", False), ("Features: asimd", False)],
)
def test_the_processor_is_asked_for_avx2(tmp_path, line, found):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"{line}\n")
    assert _processor.has_avx2.__wrapped__(cpuinfo) is found


@pytest.mark.parametrize(("flag", "found"), [("amx_int8", True), ("amx_bf16 avx512_vnni", False)])
def test_the_processor_is_asked_for_amx(tmp_path, flag, found):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags\t\t: fpu {flag}\n")
    assert _processor.has_amx_int8.__wrapped__(cpuinfo) is found


@pytest.mark.parametrize(("flag", "found"), [("amx_bf16", True), ("avx512_vnni", False)])
def test_the_processor_is_asked_for_bf16(tmp_path, flag, found):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags\t\t: fpu {flag}\n")
    assert _processor.has_bf16.__wrapped__(cpuinfo) is found


def test_the_driver_is_asked_without_an_exception_where_there_is_none(monkeypatch):
    def absent(name):
        raise OSError(name)

    monkeypatch.setattr(_cuda.ctypes, "CDLL", absent)
    assert _cuda.driver_present.__wrapped__() is False


@pytest.mark.parametrize(
    ("started", "gpus", "present"), [(0, 1, True), (0, 0, False), (100, 1, False)]
)
def test_a_driver_counts_only_with_a_gpu(monkeypatch, started, gpus, present):
    class Driver:
        def cuInit(self, flags):  # noqa: N802
            return started

        def cuDeviceGetCount(self, pointer):  # noqa: N802
            pointer._obj.value = gpus
            return 0

    monkeypatch.setattr(_cuda.ctypes, "CDLL", lambda name: Driver())
    assert _cuda.driver_present.__wrapped__() is present


@pytest.mark.parametrize("gpu_build", [True, False])
def test_a_gpu_build_of_onnx_runtime_is_told_by_its_files(tmp_path, monkeypatch, gpu_build):
    (tmp_path / "capi").mkdir()
    if gpu_build:
        (tmp_path / "capi" / "libonnxruntime_providers_cuda.so").touch()
    spec = importlib.machinery.ModuleSpec("onnxruntime", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(_choose.importlib.util, "find_spec", lambda name: spec)
    assert _choose._onnxruntime_has_cuda() is gpu_build


def test_without_the_package_there_is_no_gpu_build(monkeypatch):
    monkeypatch.setattr(_choose.importlib.util, "find_spec", lambda name: None)
    assert not _choose._onnxruntime_has_cuda()
