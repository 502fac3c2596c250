from __future__ import annotations

import pytest

from reid_edge import bundle, cli, errors
from reid_edge.backends import _cuda
from reid_edge.backends.onnxruntime import OnnxRuntimeBackend

onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


def pretend_cuda(monkeypatch, session):
    """Let ONNX Runtime claim that it was built with CUDA; `session` stands for its sessions."""
    monkeypatch.setattr(_cuda, "driver_present", lambda: True)
    monkeypatch.setattr(
        onnxruntime,
        "get_available_providers",
        lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"],
    )
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)


@pytest.mark.parametrize("device", ["cpu:0", "cuda:x", "tpu", ""])
def test_a_device_that_does_not_exist_lists_those_that_do(tiny_folder, device):
    with pytest.raises(errors.UnknownDeviceError, match="cpu, cuda or cuda:N"):
        OnnxRuntimeBackend(bundle.load(tiny_folder), "fp32", device)


def without_cuda(monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])


def test_a_build_without_cuda_names_the_extra(tiny_folder, monkeypatch):
    monkeypatch.setattr(_cuda, "driver_present", lambda: True)
    without_cuda(monkeypatch)
    with pytest.raises(errors.MissingDependencyError, match=r"pip install '\.\[cuda\]'.*'cpu'"):
        OnnxRuntimeBackend(bundle.load(tiny_folder), "fp32", "cuda")


@pytest.mark.parametrize("backend", ["auto", "onnxruntime"])
def test_without_a_driver_no_package_is_advised_but_the_cpu(
    tiny_folder, monkeypatch, capsys, backend
):
    monkeypatch.setattr(_cuda, "driver_present", lambda: False)
    without_cuda(monkeypatch)
    asked = ["info", "--model", str(tiny_folder), "--backend", backend]
    assert cli.main([*asked, "--device", "cuda"]) == 1
    told = capsys.readouterr().err
    assert "no NVIDIA driver" in told
    assert "or run on the CPU with --backend openvino and --device cpu" in told
    assert "pip" not in told
    # What it advises works, whatever was asked for before.
    assert cli.main([*asked[:-2], "--backend", "openvino", "--device", "cpu"]) == 0


def test_cuda_that_silently_did_not_start_is_an_error(tiny_folder, monkeypatch):
    real = onnxruntime.InferenceSession

    def on_the_cpu(content, options, providers, **more):
        return real(content, options, providers=["CPUExecutionProvider"], **more)

    pretend_cuda(monkeypatch, on_the_cpu)
    with pytest.raises(errors.BackendError, match=r"could not start CUDA.*or use device='cpu'"):
        OnnxRuntimeBackend(bundle.load(tiny_folder), "fp32", "cuda")


def test_cuda_that_fails_to_start_is_no_fault_of_the_bundle(tiny_folder, monkeypatch):
    def fails(content, options, providers, **more):
        assert not more["enable_fallback"]
        raise RuntimeError("CUDA failure 101: invalid device ordinal")

    pretend_cuda(monkeypatch, fails)
    with pytest.raises(errors.BackendError, match=r"cuda:7 .*invalid device ordinal.*device='cpu'"):
        OnnxRuntimeBackend(bundle.load(tiny_folder), "fp32", "cuda:7")


def test_cuda_gets_its_number_and_no_shortened_floats(tiny_folder, monkeypatch):
    seen = []

    def watched(content, options, providers, **more):
        seen.extend(providers)
        raise RuntimeError

    pretend_cuda(monkeypatch, watched)
    with pytest.raises(errors.BackendError):
        OnnxRuntimeBackend(bundle.load(tiny_folder), "fp32", "cuda:7")
    assert seen[0] == ("CUDAExecutionProvider", {"device_id": "7", "use_tf32": "0"})
