"""From a bundle to a running TensorRT backend: built once, kept, verified, built again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import types

import _fake_tensorrt
import _tiny
import numpy as np
import pytest
from tensorrt_double import start

from reid_edge import ReId, bundle, engine_cache, errors
from reid_edge.backends import _engine
from reid_edge.engine_options import BuildOptions, EngineOptions


def reason(capsys):
    """The one line that is shown."""
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("reid_edge: building the tensorrt 10.13")
    return line.partition("minutes: ")[2]


def test_an_engine_is_built_on_first_use_and_loaded_afterwards(
    trt, full_bundle, engine_dir, capsys
):
    start(full_bundle, engine_dir).close()
    assert reason(capsys) == "first use"
    start(full_bundle, engine_dir).close()
    assert capsys.readouterr().err == ""
    assert len(trt.world.builds) == 1


def test_a_reid_scores_through_it(trt, full_folder, engine_dir):
    with ReId(full_folder, "tensorrt", engine_dir=engine_dir, max_batch=16) as reid:
        info = reid.info()
        pictures = [_tiny.picture(seed) for seed in range(20)]
        scores = reid.predict(pictures, pictures)
        assert (info["backend"], info["precision"]) == ("tensorrt", "fp16")
        assert info["device"].startswith("Orin (tensorrt 10.13")
    assert scores.shape == (20,)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-3)), atol=1e-6)  # scale 6, bias -3


def test_int8_takes_the_graph_with_fp16_around_it(trt, full_folder, engine_dir):
    with ReId(full_folder, "tensorrt", "int8", engine_dir=engine_dir) as reid:
        assert reid.info()["precision"] == "int8_fp16"


def test_a_second_graph_starts_from_the_first_ones_timing_cache(trt, full_bundle, engine_dir):
    start(full_bundle, engine_dir, "fp16").close()
    start(full_bundle, engine_dir, "fp32").close()
    assert [build["timing_cache"] for build in trt.world.builds] == [b"", b"timings 1"]


def test_another_tensorrt_builds_again_and_says_why(
    trt, full_bundle, engine_dir, capsys, monkeypatch, gpu
):
    start(full_bundle, engine_dir).close()
    capsys.readouterr()
    newer = _fake_tensorrt.make("11.0.0.114", gpu)
    monkeypatch.setattr(_engine, "load", lambda name: newer)
    start(full_bundle, engine_dir).close()
    line = capsys.readouterr().err
    assert "differs: version 10.13.3.9.po there, 11.0.0.114 here" in line


def test_another_gpu_builds_again_and_says_why(trt, full_bundle, engine_dir, capsys, gpu):
    start(full_bundle, engine_dir).close()
    capsys.readouterr()
    gpu.info = dataclasses.replace(gpu.info, memory=7 << 30)  # an Orin NX, by the same name
    start(full_bundle, engine_dir).close()
    assert '"memory_gib": 15' in reason(capsys)
    assert len(trt.world.builds) == 2


def test_a_damaged_plan_is_built_again_and_says_why(trt, full_bundle, engine_dir, capsys):
    start(full_bundle, engine_dir).close()
    capsys.readouterr()
    (plan,) = engine_dir.glob("*.plan")
    plan.write_bytes(plan.read_bytes()[:-1])
    start(full_bundle, engine_dir).close()
    assert reason(capsys) == "the plan differs from its recorded SHA-256"
    start(full_bundle, engine_dir).close()
    assert len(trt.world.builds) == 2


def test_a_plan_that_tensorrt_does_not_load_is_built_again_once(
    trt, full_bundle, engine_dir, capsys
):
    """For example after an update of the driver, which no key can hold."""
    start(full_bundle, engine_dir).close()
    capsys.readouterr()
    (plan,) = engine_dir.glob("*.plan")
    sidecar = json.loads(plan.with_suffix(".json").read_text())
    plan.write_bytes(b"{}x")
    sidecar["plan_sha256"] = hashlib.sha256(b"{}x").hexdigest()
    plan.with_suffix(".json").write_text(json.dumps(sidecar))
    start(full_bundle, engine_dir).close()
    assert "does not load this engine" in reason(capsys)
    assert len(trt.world.builds) == 2


def test_an_unsafe_folder_is_refused_before_anything_is_built(trt, full_bundle, engine_dir):
    engine_dir.mkdir()
    engine_dir.chmod(0o777)
    with pytest.raises(errors.EngineCacheError, match="chmod go-w"):
        start(full_bundle, engine_dir)
    assert trt.world.builds == []


def test_with_auto_an_unsafe_folder_costs_a_warning_and_the_gpu(
    trt, full_folder, engine_dir, monkeypatch
):
    from reid_edge.backends import _choose

    monkeypatch.setattr(_choose, "_has_tensorrt", lambda: True)
    monkeypatch.setattr(_choose, "_onnxruntime_has_cuda", lambda: False)
    engine_dir.mkdir()
    engine_dir.chmod(0o777)
    with (
        pytest.warns(
            RuntimeWarning,
            match=r"runs with openvino .* because tensorrt on cuda: engines are native",
        ),
        ReId(full_folder, engine_dir=engine_dir) as reid,
    ):
        assert reid.info()["backend"] == "openvino"


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write anywhere")
def test_a_read_only_folder_serves_what_is_in_it(trt, full_bundle, engine_dir):
    start(full_bundle, engine_dir).close()
    engine_dir.chmod(0o555)
    start(full_bundle, engine_dir).close()
    with pytest.raises(errors.EngineCacheError, match="build them beforehand"):
        start(full_bundle, engine_dir, "fp32")


def test_a_weakly_typed_engine_is_used_with_a_warning(full_bundle, engine_dir, gpu, monkeypatch):
    old = _fake_tensorrt.make("10.3.0", gpu)
    old.world.weak_only = True
    monkeypatch.setattr(_engine, "load", lambda name: old)
    for _ in range(2):  # built, and loaded
        with pytest.warns(RuntimeWarning, match="strongly typed"):
            backend = start(full_bundle, engine_dir)
        assert backend.precision == "fp16, weakly typed"
        backend.close()
    assert len(old.world.builds) == 1
    (sidecar,) = engine_dir.glob("*.json")
    assert json.loads(sidecar.read_text())["strongly_typed"] is False


def test_a_damaged_graph_is_not_built(trt, full_folder, engine_dir):
    (full_folder / "fp16.onnx").write_bytes(b"x")
    with pytest.raises(errors.BundleIntegrityError):
        start(bundle.load(full_folder), engine_dir)
    assert trt.world.builds == []


def test_wanted_holds_what_engines_depend_on(trt, full_bundle, gpu):
    wanted = _engine.describe(trt, full_bundle, "fp16", gpu.info, BuildOptions(max_batch=16))
    assert wanted == engine_cache.Wanted(
        engine="tensorrt",
        version=trt.__version__,
        model="tiny",
        graph="fp16",
        graph_sha256=full_bundle.graphs["fp16"].sha256,
        gpu={"name": "Orin", "compute_capability": [8, 7], "multiprocessors": 16, "memory_gib": 15},
        profiles=[[p.low, p.best, p.high] for p in BuildOptions(max_batch=16).profiles()],
        options={"workspace": 1 << 30, "level": 3},
    )


# --- TensorRT-RTX --------------------------------------------------------------------------------


@pytest.fixture
def rtx(gpu, monkeypatch):
    """RTX: the names of a late release, and targets."""
    module = _fake_tensorrt.make("11.4.0.106", gpu, "tensorrt_rtx")
    module.ComputeCapability = types.SimpleNamespace(SM86="sm86", SM87="sm87")

    def aim(self, capability, index):
        module.world.aimed = (self.num_compute_capabilities, capability, index)

    monkeypatch.setattr(
        type(module.Builder(None).create_builder_config()),
        "set_compute_capability",
        aim,
        raising=False,
    )
    monkeypatch.setattr(_engine, "load", lambda *_, **__: module)
    return module


def test_rtx_plans_belong_to_a_compute_capability(rtx, full_bundle, engine_dir, gpu):
    options = EngineOptions(engine_dir)
    _engine.start("tensorrt_rtx", full_bundle, "fp16", "cuda", options).close()
    assert rtx.world.aimed == (1, "sm87", 0)
    gpu.info = dataclasses.replace(gpu.info, name="another", multiprocessors=8)
    backend = _engine.start("tensorrt_rtx", full_bundle, "fp16", "cuda", options)
    assert backend.name == "tensorrt_rtx"
    backend.close()
    assert len(rtx.world.builds) == 1


def test_an_rtx_plan_built_ahead_of_time_serves_the_gpu_later(rtx, full_bundle, engine_dir):
    ahead = BuildOptions(target=(8, 7))
    _engine.built(rtx, full_bundle, "fp16", None, engine_dir, ahead, engine_cache.Found(None))
    _engine.start("tensorrt_rtx", full_bundle, "fp16", "cuda", EngineOptions(engine_dir)).close()
    assert len(rtx.world.builds) == 1


def test_a_gpu_newer_than_all_targets_is_left_to_rtx(rtx, full_bundle, engine_dir, gpu):
    gpu.info = dataclasses.replace(gpu.info, compute_capability=(13, 0))
    _engine.start("tensorrt_rtx", full_bundle, "fp16", "cuda", EngineOptions(engine_dir)).close()
    assert not hasattr(rtx.world, "aimed")


@pytest.mark.parametrize(("capability", "aimed"), [((9, 0), None), ((12, 0), "sm120")])
def test_targets_are_read_off_the_names_that_rtx_has(
    rtx, full_bundle, engine_dir, gpu, capability, aimed
):
    """Those of 1.7.1; an H200 (9.0) was refused by it when it loaded the engine."""
    names = ("SM75", "SM80", "SM86", "SM89", "SM120", "SM121")
    rtx.ComputeCapability = types.SimpleNamespace(
        CURRENT="current", **{name: name.lower() for name in names}
    )
    gpu.info = dataclasses.replace(gpu.info, compute_capability=capability)
    options = EngineOptions(engine_dir)
    if aimed is None:
        with pytest.raises(errors.UnservedGpuError, match=r"8\.9, 12\.0, 12\.1 and later"):
            _engine.start("tensorrt_rtx", full_bundle, "fp16", "cuda", options)
    else:
        _engine.start("tensorrt_rtx", full_bundle, "fp16", "cuda", options).close()
        assert rtx.world.aimed == (1, aimed, 0)


@pytest.mark.parametrize("target", [None, (8, 6)])
@pytest.mark.parametrize("capability", [(7, 0), (8, 0)])
def test_a_gpu_that_rtx_left_out_is_refused_before_anything_is_built(
    rtx, full_bundle, engine_dir, gpu, capability, target
):
    """With a target, too: an H200 loaded no engine, whatever it was built for."""
    gpu.info = dataclasses.replace(gpu.info, compute_capability=capability)
    options = EngineOptions(engine_dir, BuildOptions(target=target))
    match = r"does not run on this GPU .* but on 8\.6, 8\.7"
    with pytest.raises(errors.UnservedGpuError, match=match):
        _engine.start("tensorrt_rtx", full_bundle, "fp16", "cuda", options)
    assert rtx.world.builds == []


def test_a_plan_that_is_there_is_not_loaded_on_a_gpu_that_rtx_left_out(
    rtx, full_bundle, engine_dir, gpu
):
    """Built ahead of time for another GPU, where none is asked for."""
    ahead = BuildOptions(target=(8, 6))
    _engine.built(rtx, full_bundle, "fp16", None, engine_dir, ahead, engine_cache.Found(None))
    gpu.info = dataclasses.replace(gpu.info, compute_capability=(8, 0))
    gpu.log.clear()
    options = EngineOptions(engine_dir, ahead)
    with pytest.raises(errors.UnservedGpuError):
        _engine.start("tensorrt_rtx", full_bundle, "fp16", "cuda", options)
    assert ("make", "engine") not in gpu.log
    assert len(rtx.world.builds) == 1


def test_a_target_that_was_given_stands_on_a_gpu_that_rtx_serves(rtx, gpu):
    assert _engine.aimed(rtx, gpu.info, BuildOptions(target=(8, 6))).target == (8, 6)
    assert _engine.aimed(rtx, gpu.info, BuildOptions()).target == (8, 7)
