"""`python -m export --engine`: from a weight file to engines in one command."""

from __future__ import annotations

import importlib.util
import json

import _fake_gpu
import _fake_tensorrt
import crop_files
import edge_files
import pytest

from export import __main__ as command
from reid_edge.backends import _cuda, _engine
from reid_edge.errors import MissingDependencyError

has_rtx = importlib.util.find_spec("tensorrt_rtx") is not None
needs_rtx = pytest.mark.skipif(
    not has_rtx, reason="TensorRT-RTX is not installed: pip install '.[test-rtx]'"
)


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    return crop_files.write(tmp_path_factory.mktemp("pictures") / "crops", people=2, pictures=1)


def sidecars(folder):
    return sorted((json.loads(path.read_text()) for path in folder.glob("*.json")), key=str)


@needs_rtx
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_converted_densenet_121_goes_the_whole_way_with_the_real_builder(
    keras_file, crops, tmp_path
):
    """FP32, FP16 and INT8 in FP16, both profiles, for SM86, without a GPU."""
    arguments = ["--weights", str(keras_file), "--out", str(tmp_path / "model")]
    arguments += ["--precision", "fp32", "fp16", "int8"]
    arguments += ["--calibration", str(crops), "--calibration-size", "4"]
    arguments += ["--engine", "tensorrt-rtx", "--target", "sm86", "--allow-unverified"]
    assert command.main([*arguments, "--engine-dir", str(tmp_path / "engines")]) == 0
    found = sidecars(tmp_path / "engines")
    assert {sidecar["graph"] for sidecar in found} == {"fp32", "fp16", "int8_fp16"}
    for sidecar in found:
        assert sidecar["strongly_typed"] is True
        assert sidecar["profiles"] == [[1, 2, 8], [8, 32, 32]]
    assert len(list((tmp_path / "engines").glob("*.plan"))) == 3


def test_engines_are_built_of_what_was_exported(tmp_path, monkeypatch, capsys):
    gpu = _fake_gpu.FakeGpu()
    trt = _fake_tensorrt.make(gpu=gpu)
    monkeypatch.setattr(_cuda, "driver_present", lambda: True)
    monkeypatch.setattr(_cuda, "open_gpu", lambda index=0: gpu)
    monkeypatch.setattr(_engine, "load", lambda *_, **__: trt)
    weights = tmp_path / "edge.safetensors"
    edge_files.save(weights)
    arguments = ["--weights", str(weights), "--out", str(tmp_path / "model"), "--max-batch", "4"]
    arguments += ["--engine", "tensorrt", "--engine-dir", str(tmp_path / "engines")]
    assert command.main(arguments) == 0
    (sidecar,) = sidecars(tmp_path / "engines")
    assert (sidecar["engine"], sidecar["graph"]) == ("tensorrt", "fp32")
    assert sidecar["profiles"] == [[1, 2, 4]]
    out = capsys.readouterr().out
    assert f"built: {tmp_path / 'engines'}" in out
    assert f"REID_EDGE_CACHE={tmp_path / 'engines'} python -m reid_edge predict --model" in out
    assert "--backend tensorrt --precision fp32 --max-batch 4" in out


def test_a_graph_that_reid_would_refuse_gets_no_engine(tmp_path, monkeypatch, capsys):
    gpu = _fake_gpu.FakeGpu()
    monkeypatch.setattr(_cuda, "driver_present", lambda: True)
    monkeypatch.setattr(_cuda, "open_gpu", lambda index=0: gpu)
    monkeypatch.setattr(_engine, "load", lambda *_, **__: _fake_tensorrt.make(gpu=gpu))
    weights = tmp_path / "edge.safetensors"
    edge_files.save(weights)
    arguments = ["--weights", str(weights), "--out", str(tmp_path / "model")]
    arguments += ["--precision", "fp16", "--engine", "tensorrt"]
    arguments += ["--engine-dir", str(tmp_path / "engines")]
    assert command.main(arguments) == 0
    assert "no engine: the fp16 graph" in capsys.readouterr().err
    assert not (tmp_path / "engines").exists()
    assert command.main([*arguments, "--force", "--allow-unverified"]) == 0
    assert [sidecar["graph"] for sidecar in sidecars(tmp_path / "engines")] == ["fp16"]


@pytest.mark.parametrize("engine", ["tensorrt", "tensorrt-rtx"])
def test_an_engine_that_cannot_be_built_is_an_error_before_the_work(
    engine, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(_cuda, "driver_present", lambda: False)
    weights = tmp_path / "edge.safetensors"
    edge_files.save(weights)
    arguments = ["--weights", str(weights), "--out", str(tmp_path / "model")]
    assert command.main([*arguments, "--engine", engine]) == 1
    assert "no NVIDIA driver" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_a_missing_tensorrt_is_an_error_before_the_work(tmp_path, monkeypatch, capsys):
    def missing(name, ahead=False):
        raise MissingDependencyError(f"{name} is not installed")

    monkeypatch.setattr(_engine, "load", missing)
    weights = tmp_path / "edge.safetensors"
    edge_files.save(weights)
    arguments = ["--weights", str(weights), "--out", str(tmp_path / "model")]
    assert command.main([*arguments, "--engine", "tensorrt-rtx", "--target", "sm86"]) == 1
    assert "tensorrt_rtx is not installed" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_an_unknown_engine_is_wrong_usage(tmp_path, capsys):
    arguments = ["--weights", "x", "--out", str(tmp_path), "--engine", "onnx"]
    assert command.main(arguments) == 2
    assert "invalid choice" in capsys.readouterr().err
