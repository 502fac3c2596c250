"""What the report says of TensorRT, over doubles of TensorRT and of a GPU."""

from __future__ import annotations

import hashlib
import io
import json
import time

import _tiny
import pytest
from rich.console import Console

from reid_edge.backends import _choose
from reid_edge.bench import html, machine, run, table
from reid_edge.bench.stages import TimedReId


class Silent:
    def step(self, text):
        pass


@pytest.fixture
def folder(tmp_path):
    return _tiny.write_all_graphs(tmp_path / "model", fp16=True)


def measured(folder, backend, precision="fp16"):
    options = run.Options(
        str(folder), backend, (precision,), batch=(2,), scenario="throughput", duration=0.05
    )
    report, sheets = run.run(options, Silent())
    assert sheets == []
    (section,) = report["runs"]
    return report, section


def test_an_engine_is_built_once_and_described(trt, folder, tmp_path, monkeypatch, quick):
    trt.world.during_build = lambda step: time.sleep(0.05)
    # Described, then before and after the model is loaded; twice.
    memory = iter([100, 100, 350, 350, 350, 350])
    monkeypatch.setattr(
        machine, "gpus", lambda: [{"memory.used": f"{next(memory)} MiB", "name": "Orin"}]
    )
    _, section = measured(folder, "tensorrt")
    assert (section["backend"], section["graph"]) == ("tensorrt", "fp16")
    assert section["gpu_memory_mib"] == 250
    (plan,) = (tmp_path / "cache").glob("*.plan")
    assert section["engine"]["sha256"] == hashlib.sha256(plan.read_bytes()).hexdigest()
    assert section["engine"]["bytes"] == plan.stat().st_size
    assert 0.1 <= section["engine"]["build_seconds"] < 10
    assert section["throughput"][0]["images_per_second"] > 0
    _, again = measured(folder, "tensorrt")
    assert again["engine"] == section["engine"]  # its record tells how long it took
    assert len(trt.world.builds) == 1


def test_the_engine_that_auto_takes_is_described_too(trt, folder, monkeypatch, quick):
    monkeypatch.setattr(_choose, "_has_tensorrt", lambda: True)
    monkeypatch.setattr(machine, "gpus", list)
    _, section = measured(folder, "auto")
    assert section["backend"] == "tensorrt"
    assert len(section["engine"]["sha256"]) == 64
    assert section["gpu_memory_mib"] is None
    assert len(trt.world.builds) == 1


@pytest.mark.parametrize("told", ["[N/A]", "Not Supported", ""])
def test_gpu_memory_that_is_not_told_is_unknown(trt, folder, monkeypatch, quick, told):
    monkeypatch.setattr(machine, "gpus", lambda: [{"name": "Orin", "memory.used": told}])
    assert measured(folder, "tensorrt")[1]["gpu_memory_mib"] is None


def test_the_memory_of_several_gpus_is_nobody_s(trt, folder, monkeypatch, quick):
    monkeypatch.setattr(machine, "gpus", lambda: 2 * [{"name": "A", "memory.used": "1 MiB"}])
    assert measured(folder, "tensorrt")[1]["gpu_memory_mib"] is None


def test_copies_and_computation_are_told_apart(trt, folder, monkeypatch, quick):
    monkeypatch.setattr(machine, "gpus", list)
    report, section = measured(folder, "tensorrt")
    found = section["stages"]["gpu_ms_per_picture"]
    assert list(found) == ["h2d", "compute", "d2h"]
    assert all(value > 0 for value in found.values())
    json.dumps(report, allow_nan=False)
    shown = dict(table.speed_rows(report["runs"]))
    cell = " / ".join(f"{value:.3f}" for value in found.values())
    assert shown["H2D / compute / D2H, ms a picture"] == [cell]
    console = Console(file=io.StringIO(), width=80)
    table.show(report, console)
    assert cell in console.file.getvalue()
    page = html.page(report)
    assert "On the GPU, one batch by itself" in page
    assert f"<title>h2d: {found['h2d']:.4g} ms a picture</title>" in page


def test_the_gpu_s_stages_are_medians_of_the_backend_s_after_a_warm_up(trt, folder):
    with TimedReId(folder, backend="tensorrt", precision="fp16") as reid:
        told = [
            {"h2d": 90.0 if n < 3 else float(n), "compute": 40.0, "d2h": 2.0} for n in range(18)
        ]
        asked = []
        reid._backend.stages = lambda count: asked.append(count) or told[len(asked) - 1]
        found = reid.gpu_stages(4)
    assert asked == [4] * 18
    assert found == {"h2d": 10 / 4, "compute": 10.0, "d2h": 0.5}
