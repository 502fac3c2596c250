"""Engines built beforehand, as a function and as a command."""

from __future__ import annotations

import json
import types

import _fake_gpu
import _fake_tensorrt
import _tiny
import pytest

from reid_edge import ReId, cli, errors
from reid_edge.backends import _cuda, _engine
from reid_edge.building import build, read_target


@pytest.fixture
def folder(tmp_path):
    return _tiny.write_all_graphs(tmp_path / "model", fp16=True, int8_fp16=True)


def test_what_was_built_beforehand_is_what_reid_loads(trt, folder, tmp_path, capsys):
    engine = build(folder, out=tmp_path / "engines")
    assert engine.path.is_file()
    assert (engine.graph, engine.is_new) == ("fp16", True)
    capsys.readouterr()
    ReId(folder, "tensorrt", engine_dir=tmp_path / "engines").close()
    assert capsys.readouterr().err == ""
    assert len(trt.world.builds) == 1


def test_an_engine_that_is_there_is_not_built_again(trt, folder, tmp_path):
    first = build(folder, precision="int8", out=tmp_path)
    again = build(folder, precision="int8", out=tmp_path)
    assert (again.path, again.is_new) == (first.path, False)
    assert again.graph == "int8_fp16"
    assert len(trt.world.builds) == 1


@pytest.mark.parametrize(
    ("wrong", "kind", "match"),
    [
        ({"backend": "openvino"}, errors.UnknownBackendError, "give tensorrt or tensorrt_rtx"),
        ({"device": "cpu"}, errors.UnknownDeviceError, "give cuda or cuda:N"),
        ({"target": "sm86"}, errors.OptionError, "builds for the GPU that is there"),
        (
            {"backend": "tensorrt_rtx", "target": "rtx3090"},
            errors.OptionError,
            "such as sm86",
        ),
        ({"max_batch": 0}, errors.OptionError, "max_batch"),
        ({"precision": "fp8"}, errors.UnknownPrecisionError, "give auto, fp32"),
        ({"model": "nobody"}, errors.UnknownModelError, "nobody"),
    ],
)
def test_wrong_options_are_refused_before_any_work(trt, folder, tmp_path, wrong, kind, match):
    with pytest.raises(kind, match=match):
        build(**{"model": folder, "out": tmp_path / "engines", **wrong})
    assert not (tmp_path / "engines").exists()


@pytest.mark.parametrize("start", [build, ReId])
def test_tensorrt_rtx_may_be_spelled_as_its_package_is(start, folder, monkeypatch):
    asked = []

    def load(module, **_):
        asked.append(module)
        raise errors.MissingDependencyError("not here")

    monkeypatch.setattr(_engine, "load", load)
    monkeypatch.setattr(_cuda, "driver_present", lambda: True)
    monkeypatch.setattr(_cuda, "open_gpu", lambda index=0: _fake_gpu.FakeGpu())
    with pytest.raises(errors.MissingDependencyError):
        start(folder, "tensorrt-rtx")
    assert asked == ["tensorrt_rtx"]


@pytest.mark.parametrize("text", ["sm86", "sm_86", "86", "8.6"])
def test_targets_are_read_as_people_write_them(text):
    assert read_target(text, "tensorrt_rtx") == (8, 6)


def test_ahead_of_time_no_gpu_is_asked_for(folder, tmp_path, monkeypatch):
    module = _fake_tensorrt.make("11.4.0.106", name="tensorrt_rtx")
    module.ComputeCapability = types.SimpleNamespace(SM86="sm86")
    config = type(module.Builder(None).create_builder_config())
    monkeypatch.setattr(config, "set_compute_capability", lambda *_: None, raising=False)
    monkeypatch.setattr(_engine, "load", lambda *_, **__: module)
    monkeypatch.setattr(_cuda, "open_gpu", lambda index=0: pytest.fail("asked"))
    engine = build(folder, "tensorrt_rtx", target="sm86", out=tmp_path)
    sidecar = json.loads(engine.path.with_suffix(".json").read_text())
    assert sidecar["gpu"] == {"compute_capability": [8, 6]}


def test_the_command_says_where_the_engine_is(trt, folder, tmp_path, capsys):
    arguments = ["build", "--model", str(folder), "--out", str(tmp_path / "e")]
    assert cli.main([*arguments, "--max-batch", "4"]) == 0
    out, err = capsys.readouterr()
    (plan,) = (tmp_path / "e").glob("*.plan")
    assert out == f"built: {plan}\n"
    assert "can take minutes: first use" in err
    assert cli.main([*arguments, "--max-batch", "4", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"engine": str(plan), "graph": "fp16", "built": False}
    assert err == ""


def test_the_command_without_a_gpu_ends_in_one_line(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(_cuda, "driver_present", lambda: False)
    assert cli.main(["build", "--model", str(folder), "--out", str(tmp_path / "e")]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: no NVIDIA driver with a GPU was found: engines are built on")
    assert len(err.splitlines()) == 1


def test_the_command_with_a_full_disk_fails(trt, folder, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert cli.main(["build", "--model", str(folder), "--out", str(tmp_path / "e")]) == 1
    assert "No space left on device" in capsys.readouterr().err
