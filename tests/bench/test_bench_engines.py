"""What the report says of TensorRT, over doubles of TensorRT and of a GPU."""

from __future__ import annotations

import hashlib

import _tiny

from reid_edge.bench import machine, run


class Silent:
    def step(self, text):
        pass


def test_an_engine_is_built_once_and_described(trt, tmp_path, monkeypatch, quick):
    memory = iter([100.0, 350.0, 350.0, 350.0])
    monkeypatch.setattr(machine, "gpus", lambda: [{"memory.used": f"{next(memory):.0f} MiB"}])
    monkeypatch.setattr(machine, "describe", lambda: {"load_average": None, "processors": 1})
    folder = _tiny.write_all_graphs(tmp_path / "model", fp16=True)
    options = run.Options(
        str(folder), "tensorrt", ("fp16",), batch=(2,), scenario="throughput", duration=0.05
    )
    report, sheets = run.run(options, Silent())
    (section,) = report["runs"]
    assert (section["backend"], section["graph"]) == ("tensorrt", "fp16")
    assert section["gpu_memory_mib"] == 250
    (plan,) = (tmp_path / "cache").glob("*.plan")
    assert section["engine"]["sha256"] == hashlib.sha256(plan.read_bytes()).hexdigest()
    assert section["engine"]["bytes"] == plan.stat().st_size
    assert section["engine"]["build_seconds"] > 0
    assert section["throughput"][0]["images_per_second"] > 0
    assert sheets == []
    report, _ = run.run(options, Silent())
    assert report["runs"][0]["engine"]["build_seconds"] is None  # it was there
