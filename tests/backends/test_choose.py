"""Which backend, device and graph serve a request; no engine runs here but where it must."""

from __future__ import annotations

import dataclasses
import importlib.machinery
import sys
import warnings

import pytest

from reid_edge import ReId, backends, bundle, errors
from reid_edge.backends import _choose, _cuda, _processor


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
    def pretend(driver, package=True, tensorrt=False, fast_int8=True):
        monkeypatch.setattr(_cuda, "driver_present", lambda: driver)
        monkeypatch.setattr(_choose, "_onnxruntime_has_cuda", lambda: package)
        monkeypatch.setattr(_choose, "_has_tensorrt", lambda: tensorrt)
        monkeypatch.setattr(_processor, "has_fast_int8", lambda: fast_int8)

    return pretend


@pytest.mark.parametrize(
    ("driver", "package", "backend", "device", "expected"),
    [
        (False, True, "auto", None, ("openvino", "cpu")),
        (True, False, "auto", None, ("openvino", "cpu")),
        (True, True, "auto", None, ("onnxruntime", "cuda")),
        (True, True, "auto", "cpu", ("openvino", "cpu")),
        (True, True, "auto", "cuda:1", ("onnxruntime", "cuda:1")),
        (False, True, "auto", "cuda", ("onnxruntime", "cuda")),
        (True, True, "openvino", None, ("openvino", "cpu")),
        (True, True, "openvino", "cpu", ("openvino", "cpu")),
        (True, True, "onnxruntime", None, ("onnxruntime", "cuda")),
        (False, True, "onnxruntime", None, ("onnxruntime", "cpu")),
        (True, True, "onnxruntime", "cpu", ("onnxruntime", "cpu")),
        (True, False, "onnxruntime", None, ("onnxruntime", "cpu")),
    ],
)
def test_the_best_that_is_there_is_taken(
    tiny_bundle, started, cuda, driver, package, backend, device, expected
):
    cuda(driver, package)
    found = backends.choose(tiny_bundle, backend, "auto", device)
    assert (found.name, found.device) == expected
    assert started == [(expected[0], "fp32", expected[1])]


@pytest.mark.parametrize(
    ("driver", "backend", "device", "expected"),
    [
        (True, "auto", None, ("tensorrt", "cuda")),
        (True, "auto", "cuda:1", ("tensorrt", "cuda:1")),
        (True, "auto", "cpu", ("openvino", "cpu")),
        (False, "auto", None, ("openvino", "cpu")),
        (True, "onnxruntime", None, ("onnxruntime", "cuda")),
        (False, "tensorrt", None, ("tensorrt", "cuda")),
        (True, "tensorrt_rtx", "cuda:0", ("tensorrt_rtx", "cuda:0")),
    ],
)
def test_tensorrt_comes_first_where_it_is_installed(
    tiny_bundle, started, cuda, driver, backend, device, expected
):
    cuda(driver, tensorrt=True)
    found = backends.choose(tiny_bundle, backend, "auto", device)
    assert (found.name, found.device) == expected


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt_rtx"])
def test_tensorrt_on_the_cpu_is_refused(tiny_bundle, backend):
    with pytest.raises(errors.UnknownDeviceError, match="use backend='openvino' on the CPU"):
        backends.choose(tiny_bundle, backend, device="cpu")


def test_auto_falls_back_with_exactly_one_warning_that_says_how_to_silence_it(
    tiny_bundle, started, cuda
):
    cuda(True)
    started.broken = (("onnxruntime", "cuda"), ("openvino", "cpu"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = backends.choose(tiny_bundle)
    assert (found.name, found.device) == ("onnxruntime", "cpu")
    (warning,) = caught
    assert warning.category is RuntimeWarning
    message = str(warning.message)
    assert "onnxruntime on cuda: onnxruntime is broken; openvino on cpu: openvino is" in message
    assert "to silence this, ask for backend='onnxruntime'" in message


def test_where_nothing_failed_nothing_is_said(tiny_bundle, started, cuda):
    cuda(True)
    backends.choose(tiny_bundle)  # warnings are errors here
    assert len(started) == 1


def test_where_all_fail_the_last_error_comes_out(tiny_bundle, started, cuda):
    cuda(False)
    started.broken = (("onnxruntime", "cpu"), ("openvino", "cpu"))
    with pytest.raises(errors.BackendError, match="onnxruntime is broken"):
        backends.choose(tiny_bundle)


@pytest.mark.parametrize(
    ("backend", "device", "failing"),
    [
        ("openvino", None, ("openvino", "cpu")),
        ("onnxruntime", None, ("onnxruntime", "cuda")),
        ("auto", "cuda", ("onnxruntime", "cuda")),
    ],
)
def test_what_was_asked_for_by_name_never_falls_back(
    tiny_bundle, started, cuda, backend, device, failing
):
    cuda(True)
    started.broken = (failing,)
    with pytest.raises(errors.BackendError):
        backends.choose(tiny_bundle, backend, "auto", device)
    assert len(started) == 1


def test_a_damaged_bundle_is_not_tried_on_the_next_backend(tiny_bundle, started, monkeypatch, cuda):
    cuda(False)
    tried = []

    def damaged(name, found, graph, device, engine):
        tried.append(name)
        raise errors.BundleIntegrityError("damaged")

    monkeypatch.setattr(_choose, "_start", damaged)
    with pytest.raises(errors.BundleIntegrityError):
        backends.choose(tiny_bundle)
    assert tried == ["openvino"]


@pytest.mark.parametrize("backend", ["tpu", "", "OpenVINO", None, 5])
def test_an_unknown_backend_lists_the_known_ones(tiny_bundle, backend):
    with pytest.raises(errors.UnknownBackendError, match="openvino, onnxruntime, tensorrt"):
        backends.choose(tiny_bundle, backend)


@pytest.mark.parametrize("precision", ["int4", "", "FP32", None])
def test_an_unknown_precision_lists_the_known_ones(tiny_bundle, precision):
    with pytest.raises(errors.UnknownPrecisionError, match="give auto, fp32, fp16, int8"):
        backends.choose(tiny_bundle, precision=precision)


@pytest.mark.parametrize("device", ["gpu", "", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:²", 0])
def test_an_unknown_device_lists_the_known_ones(tiny_bundle, device):
    for backend in ("auto", *backends.NAMES):
        with pytest.raises(errors.UnknownDeviceError, match="give cpu, cuda or cuda:N"):
            backends.choose(tiny_bundle, backend, device=device)


def test_openvino_on_a_gpu_names_the_backend_to_use(tiny_bundle):
    with pytest.raises(errors.UnknownDeviceError, match="'tensorrt' or 'onnxruntime' for a CUDA"):
        backends.choose(tiny_bundle, "openvino", device="cuda")


def with_graphs(found, default, **gates):
    graphs = dict.fromkeys(("fp32", "fp16", "int8", "int8_fp16"), found.graphs["fp32"])
    return dataclasses.replace(found, graphs=graphs, default_precision=default, gates=gates)


def test_fp16_on_a_cpu_is_refused_with_the_reason(tiny_bundle, started, cuda):
    cuda(False)
    with pytest.raises(errors.PrecisionUnavailableError, match=r"CPUs would .*precision='fp32'"):
        backends.choose(with_graphs(tiny_bundle, "fp32"), precision="fp16")
    assert started == []


PASSED = {"fp16": True, "int8": True, "int8_fp16": True}


@pytest.mark.parametrize(
    ("backend", "device", "precision", "graph"),
    [
        ("openvino", "cpu", "fp32", "fp32"),
        ("openvino", "cpu", "int8", "int8"),
        ("onnxruntime", "cpu", "int8", "int8"),
        ("onnxruntime", "cuda", "fp16", "fp16"),
        ("tensorrt", "cuda", "fp32", "fp32"),
        ("tensorrt", "cuda", "fp16", "fp16"),
        ("tensorrt", "cuda", "int8", "int8_fp16"),
        ("tensorrt_rtx", "cuda", "int8", "int8_fp16"),
        ("openvino", "cpu", "auto", "int8"),
        ("onnxruntime", "cpu", "auto", "fp32"),
        ("onnxruntime", "cuda", "auto", "fp16"),
        ("tensorrt", "cuda", "auto", "fp16"),
    ],
)
def test_each_place_takes_the_graph_that_suits_it(
    tiny_bundle, started, cuda, backend, device, precision, graph
):
    cuda(True)
    backends.choose(with_graphs(tiny_bundle, "auto", **PASSED), backend, precision, device)
    assert started == [(backend, graph, device)]


@pytest.mark.parametrize(
    ("gates", "fast_int8", "expected"),
    [
        ({"int8": True}, True, "int8"),
        ({"int8": True}, False, "fp32"),
        ({"int8": False}, True, "fp32"),
        ({"int8_fp16": True}, True, "fp32"),
        ({}, True, "fp32"),
    ],
)
def test_auto_takes_only_what_passed_its_gate_and_what_the_processor_has(
    tiny_bundle, started, cuda, gates, fast_int8, expected
):
    cuda(False, fast_int8=fast_int8)
    backends.choose(with_graphs(tiny_bundle, "auto", **gates))
    assert started == [("openvino", expected, "cpu")]


def test_auto_follows_the_bundles_default(tiny_bundle, started, cuda):
    cuda(False)
    backends.choose(with_graphs(tiny_bundle, "fp32", **PASSED))
    assert started == [("openvino", "fp32", "cpu")]


@pytest.mark.parametrize(
    ("gates", "state"), [({"int8": False}, "failed"), ({}, "has not been put to")]
)
def test_what_did_not_pass_its_gate_runs_only_on_request(tiny_bundle, started, cuda, gates, state):
    cuda(False)
    found = with_graphs(tiny_bundle, "auto", **gates)
    with pytest.raises(errors.PrecisionUnavailableError, match=f"{state} the accuracy gate"):
        backends.choose(found, precision="int8")
    assert started == []
    backends.choose(found, precision="int8", allow_unverified=True)
    assert started == [("openvino", "int8", "cpu")]


def test_int8_on_a_cpu_without_vnni_is_refused_with_the_reason(tiny_bundle, started, cuda):
    cuda(False, fast_int8=False)
    found = with_graphs(tiny_bundle, "auto", **PASSED)
    with pytest.raises(errors.PrecisionUnavailableError, match="VNNI or AMX"):
        backends.choose(found, precision="int8")
    backends.choose(found, precision="int8", allow_unverified=True)
    assert started == [("openvino", "int8", "cpu")]


def test_int8_through_onnx_runtime_on_a_gpu_is_refused_with_the_reason(tiny_bundle, started, cuda):
    cuda(True)
    found = with_graphs(tiny_bundle, "auto", **PASSED)
    with pytest.raises(errors.PrecisionUnavailableError, match="use backend='tensorrt'"):
        backends.choose(found, "onnxruntime", "int8", "cuda")


def test_places_that_do_not_offer_the_precision_are_passed_over_in_silence(
    tiny_bundle, started, cuda
):
    cuda(True)
    backends.choose(with_graphs(tiny_bundle, "auto", **PASSED), precision="int8")
    assert started == [("openvino", "int8", "cpu")]


def test_where_a_gpu_fails_and_the_cpu_does_not_offer_it_the_gpus_error_comes_out(
    tiny_bundle, started, cuda
):
    cuda(True)
    started.broken = (("onnxruntime", "cuda"),)
    with pytest.raises(errors.BackendError, match="onnxruntime is broken"):
        backends.choose(with_graphs(tiny_bundle, "auto", **PASSED), precision="fp16")


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


@pytest.mark.parametrize(("flag", "found"), [("amx_bf16", True), ("avx512_vnni", False)])
def test_the_processor_is_asked_for_bf16(tmp_path, flag, found):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"flags\t\t: fpu {flag}\n")
    assert _processor.has_bf16.__wrapped__(cpuinfo) is found


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("openvino", "pip install openvino"),
        ("onnxruntime", r"pip install 'reid-edge\[cuda\]'"),
    ],
)
def test_a_missing_package_names_what_to_install(tiny_folder, monkeypatch, name, advice):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(errors.MissingDependencyError, match=advice):
        ReId(tiny_folder, backend=name, device="cpu")


def test_without_openvino_auto_runs_with_onnx_runtime_and_points_at_the_caller(
    tiny_folder, monkeypatch, cuda
):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    cuda(False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.warns(RuntimeWarning, match="openvino on cpu: .*pip install openvino") as caught:
        model = ReId(tiny_folder)
    assert model.info()["backend"] == "onnxruntime"
    assert [warning.filename for warning in caught] == [__file__]
    model.close()


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


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_driver_is_not_asked_where_the_device_is_named(
    tiny_bundle, started, cuda, monkeypatch, device
):
    monkeypatch.setattr(_cuda, "driver_present", lambda: pytest.fail("asked"))
    backends.choose(tiny_bundle, "auto", "auto", device)
