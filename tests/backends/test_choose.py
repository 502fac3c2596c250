"""Which backend and device serve a request; no engine runs here but where it must."""

from __future__ import annotations

import sys
import warnings

import pytest

from reid_edge import ReId, backends, errors
from reid_edge.backends import _choose, _cuda


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


@pytest.mark.parametrize("device", ["gpu", "", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:²", 0])
def test_an_unknown_device_lists_the_known_ones(tiny_bundle, device):
    for backend in ("auto", *backends.NAMES):
        with pytest.raises(errors.UnknownDeviceError, match="give cpu, cuda or cuda:N"):
            backends.choose(tiny_bundle, backend, device=device)


def test_openvino_on_a_gpu_names_the_backend_to_use(tiny_bundle):
    with pytest.raises(errors.UnknownDeviceError, match="='tensorrt' or backend='onnx"):
        backends.choose(tiny_bundle, "openvino", device="cuda")


@pytest.mark.parametrize(
    ("name", "device", "advice"),
    [
        ("openvino", "cpu", "pip install openvino$"),
        ("onnxruntime", "cpu", "pip install onnxruntime$"),
        ("onnxruntime", "cuda", r"'reid-edge\[cuda\]' \(from a checkout: .* '\.\[cuda\]'\)$"),
    ],
)
def test_a_missing_package_names_what_to_install(
    tiny_folder, monkeypatch, cuda, name, device, advice
):
    cuda(True)
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(errors.MissingDependencyError, match=advice):
        ReId(tiny_folder, backend=name, device=device)


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


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_driver_is_not_asked_where_the_device_is_named(
    tiny_bundle, started, cuda, monkeypatch, device
):
    monkeypatch.setattr(_cuda, "driver_present", lambda: pytest.fail("asked"))
    backends.choose(tiny_bundle, "auto", "auto", device)
